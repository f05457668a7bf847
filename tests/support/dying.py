"""A worker that dies at a chosen point: `celery -A tests.support.dying worker …` with DIE_AT set.

The production code has no such points; they are put around its functions here, in the process that is to die. The
file that DIE_ONCE names is made first, so that the next worker lives.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from billing import work
from billing.consumptions import drain as drain_acts
from billing.purchases import payment, pursuits
from billing.refunds import send as refunding
from billing.staff import perform
from billing.webhooks import drain
from workers.app import app

__all__ = ["app"]

POINTS: dict[str, tuple[ModuleType | type, str, int]] = {
    "before the call": (payment, "repeated", 1),
    "after Stripe's answer": (pursuits.Pursuit, "pursue", 1),
    "after the payment's commit": (payment, "repeated", 2),
    "after the events' claim": (work, "claim_batch", 1),
    "after the events' commit": (drain, "_work_together", 1),
    "after the acts' claim": (work, "claim_batch", 1),
    "after the acts' commit": (drain_acts, "_work_together", 1),
    "after the staff act's commit": (perform, "repeated", 1),
    "before the refund's call": (refunding, "repeated", 1),
    "after Stripe's refund": (refunding.Sending, "pursue", 1),
    "after the refund's commit": (refunding, "repeated", 2),
}
"""Where in the code, and after which call of it."""


def die_together() -> None:
    """The pool's process and its parent, as a machine that dies takes both."""
    mark = Path(os.environ["DIE_ONCE"])
    if mark.exists():
        return
    mark.touch()
    if os.getppid() == int(os.environ.get("DYING_MAIN", "0")):
        os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def put_point(module: ModuleType | type, name: str, after_call: int) -> None:
    function: Callable[..., Any] = getattr(module, name)
    calls = 0

    def run(*arguments: Any, **more: Any) -> Any:
        nonlocal calls
        result = function(*arguments, **more)
        calls += 1
        if calls == after_call:
            die_together()
        return result

    setattr(module, name, run)


os.environ["DYING_MAIN"] = str(os.getpid())
put_point(*POINTS[os.environ["DIE_AT"]])
