"""One command gives Stripe our address; nobody copies a list of thirty event types into a form."""

import os
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import stripe

from billing import stripe_endpoints
from billing.config import SANDBOX_SECRET_KEY, SANDBOX_WEBHOOK_SECRET, Settings
from billing.ids import new_id
from billing.local.ports import free_port
from billing.local.sandbox import Sandbox as EmbeddedSandbox
from billing.webhooks.handlers import HANDLERS
from tests.cli.support import Billing
from tests.sandbox.running import SECRET_KEY, Sandbox, client, running, until
from tests.support.environment import environment

URL = "https://billing.example.com/api/finances/webhooks/stripe/"
ENSURE = ("webhook", "ensure")
OURS = (*ENSURE, "--url", URL)


@pytest.fixture(scope="module")
def _stripe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running(tmp_path_factory.mktemp("stripe"), URL.replace("billing", "nobody")) as sandbox:
        yield sandbox


@pytest.fixture
def there(_stripe: Sandbox) -> Sandbox:
    """A new account at Stripe, whose key is nobody's sandbox's."""
    _stripe.tell("reset")
    return _stripe


@pytest.fixture
def variables(there: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """No database and no Valkey answer: before a first deployment there may be none."""
    at_stripe = {"STRIPE_API_BASE": there.url, "STRIPE_SECRET_KEY": SECRET_KEY}
    state = {"STATE_DIR": str(tmp_path_factory.mktemp("state"))}
    return environment("postgresql://x@127.0.0.1:1/x", "redis://127.0.0.1:1/0", **at_stripe, **state)


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody sleeps between tries; test_retry.py says how long it would be."""
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _seconds: None)


def endpoints(there: Sandbox) -> list[dict[str, Any]]:
    return [endpoint.to_dict() for endpoint in there.v1.webhook_endpoints.list().data]


def add_endpoint(there: Sandbox, **params: Any) -> str:
    asked: Any = {"url": URL, "enabled_events": [*HANDLERS], "api_version": stripe.api_version, **params}
    return there.v1.webhook_endpoints.create(asked).id


def test_where_there_is_none_it_is_made_and_its_secret_is_shown_once(billing: Billing, there: Sandbox) -> None:
    said = billing(*OURS)
    [made] = endpoints(there)
    assert (said.status, said.err) == (0, "")
    assert made["url"] == URL
    assert set(made["enabled_events"]) == set(HANDLERS)
    assert (made["api_version"], made["status"]) == (stripe.api_version, "enabled")
    assert said.out.count("whsec_") == 1
    assert "it belongs into STRIPE_WEBHOOK_SECRET" in said.out
    again = billing(*OURS)
    assert (again.status, again.out) == (
        0,
        f"{made['id']} has {URL} and every event type that is handled; nothing to do\n",
    )
    assert endpoints(there) == [made]


def test_programs_read_the_secret_where_one_was_made(billing: Billing, there: Sandbox) -> None:
    told = billing(*OURS, "--json").json
    [made] = endpoints(there)
    secret = told.pop("secret")
    assert secret.startswith("whsec_")
    assert told == {"dry_run": False, "endpoint": made["id"], "url": URL, "changed": [], "created": True}
    again = billing(*OURS, "--json").json
    assert again == {"dry_run": False, "endpoint": made["id"], "url": URL, "changed": [], "created": False}


def test_the_secret_that_it_brings_may_be_missing_before(
    billing: Billing, there: Sandbox, variables: dict[str, str]
) -> None:
    """Everything else refuses to start without one, and this is where it comes from; anything else is needed."""
    del variables["STRIPE_WEBHOOK_SECRET"]
    assert billing(*OURS).status == 0
    assert len(endpoints(there)) == 1
    del variables["DATABASE_URL"]
    assert billing(*OURS).complaint.startswith("DATABASE_URL: is not set")


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ([*HANDLERS][:-1], "enabled_events: added customer.deleted"),
        ([*HANDLERS, "charge.captured"], "enabled_events: removed charge.captured"),
        (["*"], "removed *"),
    ],
)
def test_other_event_types_than_ours_are_mended(billing: Billing, there: Sandbox, found: list[str], told: str) -> None:
    """What is missing is lost until it is read by hand, what is more is work for nothing."""
    endpoint = add_endpoint(there, enabled_events=found, metadata={"of": "somebody"})
    assert f"{endpoint} would be changed: " in billing(*OURS, "--dry-run").out
    assert set(endpoints(there)[0]["enabled_events"]) == set(found)
    said = billing(*OURS)
    assert (said.status, "whsec_" in said.out) == (0, False)
    assert said.out.startswith(f"{endpoint} changed: enabled_events: ")
    assert told in said.out
    [mended] = endpoints(there)
    assert set(mended["enabled_events"]) == set(HANDLERS)
    assert (mended["id"], mended["metadata"]) == (endpoint, {"of": "somebody"})


def test_a_disabled_endpoint_is_enabled(billing: Billing, there: Sandbox) -> None:
    """Stripe disables what failed for days, and nobody enables it again by itself."""
    endpoint = add_endpoint(there, enabled_events=["invoice.paid"])
    there.v1.webhook_endpoints.update(endpoint, {"disabled": True})
    told = billing(*OURS, "--json").json
    assert (told["endpoint"], told["changed"], told["created"]) == (endpoint, ["enabled_events", "status"], False)
    [mended] = endpoints(there)
    assert (mended["status"], set(mended["enabled_events"])) == ("enabled", set(HANDLERS))


def test_the_order_of_the_types_is_no_difference(billing: Billing, there: Sandbox) -> None:
    add_endpoint(there, enabled_events=[*HANDLERS][::-1])
    assert billing(*OURS).out.endswith("nothing to do\n")


@pytest.mark.parametrize(
    ("versions", "told_as"), [({"api_version": "2024-06-20"}, "2024-06-20"), ({}, "the account's version")]
)
def test_another_version_is_told_with_its_mend(
    billing: Billing, there: Sandbox, versions: dict[str, str], told_as: str
) -> None:
    """Its events have other shapes than those that are read here, and Stripe lets nobody change it."""
    asked: Any = {"url": URL, "enabled_events": [*HANDLERS], **versions}
    endpoint = there.v1.webhook_endpoints.create(asked).id
    told = billing(*OURS).complaint
    assert told.startswith(f"{endpoint} speaks {told_as}, and ")
    assert f"{stripe.api_version} is read here" in told
    assert f"create a new one and delete the old: delete {endpoint} at Stripe" in told
    there.v1.webhook_endpoints.update(endpoint, {"disabled": True})
    said = billing(*OURS, "--json")
    assert (said.status, said.json["changed"]) == (1, ["status"])
    assert len(said.err.splitlines()) == 1
    there.v1.webhook_endpoints.delete(endpoint)
    assert billing(*OURS).status == 0


def test_several_with_our_address_are_for_a_person(billing: Billing, there: Sandbox) -> None:
    ids = [add_endpoint(there, enabled_events=["invoice.paid"]) for _ in range(2)]
    told = billing(*OURS).complaint
    assert told == f"2 endpoints at Stripe have {URL}: {ids[1]}, {ids[0]}; keep one, delete the others"
    assert [one["enabled_events"] for one in endpoints(there)] == [["invoice.paid"]] * 2


def test_endpoints_of_others_are_left_alone(billing: Billing, there: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account may serve several systems, more than a page of them; ours is found among them all."""
    monkeypatch.setattr(stripe_endpoints, "PAGE", 2)
    ours = add_endpoint(there)
    for place in range(4):
        add_endpoint(there, url=f"https://other{place}.example.com/", enabled_events=["*"])
    before = endpoints(there)
    assert billing(*OURS, "--json").json["endpoint"] == ours
    assert endpoints(there) == before


def test_a_dry_run_says_what_it_would_make(billing: Billing, there: Sandbox) -> None:
    said = billing(*OURS, "--dry-run")
    assert (said.status, said.out) == (
        0,
        f"an endpoint would be created for {URL}, version {stripe.api_version}\n",
    )
    told = billing(*OURS, "--dry-run", "--json").json
    assert told == {"dry_run": True, "endpoint": None, "url": URL, "changed": [], "created": True}
    assert endpoints(there) == []


def test_an_answer_that_is_lost_makes_no_second_endpoint(billing: Billing, there: Sandbox) -> None:
    """It is sent again under the same key, and the answer still holds the secret."""
    there.tell("faults", [{"match": {"method": "POST"}, "when": "after", "times": 1, "do": {"cut": True}}])
    secret = billing(*OURS, "--json").json["secret"]
    assert secret.startswith("whsec_")
    assert len(endpoints(there)) == 1


def test_troubles_with_stripe_are_one_line(billing: Billing, there: Sandbox, variables: dict[str, str]) -> None:
    """Nothing goes on trying by itself, so nobody is told that it does."""
    variables["STRIPE_SECRET_KEY"] = "sk_test_of_somebody_else"
    told = billing(*OURS).complaint
    assert told.startswith("Stripe refuses STRIPE_SECRET_KEY; a restricted key needs webhook endpoints, read and write")
    variables["STRIPE_SECRET_KEY"] = SECRET_KEY
    there.fault({"status": 500}, "/v1/webhook_endpoints")
    assert billing(*OURS).complaint.startswith("Stripe is busy or gave no answer; try again in a moment")
    variables["STRIPE_API_BASE"] = "http://127.0.0.1:1"
    told = billing(*OURS).complaint
    assert told == "Stripe cannot be reached at http://127.0.0.1:1; try again: what was done is not done twice"


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--url", "http://billing.example.com/api/finances/webhooks/stripe/"),
        ("--url", "billing.example.com"),
        ("--url", "https://"),
        ("--url", "https://billing.example.com:port/"),
        ("--url", "https://billing.example.com/a b/"),
        ("--url", "ftp://billing.example.com/"),
        ("--address", URL),
    ],
)
def test_wrong_usage_is_exit_2(billing: Billing, there: Sandbox, words: tuple[str, ...]) -> None:
    """Stripe sends to https only, and nothing here can guess the address that the world knows us by."""
    assert billing(*ENSURE, *words).status == 2
    assert endpoints(there) == []


