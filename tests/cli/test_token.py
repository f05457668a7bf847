"""A token is signed wherever its secret is known: nothing has to run, and no other setting has to be there."""

import jwt
import pytest

from billing.config import DEVELOPMENT_JWT_SECRET
from tests.cli.support import Billing

LONG = "jwt-0123456789abcdef0123456789abcdef"
ANA = ("token", "--sub", "ana", "--email", "ana@example.com", "--role", "staff")


@pytest.fixture
def variables() -> dict[str, str]:
    """Nothing at all."""
    return {}


def claims(token: str, secret: str, **checked: str) -> dict[str, object]:
    found: dict[str, object] = jwt.decode(token.strip(), secret, algorithms=["HS256"], **checked)  # type: ignore[arg-type]
    return found


def test_nothing_has_to_be_set_in_development(billing: Billing) -> None:
    """Whoever has just installed it tries a call before anything runs here."""
    said = billing(*ANA)
    assert said.status == 0, said.err
    found = claims(said.out, DEVELOPMENT_JWT_SECRET)
    assert (found["sub"], found["email"], found["roles"]) == ("ana", "ana@example.com", ["staff"])


def test_the_secret_is_enough_in_production(billing: Billing, variables: dict[str, str]) -> None:
    variables |= {"APP_ENV": "production", "JWT_SECRET": LONG, "JWT_ISSUER": "platform", "JWT_AUDIENCE": "billing"}
    assert claims(billing(*ANA).out, LONG, issuer="platform", audience="billing")["sub"] == "ana"


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"APP_ENV": "production"}, "JWT_SECRET: the default or a short one"),
        ({"APP_ENV": "production", "JWT_SECRET": "short"}, "JWT_SECRET: the default or a short one"),
        ({"APP_ENV": "production", "JWT_SECRET": DEVELOPMENT_JWT_SECRET}, "JWT_SECRET: the default or a short one"),
        ({"APP_ENV": "produktion"}, "APP_ENV: "),
        ({"JWT_SECRET": LONG, "JWT_JWKS_URL": "https://keys.example.com/"}, "JWT_SECRET: contradicts JWT_JWKS_URL"),
        ({"JWT_JWKS_URL": "https://keys.example.com/"}, "JWT_JWKS_URL: tokens are signed by its owner"),
    ],
)
def test_a_secret_that_proves_nothing_signs_nothing(
    billing: Billing, variables: dict[str, str], given: dict[str, str], line: str
) -> None:
    """What would stop a server stops this command, with the same line."""
    variables |= given
    assert billing(*ANA).complaint.startswith(line)


@pytest.mark.parametrize("sub", ["", " ", "\t", "a\x07b", "x" * 256])
def test_a_token_of_nobody_is_wrong_usage(billing: Billing, sub: str) -> None:
    """Every door would refuse it, and say less about why."""
    said = billing("token", "--sub", sub)
    assert (said.status, said.out) == (2, "")
    assert "--sub" in said.err
    assert "1 to 255 visible characters" in said.err
