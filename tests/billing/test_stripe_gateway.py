"""The gateway against the sandbox, and its table over every error that the library knows."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import stripe
import structlog

from billing import gateway as words
from billing.config import SANDBOX_SECRET_KEY, Settings
from billing.deployment import MARK, REFUND_MARK
from billing.gateway import GatewayError, Intent, PaymentGateway, StoredCall
from billing.local.ports import free_port
from billing.stripe_gateway import StripeGateway
from billing.stripe_line import classify
from tests.support.environment import make_settings
from tests.support.gateway import FakeGateway
from tests.support.stack import eventually

ROOT = Path(__file__).resolve().parents[2]
INTENTS = "/v1/payment_intents"


class Sandbox:
    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._control = httpx2.Client(base_url=f"{self.url}/_sandbox", timeout=10)
        self.stripe = stripe.StripeClient(SANDBOX_SECRET_KEY, base_addresses={"api": self.url}, max_network_retries=0)

    def is_ready(self) -> bool:
        try:
            return self._control.get("/health").status_code == 200
        except httpx2.TransportError:
            return False

    def reset(self) -> None:
        self._control.post("/reset", json={}).raise_for_status()

    def fault(self, do: Mapping[str, Any], *, when: str = "before", times: int = 1, path: str = INTENTS) -> None:
        rule = {"match": {"path": path}, "when": when, "do": do, "times": times}
        self._control.post("/faults", json=[rule]).raise_for_status()

    def requests(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._control.get("/requests").json()["requests"]
        return [request for request in found if request["path"].startswith(INTENTS)]

    def control(self, path: str, **body: object) -> dict[str, Any]:
        """Something that happens outside the API; the object afterwards."""
        answer = self._control.post(path, json=body)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def close(self) -> None:
        self._control.close()


@pytest.fixture(scope="module")
def running_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    port, state = free_port(), tmp_path_factory.mktemp("sandbox")
    argv = [sys.executable, "-m", "billing.sandbox", "--port", str(port), "--state", str(state)]
    argv += ["--webhook-url", "http://127.0.0.1:1/"]
    with (state / "log").open("wb") as log:
        process = subprocess.Popen(argv, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env=dict(os.environ))
    sandbox = Sandbox(port)
    try:
        eventually(sandbox.is_ready, 30, (state / "log").read_text)
        yield sandbox
    finally:
        sandbox.close()
        process.kill()
        process.wait()


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    """A new account."""
    running_sandbox.reset()
    return running_sandbox


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody sleeps between tries; test_retry.py says how long it would be."""
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _seconds: None)


def settings_for(address: str) -> Settings:
    return make_settings("postgresql://x@127.0.0.1/x", "redis://127.0.0.1:1/0", STRIPE_API_BASE=address)


@pytest.fixture
def real(sandbox: Sandbox) -> StripeGateway:
    return StripeGateway(settings_for(sandbox.url))


Pay = Callable[[str], None]


@pytest.fixture(params=["sandbox", "fake"])
def gateway_and_pay(request: pytest.FixtureRequest) -> tuple[PaymentGateway, Pay]:
    """The fake of other tests keeps the same promises as the real one."""
    if request.param == "fake":
        fake = FakeGateway(datetime.now(UTC))
        return fake, lambda intent_id: fake.change(intent_id, status="succeeded", amount_received_cents=14_000)
    client: Sandbox = request.getfixturevalue("sandbox")
    real: StripeGateway = request.getfixturevalue("real")
    return real, lambda intent_id: _pay(client, intent_id)


def _pay(sandbox: Sandbox, intent_id: str) -> None:
    sandbox.stripe.v1.payment_intents.confirm(intent_id, {"payment_method": "pm_card_visa"})


def call(key: str = "installation:create:1", mark: str = "installation:1", **parameters: Any) -> StoredCall:
    given = {
        "amount": 14_000,
        "currency": "eur",
        "automatic_payment_methods": {"enabled": True},
        "metadata": {MARK: mark, "request_id": "r1"},
    }
    return StoredCall({**given, **parameters}, key, stripe.api_version)


def around_now() -> tuple[datetime, datetime]:
    now = datetime.now(UTC)
    return now - timedelta(minutes=5), now + timedelta(minutes=5)


