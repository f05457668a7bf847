"""What stands between Celery and a use case."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from celery import Celery
from sqlmodel import select
from structlog.testing import LogCapture

from billing import logs
from billing.config import Settings
from billing.db import Begin
from billing.errors import DatabaseUnavailableError
from billing.ids import new_id
from billing.messages import AuditBalances, EventsWaiting, Message, PreparePayment, PurchaseChanged
from billing.models import BeatSlot, UnreadableMessage
from tests.support.hints import KeptHints
from workers import runtime
from workers.runtime import Runtime

Perform = Callable[..., None]


@pytest.fixture
def kept(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeptHints]:
    """A process whose hints are kept instead of sent."""
    hints = KeptHints()
    monkeypatch.setattr(runtime, "BrokerHints", lambda _settings: hints)
    runtime.prepare(settings, slots=1)
    yield hints
    runtime.dispose()


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    capture = LogCapture()
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, capture])
    yield capture.entries
    structlog.reset_defaults()


@pytest.fixture
def perform(kept: KeptHints) -> Perform:
    app = Celery(set_as_current=False)
    app.finalize()

    def run(kind: type[Message], *positional: Any, headers: dict[str, str] | None = None, **arguments: Any) -> None:
        task: Any = app.tasks[kind.task]
        task.push_request(**(headers or {}))
        try:
            task.run(*positional, **arguments)  # whatever happens, it raises nothing: the message is acknowledged
        finally:
            task.pop_request()

    return run


def replace(monkeypatch: pytest.MonkeyPatch, act: Callable[..., Any]) -> None:
    monkeypatch.setattr("workers.tasks.payment.prepare_payment", act)


def test_what_a_use_case_returns_is_sent_on(perform: Perform, kept: KeptHints, monkeypatch: pytest.MonkeyPatch) -> None:
    purchase = new_id()
    changed = PurchaseChanged(purchase_id=purchase)
    replace(monkeypatch, lambda _desk, message: [message, changed, EventsWaiting()])
    perform(PreparePayment, purchase_id=str(purchase))
    assert kept.sent == [PreparePayment(purchase_id=purchase), EventsWaiting()]
    assert kept.notified == [changed]


def test_trouble_that_passes_is_a_warning(perform: Perform, logged: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The row comes back at its own time; a traceback a second would hide the one that matters."""

    def away(*_: object) -> None:
        raise DatabaseUnavailableError("restarting")

    replace(monkeypatch, away)
    perform(PreparePayment, purchase_id=str(new_id()))
    (line,) = logged
    assert (line["event"], line["log_level"], line["error"]) == ("task_put_off", "warning", "DatabaseUnavailableError")
    assert "exc_info" not in line


def test_trouble_that_does_not_pass_is_an_error_with_its_traceback(
    perform: Perform, logged: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    replace(monkeypatch, lambda *_: 1 // 0)
    perform(PreparePayment, purchase_id=str(new_id()))
    (line,) = logged
    assert (line["event"], line["log_level"], line["exc_info"]) == ("task_failed", "error", True)
    assert line["task"] == PreparePayment.task


@pytest.mark.parametrize(
    ("positional", "arguments"),
    [
        ((), {}),
        ((), {"purchase_id": "no id"}),
        ((), {"purchase_id": str(new_id()), "amount": 1}),
        ((str(new_id()),), {}),
        ((), {"purchase_id": "pi_1_secret_canary"}),
    ],
)
def test_a_message_that_cannot_be_parsed_becomes_a_row(
    perform: Perform, begin: Begin, logged: list[Any], positional: tuple[Any, ...], arguments: dict[str, Any]
) -> None:
    perform(PreparePayment, *positional, **arguments)
    with begin() as session:
        (row,) = session.exec(select(UnreadableMessage))
    assert (row.queue, row.task, row.reason, row.times) == ("purchases", PreparePayment.task, "arguments", 1)
    assert "canary" not in repr(logged)


def test_the_request_id_of_a_message_is_that_of_its_work_and_no_longer(
    perform: Perform, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str | None] = []

    def look(*_: object) -> list[Message]:
        seen.append(logs.request_id())
        return []

    replace(monkeypatch, look)
    perform(PreparePayment, headers={"request_id": "r1"}, purchase_id=str(new_id()))
    perform(PreparePayment, purchase_id=str(new_id()))
    assert seen == ["r1", None]
    assert logs.request_id() is None


def test_a_tick_that_comes_twice_works_once(perform: Perform, begin: Begin, logged: list[Any]) -> None:
    for _ in range(2):
        perform(AuditBalances)
    assert [line["event"] for line in logged] == ["ledger_audited"]
    with begin() as session:
        assert len(session.exec(select(BeatSlot)).all()) == 1


def test_a_process_builds_what_it_needs_once(kept: KeptHints) -> None:
    first = runtime.current()
    assert isinstance(first, Runtime)
    assert runtime.current() is first


def test_without_a_database_a_process_starts_and_tries_again(settings: Settings) -> None:
    away = settings.model_copy(update={"database_url": "postgresql://x@127.0.0.1:1/x"})
    runtime.prepare(away, slots=32)
    for _ in range(2):
        with pytest.raises(DatabaseUnavailableError):
            runtime.current()
    runtime.dispose()
