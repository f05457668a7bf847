"""What a log line is, and what is never in one."""

import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from contextvars import copy_context
from typing import Any

import pytest
import structlog

from billing import logs


class Lines:
    """What this process logs from `begin` on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._stream = io.StringIO()
        self._monkeypatch = monkeypatch

    def begin(self) -> None:
        self._monkeypatch.setattr(sys, "stderr", self._stream)
        logs.configure("tests")

    def __call__(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._stream.getvalue().splitlines()]


SECRETS = {
    "secret key": "sk_test_abcdefghijkl",
    "restricted key": "rk_live_abcdefghijkl",
    "webhook secret": "whsec_abcdefghijkl",
    "client secret": "pi_123abc_secret_abcdefghijkl",
    "bearer": "Bearer abcdefghijkl",
    "token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhYmNkZWZnaGlqa2wifQ.abcdefghijkl",
    "address": "abcdefghijkl@example.com",
    "card": "4242424242424242",
    "spaced card": "4000 0000 0000 0002",
    "password in an address": "postgresql://billing:abcdefghijkl@db.example/billing",
    "token in a query": "/purchase/?access_token=abcdefghijkl&x=1",
}
MARKS = ("abcdefghijkl", "4242424242424242", "4000 0000 0000 0002", "4242")


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    for module, name in ((sys, "excepthook"), (threading, "excepthook"), (logging, "raiseExceptions")):
        monkeypatch.setattr(module, name, getattr(module, name))
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    lines = Lines(monkeypatch)
    lines.begin()
    yield lines
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()
    logs.bind_request_id(None)


def test_a_line_says_when_how_bad_who_and_what(lines: Lines) -> None:
    structlog.get_logger("billing.x").info("purchase_paid", purchase_id="p1")
    (line,) = lines()
    assert line.pop("timestamp").endswith("Z")
    expected = {"level": "info", "service": "tests", "logger": "billing.x", "event": "purchase_paid"}
    assert line == {**expected, "purchase_id": "p1"}


def test_a_line_stays_one_line(lines: Lines) -> None:
    """Who can write into a log must not be able to write a line of his own."""
    structlog.get_logger("x").info("one\ntwo\r\u2028three\x85\x1b[31m", name='"}\n{"event": "forged"}')
    assert [line["event"] for line in lines()] == ["one\ntwo\r\u2028three\x85\x1b[31m"]


def fail(reason: str) -> None:
    raise RuntimeError(reason)


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_a_secret_is_masked_wherever_it_stands(lines: Lines, secret: str) -> None:
    log = structlog.get_logger("x")
    log.info(f"it is {secret} indeed", field=secret, deep={"a": [{"b": secret}, (secret,)]}, odd=ValueError(secret))
    log.info("keyed", deep={secret: 1})
    logging.getLogger("library").warning("its argument is %s", secret)
    try:
        fail(f"failed with {secret}")
    except RuntimeError:
        log.exception("broke")
        logging.getLogger("library").exception("broke too")
    written = json.dumps(lines())
    assert len(lines()) == 5
    assert not any(mark in written for mark in MARKS)
    assert "RuntimeError: failed with" in written


@pytest.mark.parametrize(
    "name", ["authorization", "Stripe-Signature", "client_secret", "password", "access_token", "email", "body"]
)
def test_a_field_of_a_sensitive_name_is_masked_whatever_it_holds(lines: Lines, name: str) -> None:
    structlog.get_logger("x").info("request", headers={name: "harmless"})
    assert lines()[0]["headers"] == {name: "[redacted]"}


@pytest.mark.parametrize(
    "value",
    [
        "82bc1d96-0c2f-44ff-8d58-c1c3f6ad7e6e",
        "evt_1NG8Du2eZvKYlo2CUI79vXWy",
        "pi_3MtwBwLkdIwHu7ix28a3tqPa",
        "2026-03-02T12:00:00Z",
        "discarded",
        1764000000000,
        14000,
        True,
        None,
    ],
)
def test_what_helps_to_find_a_fault_is_left(lines: Lines, value: object) -> None:
    structlog.get_logger("x").info("fact", value=value)
    assert lines()[0]["value"] == value


@pytest.mark.parametrize("name", ["uvicorn.error", "uvicorn", "celery", "celery.task"])
def test_servers_log_in_the_same_shape(lines: Lines, name: str) -> None:
    """They bring handlers of their own, which would write plain text beside ours."""
    theirs = logging.getLogger(name)
    theirs.addHandler(logging.StreamHandler(sys.stderr))
    lines.begin()
    theirs.info("started")
    assert [line["event"] for line in lines()] == ["started"]
    assert not theirs.handlers


def test_a_request_id_is_on_every_line_of_its_context_and_no_other(lines: Lines) -> None:
    def inside() -> None:
        logs.bind_request_id("r1")
        logging.getLogger("library").warning("inside")

    copy_context().run(inside)
    logging.getLogger("library").warning("outside")
    assert [line.get("request_id") for line in lines()] == ["r1", None]
    logs.bind_request_id("r2")
    assert logs.request_id() == "r2"
    logs.bind_request_id(None)
    assert logs.request_id() is None


def test_the_last_words_of_a_thread_are_redacted(lines: Lines) -> None:
    """A traceback printed by the interpreter would show what no log line may."""

    def die() -> None:
        raise RuntimeError("sk_test_abcdefghijkl")

    thread = threading.Thread(target=die, name="worker")
    thread.start()
    thread.join()
    assert [(line["event"], line["thread"]) for line in lines()] == [("thread_died", "worker")]
    assert "abcdefghijkl" not in json.dumps(lines())


def test_a_long_text_is_cut_to_its_ends(lines: Lines) -> None:
    structlog.get_logger("x").info("begin" + "." * 1_000_000 + "end", many=list(range(10_000)))
    (line,) = lines()
    assert line["event"].startswith("begin")
    assert line["event"].endswith("end")
    assert len(json.dumps(line)) < 20_000


def test_a_line_that_cannot_be_made_does_not_show_its_arguments(
    lines: Lines, capfd: pytest.CaptureFixture[str]
) -> None:
    logging.getLogger("library").warning("%d is no number", "sk_test_abcdefghijkl")
    assert "abcdefghijkl" not in "".join(capfd.readouterr())