def test_an_intent_carries_what_was_ordered(gateway_and_pay: tuple[PaymentGateway, Pay]) -> None:
    gateway, _ = gateway_and_pay
    intent = gateway.create_intent(call())
    assert (intent.amount_cents, intent.amount_received_cents, intent.currency) == (14_000, 0, "eur")
    assert (intent.mark, intent.livemode, intent.customer) == ("installation:1", False, None)
    assert intent.status == "requires_payment_method"
    assert intent.client_secret.startswith(f"{intent.id}_secret_")
    assert "_secret_" not in repr(intent)


def test_the_same_key_gives_the_same_intent(gateway_and_pay: tuple[PaymentGateway, Pay]) -> None:
    gateway, _ = gateway_and_pay
    assert gateway.create_intent(call()).id == gateway.create_intent(call()).id
    assert gateway.create_intent(call(key="installation:create:2")).id != gateway.create_intent(call()).id


class Elsewhere:
    """What a dashboard and a bank do, at the sandbox and at the fake alike."""

    def __init__(self, fake: FakeGateway | None, sandbox: Sandbox | None) -> None:
        self._fake, self._sandbox = fake, sandbox

    def refund(self, intent_id: str, cents: int, status: str) -> str:
        if self._fake is not None:
            return self._fake.refund_elsewhere(intent_id, cents, status).id
        assert self._sandbox is not None
        made = self._sandbox.control("/refunds", payment_intent=intent_id, amount=cents, status=status)
        return str(made["id"])

    def fail(self, refund_id: str) -> None:
        if self._fake is not None:
            self._fake.change_refund(refund_id, status="failed", failure_reason="expired_or_canceled_card")
        elif self._sandbox is not None:
            self._sandbox.control(f"/refunds/{refund_id}/fail")

    def dispute(self, intent_id: str, cents: int, *, is_inquiry: bool = False) -> str:
        if self._fake is not None:
            status = "warning_needs_response" if is_inquiry else "needs_response"
            return self._fake.raise_dispute(intent_id, cents, status).id
        assert self._sandbox is not None
        made = self._sandbox.control("/disputes", payment_intent=intent_id, amount=cents, is_inquiry=is_inquiry)
        return str(made["id"])

    def becomes(self, dispute_id: str, status: str) -> None:
        if self._fake is not None:
            self._fake.change_dispute(dispute_id, {"escalated": "needs_response"}.get(status, status))
        elif self._sandbox is not None:
            self._sandbox.control(f"/disputes/{dispute_id}/{status}")


Paid = tuple[PaymentGateway, Elsewhere, str]


@pytest.fixture
def paid(gateway_and_pay: tuple[PaymentGateway, Pay], request: pytest.FixtureRequest) -> Paid:
    """A payment of 140.00, and those who can take it back."""
    gateway, pay = gateway_and_pay
    intent = gateway.create_intent(call())
    pay(intent.id)
    if isinstance(gateway, FakeGateway):
        return gateway, Elsewhere(gateway, None), intent.id
    return gateway, Elsewhere(None, request.getfixturevalue("sandbox")), intent.id


def refund_of(intent_id: str, cents: int, key: str = "installation:refund:1") -> StoredCall:
    given = {"payment_intent": intent_id, "amount": cents, "metadata": {REFUND_MARK: key, "request_id": "r1"}}
    return StoredCall(given, key, stripe.api_version)


def test_a_refund_carries_what_was_asked_for(paid: Paid) -> None:
    gateway, _, intent_id = paid
    refund = gateway.create_refund(refund_of(intent_id, 3_500))
    assert (refund.payment_intent_id, refund.amount_cents, refund.currency) == (intent_id, 3_500, "eur")
    assert (refund.status, refund.mark, refund.failure_reason) == ("succeeded", "installation:refund:1", None)
    assert gateway.list_refunds(intent_id) == [refund]


def test_the_same_key_gives_the_same_refund(paid: Paid) -> None:
    gateway, _, intent_id = paid
    first, second = (gateway.create_refund(refund_of(intent_id, 3_500)) for _ in range(2))
    assert first == second
    other = gateway.create_refund(refund_of(intent_id, 3_500, "installation:refund:2"))
    assert [one.id for one in gateway.list_refunds(intent_id)] == [first.id, other.id]


