"""What is said when everything is ready: where it is, and what to try next."""

import os
import sys
from pathlib import Path

from billing.config import SERVICES_FILE
from billing.local.stack import Stack

PREFIX = "/api/finances/api"


def greeting(stack: Stack, seconds: float) -> str:
    width = max(len(name) for name, _ in _addresses(stack))
    addresses = [f"  {name:<{width}}  {address}" for name, address in _addresses(stack)]
    return "\n".join(
        ["", f"Ready in {seconds:.1f} s.", "", *addresses, "", *_next_steps(stack), "", "Ctrl-C stops it all.", ""]
    )


def _addresses(stack: Stack) -> list[tuple[str, str]]:
    servers, found = stack.servers, [("API", f"{stack.door}{PREFIX}/")]
    if servers.sandbox:
        found.append(("Stripe sandbox", servers.sandbox.url))
    for name, server in (("PostgreSQL", servers.postgres), ("Valkey", servers.valkey)):
        if server:
            found.append(
                (name, f"127.0.0.1:{server.port}, with the password in {_shown(stack.state.path / SERVICES_FILE)}")
            )
    if servers.postgres and not servers.postgres.data.is_relative_to(stack.state.path):
        found.append(
            ("Its files", f"{servers.postgres.data}, since it does not run as root and cannot enter this folder")
        )
    return found


def _next_steps(stack: Stack) -> list[str]:
    steps = ["Try, in another terminal:", "", f"  curl {stack.door}{PREFIX}/pricing-plans/"]
    if stack.servers.sandbox:
        steps.append(f"  {_shown(Path(sys.executable).with_name('billing'))} demo")
    return steps


def _shown(path: Path) -> str:
    """As one would type it here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
