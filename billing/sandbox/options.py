"""What one sandbox is started with: words of the command line, keys of the environment."""

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SECRET_KEY = "sk_test_sandbox_of_the_billing_pipeline"
PUBLISHABLE_KEY = "pk_test_sandbox_of_the_billing_pipeline"
WEBHOOK_SECRET = "whsec_sandbox_of_the_billing_pipeline"


@dataclass(frozen=True)
class Options:
    host: str
    port: int
    state: Path
    webhook_url: str
    secret_key: str = SECRET_KEY
    publishable_key: str = PUBLISHABLE_KEY
    webhook_secret: str = WEBHOOK_SECRET

    @classmethod
    def read(cls, words: Sequence[str] | None, environment: Mapping[str, str]) -> "Options":
        given = _parser().parse_args(words)
        return cls(
            **vars(given),
            secret_key=environment.get("STRIPE_SECRET_KEY") or SECRET_KEY,
            publishable_key=environment.get("STRIPE_PUBLISHABLE_KEY") or PUBLISHABLE_KEY,
            webhook_secret=_first(environment.get("STRIPE_WEBHOOK_SECRET") or WEBHOOK_SECRET),
        )


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m billing.sandbox", description="A stateful stand-in for the Stripe API.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--state", type=Path, required=True, help="folder that keeps everything over a restart")
    parser.add_argument("--webhook-url", required=True, help="where events are delivered")
    return parser


def _first(secrets: str) -> str:
    """While secrets are rotated the receiver knows several; Stripe signs with the one of its endpoint."""
    return secrets.split(",", maxsplit=1)[0].strip()