def test_more_than_was_paid_is_refused(paid: Paid) -> None:
    gateway, _, intent_id = paid
    gateway.create_refund(refund_of(intent_id, 7_000))
    with pytest.raises(words.InvalidRequestError):
        gateway.create_refund(refund_of(intent_id, 7_001, "installation:refund:2"))


def test_a_refund_of_the_dashboard_is_listed_without_a_mark(paid: Paid) -> None:
    gateway, elsewhere, intent_id = paid
    refund_id = elsewhere.refund(intent_id, 3_500, "pending")
    (refund,) = gateway.list_refunds(intent_id)
    assert (refund.id, refund.status, refund.mark) == (refund_id, "pending", None)


def test_a_refund_that_failed_says_why_and_can_be_made_again(paid: Paid) -> None:
    gateway, elsewhere, intent_id = paid
    elsewhere.fail(gateway.create_refund(refund_of(intent_id, 14_000)).id)
    (refund,) = gateway.list_refunds(intent_id)
    assert (refund.status, refund.failure_reason) == ("failed", "expired_or_canceled_card")
    assert gateway.create_refund(refund_of(intent_id, 14_000, "installation:refund:2")).status == "succeeded"


def test_refunds_of_other_payments_are_not_listed(paid: Paid) -> None:
    gateway, _, intent_id = paid
    gateway.create_refund(refund_of(intent_id, 3_500))
    other = gateway.create_intent(call("installation:create:2"))
    assert gateway.list_refunds(other.id) == []


def test_a_dispute_is_found_as_it_is_now(paid: Paid) -> None:
    gateway, elsewhere, intent_id = paid
    dispute_id = elsewhere.dispute(intent_id, 14_000)
    found = gateway.retrieve_dispute(dispute_id)
    assert (found.payment_intent_id, found.amount_cents, found.status) == (intent_id, 14_000, "needs_response")
    elsewhere.becomes(dispute_id, "won")
    assert gateway.retrieve_dispute(dispute_id).status == "won"


def test_a_disputed_payment_is_not_refunded_and_one_that_is_asked_about_is(paid: Paid) -> None:
    """A bank that has taken the money back takes no refund; an inquiry is best answered with one."""
    gateway, elsewhere, intent_id = paid
    inquiry = elsewhere.dispute(intent_id, 14_000, is_inquiry=True)
    assert gateway.retrieve_dispute(inquiry).status == "warning_needs_response"
    gateway.create_refund(refund_of(intent_id, 3_500))
    elsewhere.becomes(inquiry, "escalated")
    with pytest.raises(words.InvalidRequestError):
        gateway.create_refund(refund_of(intent_id, 3_500, "installation:refund:2"))


def test_a_dispute_fails_the_refund_that_was_on_its_way(paid: Paid) -> None:
    gateway, elsewhere, intent_id = paid
    elsewhere.refund(intent_id, 3_500, "pending")
    elsewhere.dispute(intent_id, 10_500)
    (refund,) = gateway.list_refunds(intent_id)
    assert (refund.status, refund.failure_reason) == ("failed", "charge_for_pending_refund_disputed")


def test_a_dispute_that_is_not_there_is_an_invalid_request(paid: Paid) -> None:
    with pytest.raises(words.InvalidRequestError):
        paid[0].retrieve_dispute("du_unknown")


def test_a_dispute_says_what_was_taken_and_when_evidence_is_due(sandbox: Sandbox, real: StripeGateway) -> None:
    """The bank's withdrawal, without its fee; given back, it is nothing."""
    intent = real.create_intent(call())
    _pay(sandbox, intent.id)
    dispute_id = sandbox.control("/disputes", payment_intent=intent.id, amount=14_000, reason="general")["id"]
    found = real.retrieve_dispute(dispute_id)
    assert (found.withdrawn_cents, found.reason, found.currency) == (14_000, "general", "eur")
    assert found.evidence_due_at is not None
    assert timedelta(days=8) <= found.evidence_due_at - found.created_at <= timedelta(days=9)
    sandbox.control(f"/disputes/{dispute_id}/won")
    assert real.retrieve_dispute(dispute_id).withdrawn_cents == 0


