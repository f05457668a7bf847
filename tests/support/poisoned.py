"""A worker that events of one type kill, each time: `celery -A tests.support.poisoned worker …` with POISON set."""

import os
import signal
from typing import Any

from billing.webhooks import handlers, settle
from workers.app import app

__all__ = ["app"]


def handle(session: Any, event: Any, context: Any) -> Any:
    if event is not None and event.type == os.environ["POISON"]:
        os.kill(os.getpid(), signal.SIGKILL)
    return handlers.handle(session, event, context)


vars(settle).update(handle=handle)