def test_a_live_key_takes_https_only(billing: Billing, variables: dict[str, str]) -> None:
    variables |= {"APP_ENV": "staging", "STRIPE_SECRET_KEY": "sk_live_mine", "STRIPE_PUBLISHABLE_KEY": "pk_live_mine"}
    del variables["STRIPE_API_BASE"]
    said = billing(*ENSURE, "--url", "http://billing.example.com/")
    assert (said.status, "Stripe sends events to https only" in said.err) == (2, True)


def test_no_secret_shows_in_what_may_be_logged(there: Sandbox, variables: dict[str, str]) -> None:
    asked = stripe_endpoints.StripeEndpoints(Settings.load(variables), new_id())
    found = stripe_endpoints.ensure(asked, URL, is_dry=False)
    assert found.endpoint is not None
    assert found.endpoint.secret is not None
    assert found.endpoint.secret not in repr(found)


def test_a_key_that_may_not_manage_endpoints_brakes_no_payment(
    billing: Billing, there: Sandbox, variables: dict[str, str], valkey_url: str
) -> None:
    """A restricted key can be right for payments and wrong for this."""
    from redis import Redis  # noqa: PLC0415

    variables["REDIS_URL"] = valkey_url
    there.fault({"status": 403}, "/v1/webhook_endpoints")
    assert billing(*OURS).complaint.startswith("Stripe refuses STRIPE_SECRET_KEY")
    with Redis.from_url(valkey_url) as valkey:
        assert valkey.keys() == []