def test_a_list_of_refunds_turns_the_pages_and_begins_with_the_oldest(
    sandbox: Sandbox, real: StripeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing.stripe_gateway.PAGE", 2)
    intent = real.create_intent(call())
    _pay(sandbox, intent.id)
    made = [real.create_refund(refund_of(intent.id, 100, f"installation:refund:{number}")).id for number in range(5)]
    assert [one.id for one in real.list_refunds(intent.id)] == made


@pytest.mark.parametrize("trouble", [{"status": 500, "stored": False}, {"cut": True}, {"cut": "body"}], ids=json.dumps)
@pytest.mark.parametrize("when", ["before", "after"])
def test_after_a_trouble_the_same_key_makes_one_refund(
    sandbox: Sandbox, real: StripeGateway, trouble: dict[str, Any], when: str
) -> None:
    intent = real.create_intent(call())
    _pay(sandbox, intent.id)
    sandbox.fault(trouble, when=when, path="/v1/refunds")
    refund = real.create_refund(refund_of(intent.id, 3_500))
    assert [one.id for one in real.list_refunds(intent.id)] == [refund.id]


def test_an_intent_is_found_by_its_mark_and_time(gateway_and_pay: tuple[PaymentGateway, Pay]) -> None:
    gateway, _ = gateway_and_pay
    since, until = around_now()
    made = gateway.create_intent(call())
    gateway.create_intent(call("installation:create:2", "installation:2"))
    found = gateway.find_intent("installation:1", since, until)
    assert found is not None
    assert found.id == made.id
    assert gateway.find_intent("installation:3", since, until) is None
    assert gateway.find_intent("installation:1", since - timedelta(days=2), until - timedelta(days=1)) is None


def test_an_unpaid_intent_can_be_cancelled_and_a_paid_one_cannot(
    gateway_and_pay: tuple[PaymentGateway, Pay],
) -> None:
    gateway, pay = gateway_and_pay
    unpaid = gateway.create_intent(call())
    assert gateway.cancel_intent(unpaid.id, "installation:cancel:1").status == "canceled"
    paid = gateway.create_intent(call("installation:create:2"))
    pay(paid.id)
    assert gateway.retrieve_intent(paid.id).amount_received_cents == 14_000
    with pytest.raises(words.InvalidRequestError):
        gateway.cancel_intent(paid.id, "installation:cancel:2")


def test_a_paid_intent_says_when(sandbox: Sandbox, real: StripeGateway) -> None:
    since, until = around_now()
    made = real.create_intent(call())
    assert made.paid_at is None
    _pay(sandbox, made.id)
    paid = real.find_intent("installation:1", since, until)
    assert paid is not None
    assert paid.paid_at is not None
    assert since <= paid.created_at <= paid.paid_at <= until


def test_a_call_is_sent_exactly_as_it_was_stored(sandbox: Sandbox, real: StripeGateway) -> None:
    """A deploy between two sends must not change a byte of it."""
    real.create_intent(call(description="Standard Package"))
    made = sandbox.stripe.v1.payment_intents.list().data[0]
    assert made.description == "Standard Package"
    assert made.metadata.to_dict() == {MARK: "installation:1", "request_id": "r1"}
    assert [request["idempotency_key"] for request in sandbox.requests() if request["method"] == "POST"] == [
        "installation:create:1"
    ]


def test_a_look_turns_the_pages(sandbox: Sandbox, real: StripeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("billing.stripe_gateway.PAGE", 2)
    for number in range(1, 6):
        real.create_intent(call(f"installation:create:{number}", f"installation:{number}"))
    oldest = real.find_intent("installation:1", *around_now())
    assert oldest is not None
    assert oldest.mark == "installation:1"


def test_a_look_that_takes_too_long_does_not_say_that_there_is_nothing(
    sandbox: Sandbox, real: StripeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing.stripe_gateway.LOOK_SECONDS", 0.0)
    with pytest.raises(words.OutcomeUnknownError):
        real.find_intent("installation:1", *around_now())


@pytest.mark.parametrize(
    "trouble",
    [
        {"status": 500},
        {"status": 503},
        {"status": 424},
        {"status": 429},
        {"status": 409},
        {"cut": True},
        {"cut": "body"},
        {"html_200": True},
    ],
    ids=json.dumps,
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_after_a_trouble_the_same_key_makes_one_intent(
    sandbox: Sandbox, real: StripeGateway, trouble: dict[str, Any], when: str
) -> None:
    """Whether the work was done is unknown; what is sent again is the same call."""
    sandbox.fault({**trouble, **({"stored": False} if "status" in trouble else {})}, when=when)
    intent = real.create_intent(call())
    assert [one.id for one in sandbox.stripe.v1.payment_intents.list().data] == [intent.id]
    sent = [request["idempotency_key"] for request in sandbox.requests() if request["method"] == "POST"]
    assert sent == ["installation:create:1"] * 2


def test_an_answer_that_is_replayed_stays_an_unknown_outcome(sandbox: Sandbox, real: StripeGateway) -> None:
    """Stripe keeps the first answer of a key, a 500 included: only a look helps, and it finds the object."""
    sandbox.fault({"status": 500}, when="after")
    with pytest.raises(words.OutcomeUnknownError):
        real.create_intent(call())
    assert len(sandbox.requests()) == 3
    assert real.find_intent("installation:1", *around_now()) is not None


def test_a_key_with_other_parameters_is_refused(real: StripeGateway) -> None:
    real.create_intent(call())
    with pytest.raises(words.KeyReusedError):
        real.create_intent(call(amount=15_000))


def test_a_wrong_parameter_is_refused_at_once(sandbox: Sandbox, real: StripeGateway) -> None:
    with pytest.raises(words.InvalidRequestError) as caught:
        real.create_intent(call(colour="red"))
    assert caught.value.code == "parameter_unknown"
    assert len(sandbox.requests()) == 1


def test_a_service_that_is_not_there_is_a_connection_error() -> None:
    away = StripeGateway(settings_for(f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(words.NoConnectionError) as caught:
        away.retrieve_intent("pi_1")
    assert caught.value.error_type == "api_connection_error"


UNREADABLE = [b"", b"<html>", b"\xff\xfe", b"[]", b"null", b"7", b"{}", b'{"object": "charge", "id": "ch_1"}']
REFUSALS: list[tuple[int, object, type[GatewayError]]] = [
    (400, {"error": {"type": "idempotency_error", "message": "m"}}, words.KeyReusedError),
    (400, {"error": {"type": "invalid_request_error", "message": "m", "param": "amount"}}, words.InvalidRequestError),
    (400, {"error": {"code": "rate_limit", "message": "m"}}, words.StripeBusyError),
    (400, {"error": {"code": "lock_timeout", "message": "m"}}, words.StripeBusyError),
    (400, {"error": []}, words.OutcomeUnknownError),
    (400, "<html>", words.OutcomeUnknownError),
    (401, {"error": {"message": "m"}}, words.StripeRefusedUsError),
    (401, "<html>", words.StripeRefusedUsError),
    (402, {"error": {"type": "card_error", "code": "card_declined", "message": "m"}}, words.DeclinedError),
    (403, {"error": {"message": "m"}}, words.StripeRefusedUsError),
    (404, {"error": {"code": "resource_missing", "message": "m"}}, words.InvalidRequestError),
    (404, "<html>", words.OutcomeUnknownError),
    (409, {"error": {"type": "idempotency_error", "code": "idempotency_key_in_use"}}, words.StripeBusyError),
    (409, {"error": {"message": "m"}}, words.StripeBusyError),
    (424, {"error": {"message": "m"}}, words.OutcomeUnknownError),
    (429, {"error": {"code": "lock_timeout", "message": "m"}}, words.StripeBusyError),
    (429, "<html>", words.StripeBusyError),
    (500, {"error": {"message": "m"}}, words.OutcomeUnknownError),
    (502, "<html>", words.OutcomeUnknownError),
]


@pytest.mark.parametrize(("status", "body", "expected"), REFUSALS)
def test_every_refusal_has_its_class(
    sandbox: Sandbox, real: StripeGateway, status: int, body: object, expected: type[GatewayError]
) -> None:
    sandbox.fault({"status": status, "body": body}, times=3)
    with pytest.raises(GatewayError) as caught:
        real.retrieve_intent("pi_1")
    assert type(caught.value) is expected


@pytest.mark.parametrize("body", UNREADABLE)
def test_a_good_status_with_an_unreadable_answer_is_an_unknown_outcome(body: bytes) -> None:
    """It may have been done: a proxy's page with status 200 must not read as a refusal, nor as a success."""
    with answering(body) as address, pytest.raises(words.OutcomeUnknownError):
        StripeGateway(settings_for(address)).retrieve_intent("pi_1")


@contextmanager
def answering(body: bytes) -> Iterator[str]:
    """A service that gives these bytes for whatever it is asked; the sandbox sends text only."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer  # noqa: PLC0415
    from threading import Thread  # noqa: PLC0415

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the library's name
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: the tests' output is theirs."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


EXPECTED: Mapping[type[Exception], type[GatewayError]] = {
    stripe.APIConnectionError: words.NoConnectionError,
    stripe.APIError: words.OutcomeUnknownError,
    stripe.AuthenticationError: words.StripeRefusedUsError,
    stripe.PermissionError: words.StripeRefusedUsError,
    stripe.RateLimitError: words.StripeBusyError,
    stripe.IdempotencyError: words.KeyReusedError,
    stripe.CardError: words.DeclinedError,
    stripe.InvalidRequestError: words.InvalidRequestError,
}
"""Every other class belongs to interfaces that we do not use: nothing is concluded from it."""


def every_class(root: type[stripe.StripeError]) -> list[type[stripe.StripeError]]:
    return [root, *(found for child in root.__subclasses__() for found in every_class(child))]


@pytest.mark.parametrize("kind", dict.fromkeys(every_class(stripe.StripeError)))
def test_every_error_of_the_library_is_one_of_ours(kind: type[stripe.StripeError]) -> None:
    error = kind.__new__(kind)
    stripe.StripeError.__init__(error, "m", http_status=None, json_body={"error": {"code": "c"}})
    assert type(classify(error)) is EXPECTED.get(kind, words.OutcomeUnknownError)
    if kind in EXPECTED:
        assert classify(error).code == "c"


TYPES = {
    words.StripeBusyError: "rate_limit_error",
    words.OutcomeUnknownError: "api_error",
    words.NoConnectionError: "api_connection_error",
    words.StripeRefusedUsError: "authentication_error",
    words.DeclinedError: "card_error",
    words.InvalidRequestError: "invalid_request_error",
    words.KeyReusedError: "invalid_request_error",
}


@pytest.mark.parametrize(("kind", "error_type"), TYPES.items())
def test_each_of_ours_has_the_word_of_the_contract(kind: type[GatewayError], error_type: str) -> None:
    error = kind(code="c", request_id="req_1")
    assert error.error_type == error_type
    assert "c, req_1" in str(error)
    assert "req_1" not in error.message


def test_an_error_carries_neither_key_nor_body(
    sandbox: Sandbox, real: StripeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    """The library's errors hold whole bodies and headers; a log line or a traceback would show them."""
    echoing = f"Invalid API Key provided: {SANDBOX_SECRET_KEY}"
    sandbox.fault({"status": 401, "body": {"error": {"message": echoing, "client_secret": "pi_1_secret_x"}}})
    structlog.configure(logger_factory=structlog.stdlib.LoggerFactory())
    caplog.set_level(logging.WARNING, logger="stripe")  # as `logs.configure` leaves the library
    with caplog.at_level(logging.INFO), pytest.raises(words.StripeRefusedUsError) as caught:
        real.retrieve_intent("pi_1")
    structlog.reset_defaults()
    assert "stripe_call_failed" in caplog.text
    shown = caplog.text + repr(caught.value) + str(caught.value) + caught.value.message
    assert SANDBOX_SECRET_KEY not in shown
    assert "_secret_" not in shown
    assert caught.value.__suppress_context__
    assert caught.value.__cause__ is None


def test_a_declined_card_is_told_in_words_for_its_owner(sandbox: Sandbox, real: StripeGateway) -> None:
    told = {"type": "card_error", "code": "card_declined", "message": "Your card was declined."}
    sandbox.fault({"status": 402, "body": {"error": told}})
    with pytest.raises(words.DeclinedError) as caught:
        real.retrieve_intent("pi_1")
    assert caught.value.message == "Your card was declined."


def test_intents_are_compared_by_value() -> None:
    intent = FakeGateway(datetime(2026, 3, 2, tzinfo=UTC)).create_intent(call())
    assert isinstance(intent, Intent)
    assert replace(intent) == intent
