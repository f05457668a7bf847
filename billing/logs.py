"""Logs: one JSON object a line on stderr, from every library and in one shape, with nothing secret in it.

Call `configure` once, before anything else logs. Lines carry the request id that is bound in the context they are
written from.
"""

import logging
import sys
import threading
from types import TracebackType

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from billing.redaction import redacted_fields

TOO_CHATTY = ("stripe", "celery.app.trace", "celery.worker.strategy", "celery.beat")
"""They tell of every call, task and tick, some with arguments and results in it; their troubles are still heard."""

FIRST = ("timestamp", "level", "service", "logger", "event", "request_id")
"""What a reader looks at first stands first."""

OWN_HANDLERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "celery", "celery.task", "celery.redirected")

log: structlog.stdlib.BoundLogger = structlog.get_logger("billing.logs")


def configure(service: str, *, level: int = logging.INFO) -> None:
    """Send all that this process logs from this level on, warns of or dies of through one formatter."""
    from_anywhere: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *from_anywhere,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(service, from_anywhere))
    _take_over(handler, level)
    _hear_last_words()


def bind_request_id(request_id: str | None) -> None:
    """From now on every line of this thread or task carries it; None: no line does."""
    structlog.contextvars.unbind_contextvars("request_id")
    if request_id is not None:
        structlog.contextvars.bind_contextvars(request_id=request_id)


def request_id() -> str | None:
    found = structlog.contextvars.get_contextvars().get("request_id")
    return found if isinstance(found, str) else None


def _formatter(service: str, from_anywhere: list[Processor]) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=from_anywhere,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _named(service),
            structlog.processors.format_exc_info,
            _redact,
            # Escaped to ASCII: nothing in a line can end it, whatever a terminal or collector takes for a line's end.
            structlog.processors.JSONRenderer(),
        ],
    )


def _named(service: str) -> Processor:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    return add


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    first = {name: event[name] for name in FIRST if name in event}
    return redacted_fields({**first, **event})


def _take_over(handler: logging.Handler, level: int) -> None:
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in OWN_HANDLERS:
        theirs = logging.getLogger(name)
        theirs.handlers.clear()
        theirs.propagate, theirs.disabled = True, False
        theirs.setLevel(logging.NOTSET)
    for name in TOO_CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # a line that cannot be written would be printed with its bare arguments


def _hear_last_words() -> None:
    """What ends a process or a thread is logged like everything else, and redacted."""

    def of_process(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, traceback)
        else:
            log.critical("process_died", exc_info=(kind, error, traceback))

    sys.excepthook = of_process
    threading.excepthook = _of_thread


def _of_thread(died: threading.ExceptHookArgs) -> None:
    error = died.exc_value or died.exc_type()
    log.critical("thread_died", thread=died.thread and died.thread.name, exc_info=error)
