"""The brakes where they belong: on the line to Stripe, with the sandbox in trouble at its other end."""

from collections.abc import Iterator

import pytest
import stripe
from redis import Redis

from billing.brakes import Limits, SharedBrakes
from billing.brakes.words import BrakesView
from billing.config import Settings
from billing.deployment import MARK
from billing.gateway import (
    InvalidRequestError,
    NoConnectionError,
    OutcomeUnknownError,
    StoredCall,
    StripeCrowdedError,
    StripePausedError,
    StripeRefusedUsError,
)
from billing.local.ports import free_port
from billing.stripe_gateway import StripeGateway
from tests.billing.braking import OldValkey
from tests.sandbox.running import PUBLISHABLE_KEY, SECRET_KEY, WEBHOOK_SECRET, Sandbox, running
from tests.support.environment import make_settings

LOOK, CREATE = ("GET", "/v1/payment_intents"), ("POST", "/v1/payment_intents")


@pytest.fixture(scope="module")
def running_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running(tmp_path_factory.mktemp("sandbox"), "http://127.0.0.1:1/") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    """A new account that works."""
    running_sandbox.tell("reset", {})
    running_sandbox.http.delete("/_sandbox/requests")
    return running_sandbox


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody sleeps between tries; test_retry.py says how long it would be."""
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _seconds: None)


def settings_for(address: str, valkey_url: str, **more: str) -> Settings:
    keys = {
        "STRIPE_SECRET_KEY": SECRET_KEY,
        "STRIPE_PUBLISHABLE_KEY": PUBLISHABLE_KEY,
        "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
    }
    many = {"STRIPE_CALLS_PER_SECOND": "100000", "STRIPE_CALLS_PER_ENDPOINT": "100000"}
    return make_settings("postgresql://x@127.0.0.1/x", valkey_url, STRIPE_API_BASE=address, **keys, **{**many, **more})


@pytest.fixture
def gateway(sandbox: Sandbox, valkey_url: str) -> StripeGateway:
    return StripeGateway(settings_for(sandbox.url, valkey_url))


def call(number: int) -> StoredCall:
    order = {"amount": 14_000, "currency": "eur", "metadata": {MARK: f"installation:{number}"}}
    return StoredCall(order, f"installation:create:{number}", stripe.api_version)


def view(valkey_url: str) -> BrakesView:
    settings = settings_for("http://127.0.0.1:1", valkey_url)
    return SharedBrakes(valkey_url, Limits.of(settings)).view()


def sent(sandbox: Sandbox) -> list[tuple[str, str]]:
    """What has reached Stripe since the last look."""
    found = [(one["method"], one["path"]) for one in sandbox.ask("requests")["requests"]]
    sandbox.http.delete("/_sandbox/requests")
    return found


def until_the_next_probe(valkey_url: str) -> None:
    with Redis.from_url(valkey_url) as client:
        OldValkey(client).pass_time(5)


@pytest.mark.parametrize("trouble", [{"status": 503}, {"cut": True}, {"html_200": True}], ids=str)
def test_trouble_pauses_creates_until_reads_find_that_it_is_over(
    sandbox: Sandbox, gateway: StripeGateway, valkey_url: str, trouble: dict[str, object]
) -> None:
    """Ten tries fail; nothing more is sent; two looks succeed; and the create that came by is made."""
    sandbox.fault(trouble)
    for number in range(4):
        with pytest.raises(OutcomeUnknownError):
            gateway.create_intent(call(number))
    assert sent(sandbox) == [CREATE] * 10
    for number in range(4):
        with pytest.raises(StripePausedError):
            gateway.create_intent(call(number))
    assert sent(sandbox) == []
    until_the_next_probe(valkey_url)
    with pytest.raises(StripePausedError):
        gateway.create_intent(call(0))
    assert sent(sandbox) == [LOOK]
    sandbox.http.delete("/_sandbox/faults")
    until_the_next_probe(valkey_url)
    assert gateway.create_intent(call(0)).amount_cents == 14_000
    assert sent(sandbox) == [LOOK, LOOK, CREATE]
    assert not view(valkey_url).is_paused


def test_a_call_of_which_one_try_was_sent_stays_an_unknown_outcome(sandbox: Sandbox, gateway: StripeGateway) -> None:
    """ "Not asked" would be believed: the purchase could be cancelled while its intent exists."""
    sandbox.fault({"cut": True}, when="after")
    for number in range(3):
        with pytest.raises(NoConnectionError):
            gateway.create_intent(call(number))
    sandbox.http.delete("/_sandbox/requests")
    with pytest.raises(NoConnectionError):  # its first try is the tenth of all, and its second is parked
        gateway.create_intent(call(3))
    assert sent(sandbox) == [CREATE]


def test_reads_probe_and_bring_their_answer(sandbox: Sandbox, gateway: StripeGateway, valkey_url: str) -> None:
    """What staff or a reconciliation ask for is worth as much as a look."""
    intent = gateway.create_intent(call(1))
    sandbox.fault({"status": 401}, times=1)
    with pytest.raises(StripeRefusedUsError):
        gateway.retrieve_intent(intent.id)
    with pytest.raises(StripePausedError):
        gateway.retrieve_intent(intent.id)
    until_the_next_probe(valkey_url)
    sent(sandbox)
    assert [gateway.retrieve_intent(intent.id).id for _ in range(3)] == [intent.id] * 3
    assert sent(sandbox) == [("GET", f"/v1/payment_intents/{intent.id}")] * 3


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_pauses_at_once(
    sandbox: Sandbox, gateway: StripeGateway, valkey_url: str, status: int
) -> None:
    """A key that was rolled: rows wait, one line rings, and with the new key all goes on."""
    sandbox.fault({"status": status})
    with pytest.raises(StripeRefusedUsError):
        gateway.create_intent(call(1))
    with pytest.raises(StripePausedError):
        gateway.create_intent(call(1))
    assert sent(sandbox) == [CREATE]
    assert (view(valkey_url).is_paused, view(valkey_url).reason) == (True, "refused")


def test_too_many_requests_slow_calls_down_and_pause_nothing(
    sandbox: Sandbox, gateway: StripeGateway, valkey_url: str
) -> None:
    sandbox.fault({"status": 429}, times=1)
    assert gateway.create_intent(call(1)).amount_cents == 14_000
    found = view(valkey_url)
    assert (found.is_paused, found.calls, found.failures) == (False, 2, 0)
    assert 0.5 <= found.rate_share < 1


def test_an_object_that_is_locked_slows_nothing_down(sandbox: Sandbox, gateway: StripeGateway, valkey_url: str) -> None:
    """Somebody else holds it; Stripe bears as much as before."""
    sandbox.fault({"status": 409}, times=1)
    sandbox.fault({"status": 429, "body": {"error": {"code": "lock_timeout", "message": "m"}}}, times=1)
    assert gateway.create_intent(call(1)).amount_cents == 14_000
    assert view(valkey_url).rate_share == 1


def test_refusals_of_single_calls_pause_nothing(sandbox: Sandbox, gateway: StripeGateway, valkey_url: str) -> None:
    for _ in range(12):
        with pytest.raises(InvalidRequestError):
            gateway.retrieve_intent("pi_unknown")
    assert len(sent(sandbox)) == 12
    assert (view(valkey_url).calls, view(valkey_url).failures) == (12, 0)


def test_a_call_without_a_place_is_not_sent(sandbox: Sandbox, valkey_url: str) -> None:
    """Each of the library's methods is an endpoint of its own."""
    few = settings_for(sandbox.url, valkey_url, STRIPE_CALLS_PER_SECOND="1000", STRIPE_CALLS_PER_ENDPOINT="2")
    gateway = StripeGateway(few)
    gateway.create_intent(call(1))
    with Redis.from_url(valkey_url) as client:
        (name,) = [name for name in client.scan_iter("*bucket:of:*") if b"create" in name]
        client.hset(name, "places", -100)
    sent(sandbox)
    with pytest.raises(StripeCrowdedError):
        gateway.create_intent(call(2))
    assert gateway.list_refunds("pi_1") == []
    assert CREATE not in sent(sandbox)


def test_a_stripe_that_cannot_be_reached_pauses_as_well(valkey_url: str) -> None:
    gateway = StripeGateway(settings_for(f"http://127.0.0.1:{free_port()}", valkey_url))
    for number in range(4):
        with pytest.raises(NoConnectionError):
            gateway.create_intent(call(number))
    with pytest.raises(StripePausedError):
        gateway.create_intent(call(1))