@pytest.fixture
def at_the_sandbox(tmp_path_factory: pytest.TempPathFactory, variables: dict[str, str]) -> Iterator[str]:
    """The embedded sandbox, as `make run` starts it beside a door; its address."""
    door, port = free_port(), free_port()
    state = tmp_path_factory.mktemp("embedded")
    embedded = EmbeddedSandbox(state, port, f"http://127.0.0.1:{door}", os.environ)
    embedded.prepare()
    variables |= {"STRIPE_SECRET_KEY": SANDBOX_SECRET_KEY, "STRIPE_API_BASE": embedded.url, "PORT": str(door)}
    program = embedded.program
    process = subprocess.Popen(program.argv, env={**program.environment})
    try:
        until(lambda: _answers(embedded.url), "the sandbox answers")
        yield embedded.url
    finally:
        process.terminate()
        process.wait(timeout=10)


def _answers(url: str) -> bool:
    try:
        return bool(httpx2.get(f"{url}/_sandbox/health").is_success)
    except httpx2.TransportError:
        return False


def test_at_the_sandbox_the_door_of_this_machine_is_meant(
    billing: Billing, at_the_sandbox: str, variables: dict[str, str]
) -> None:
    """And its secret is the one that the sandbox signs with, so what is printed works."""
    told = billing(*ENSURE, "--json").json
    assert told["url"] == f"http://127.0.0.1:{variables['PORT']}/api/finances/webhooks/stripe/"
    assert (told["created"], told["secret"]) == (True, SANDBOX_WEBHOOK_SECRET)
    assert billing(*ENSURE, "--url", told["url"]).out.endswith("nothing to do\n")
    other = "http://127.0.0.1:9/api/finances/webhooks/stripe/"
    assert billing(*ENSURE, "--url", other, "--json").json["secret"] != SANDBOX_WEBHOOK_SECRET
    listed = client(at_the_sandbox, SANDBOX_SECRET_KEY).v1.webhook_endpoints.list().data
    assert [endpoint.url for endpoint in listed] == [other, told["url"]]
    variables["STRIPE_API_BASE"] = "http://127.0.0.1:1"
    assert "start it with `make run`" in billing(*ENSURE).complaint
