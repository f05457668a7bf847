"""@task(Message): what stands between Celery and a use case, so that nothing else has to know Celery."""

from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

import structlog
from celery import Task, shared_task
from pydantic import ValidationError

from billing import failures, logs
from billing.brakes import enter_lane_of
from billing.clock import machine_now
from billing.errors import TransientError
from billing.messages import FollowUp, Message, tell
from workers import schedule
from workers.hints import REQUEST_ID
from workers.runtime import Runtime, current

log: structlog.stdlib.BoundLogger = structlog.get_logger("workers.task")

M = TypeVar("M", bound=Message)
Run = Callable[[M, Runtime], Sequence[FollowUp]]


def task(kind: type[M]) -> Callable[[Run[M]], Run[M]]:
    """Register a function as the task of this message: parsed, run, and followed up by what it returns.

    Whatever happens the message is acknowledged: what is not done is a row with a due time, and comes again.
    """

    def register(run: Run[M]) -> Run[M]:
        @shared_task(name=kind.task, bind=True, typing=False)
        def celery_task(self: Task[Any, Any], *positional: Any, **arguments: Any) -> None:
            act = partial(_perform, kind, run, positional, arguments)
            # In a context of its own: what is bound for its log lines ends with it.
            copy_context().run(_answer_for, kind, self.request.get(REQUEST_ID), act)

        return run

    return register


def _answer_for(kind: type[Message], request_id: str | None, act: Callable[[], None]) -> None:
    """The one place at which an error of any kind ends: nobody above could do more about it."""
    structlog.contextvars.bind_contextvars(task=kind.task)
    logs.bind_request_id(request_id)
    enter_lane_of(kind.queue)
    try:
        act()
    except TransientError as error:
        log.warning("task_put_off", error=type(error).__name__, reason=str(error))
    except Exception:
        log.exception("task_failed")


def _perform(kind: type[M], run: Run[M], positional: Sequence[Any], arguments: dict[str, Any]) -> None:
    runtime = current()
    message = _parsed(kind, runtime, positional, arguments)
    # Beat ticks by the machine's time: a tick of a moved clock could be taken for one that comes later, or came before.
    if message is None or not schedule.is_first_of_its_tick(runtime.begin, kind, machine_now(), runtime.settings.zone):
        return
    tell(runtime.hints, run(message, runtime))


def _parsed(kind: type[M], runtime: Runtime, positional: Sequence[Any], arguments: dict[str, Any]) -> M | None:
    try:
        return kind.model_validate({**arguments, **({"positional arguments": positional} if positional else {})})
    except ValidationError:
        body = repr((positional, sorted(arguments.items()))).encode(errors="replace")
        facts = failures.UnreadableFacts.of(queue=kind.queue, task=kind.task, reason="arguments", body=body)
        log.error("message_unreadable", reason=facts.reason, digest=facts.digest)  # noqa: TRY400  # says what stood there
        failures.record_unreadable(runtime.begin, facts, now=runtime.now())
        return None
