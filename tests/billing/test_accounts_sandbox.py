"""What owners of accounts ask for, at the sandbox: the words that Stripe itself uses for it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from billing.db import Begin
from billing.deployment import Deployment
from billing.models import AccountAct
from billing.recurring import InvoiceThere
from billing.secrets import Vault
from billing.states import AccountAction, ActState, StaleKind
from billing.stripe_gateway import StripeGateway
from tests.sandbox.running import SECRET_KEY, Sandbox, running
from tests.sandbox.subscribing import pass_to
from tests.support.accounts import ANA, STUDENT, Home, refusal
from tests.support.environment import make_settings

A = AccountAction
DONE = ActState.DONE
HOUR = 3600


@pytest.fixture(scope="module")
def running_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running(tmp_path_factory.mktemp("sandbox"), "http://127.0.0.1:1/") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    running_sandbox.tell("reset")
    return running_sandbox


class SandboxHome(Home):
    """As `Home`, with its customer, cards and subscription at the sandbox."""

    sandbox: Sandbox

    def settle(self, invoice: InvoiceThere) -> None:
        """In a browser."""
        paid = {"payment_method": "pm_card_visa"}
        self.sandbox.v1.payment_intents.confirm(invoice.payment_intent_id or "", paid)  # type: ignore[arg-type]

    def attach(self, name: str = "pm_card_visa") -> str:
        """One of Stripe's test cards, which has a name of its own once it is attached."""
        act = self.do(A.ATTACH_CARD, {"payment_method_id": name})
        assert (act.state, act.error_message) == (DONE, None)
        return str((act.result or {})["payment_method_id"])

    def with_card(self, action: AccountAction, card_id: str) -> AccountAct:
        return self.do(action, {"payment_method_id": card_id})

    def default_there(self) -> str | None:
        return self.desk.gateway.retrieve_customer(self.customer_id).default_card_id

    def cards_there(self) -> dict[str, bool]:
        default = self.default_there()
        return {card.id: card.id == default for card in self.desk.gateway.list_cards(self.customer_id)}


@pytest.fixture
def home(begin: Begin, deployment: Deployment, vault: Vault, database_url: str, sandbox: Sandbox) -> SandboxHome:
    address = {"STRIPE_API_BASE": sandbox.url, "STRIPE_SECRET_KEY": SECRET_KEY}
    real = StripeGateway(make_settings(database_url, "redis://127.0.0.1:1/0", **address))
    now = datetime.now(UTC).replace(microsecond=0)
    made = SandboxHome(begin, deployment, vault, now, database_url, ANA, line=real)
    made.sandbox = sandbox
    return made


def test_cards_come_and_go_as_stripe_has_them(home: SandboxHome, vault: Vault) -> None:
    """After each wish our rows say what a question to Stripe says."""
    setup = home.do(A.ADD_CARD)
    assert setup.client_secret is not None
    setup_id = str((setup.result or {})["setup_intent_id"])
    assert vault.open(setup.client_secret).startswith(setup_id)
    home.sandbox.v1.setup_intents.confirm(setup_id, {"payment_method": "pm_card_visa"})
    home.hear_of(StaleKind.CUSTOMER, home.customer_id)
    (first,) = home.saved()
    assert home.with_card(A.ATTACH_CARD, first).state is DONE
    second = home.attach("pm_card_mastercard")
    for _ in range(2):  # as our acts wrote it down, and as Stripe says when it is asked
        assert home.saved() == home.cards_there() == {first: True, second: False}
        home.ask()
    assert home.with_card(A.DEFAULT_CARD, second).state is DONE
    assert home.saved() == home.cards_there() == {first: False, second: True}
    assert home.with_card(A.REMOVE_CARD, second).state is DONE
    assert home.saved() == home.cards_there() == {first: True}
    home.ask()
    assert home.saved() == {first: True}


def test_a_card_that_its_bank_does_not_want_kept(home: SandboxHome) -> None:
    act = home.do(A.ATTACH_CARD, {"payment_method_id": "pm_card_visa_chargeDeclined"})
    assert refusal(act) == ("refused", "card_error")
    assert home.saved() == {}


def test_a_subscription_becomes_what_its_owner_wants(home: SandboxHome) -> None:
    """Paused, resumed, of another plan, to end, resumed, and ended."""
    subscription_id = home.subscribe().id
    steps = [(A.PAUSE, {}), (A.RESUME, {}), (A.CHANGE_PLAN, {"plan_id": STUDENT})]
    steps += [(A.CANCEL, {"at_period_end": True}), (A.RESUME, {}), (A.CANCEL, {"at_period_end": False})]
    seen = []
    for action, parameters in steps:
        act = home.do(action, parameters)
        assert (act.state, act.error_message) == (DONE, None)
        row, there = home.subscription(), home.desk.gateway.retrieve_subscription(subscription_id)
        assert (row.status, row.is_paused, row.cancel_at_period_end) == (
            there.status,
            there.is_paused,
            there.cancel_at_period_end,
        )
        seen.append((there.status, there.is_paused, there.cancel_at_period_end))
        home.ask()
    assert seen == [
        ("active", True, False),
        ("active", False, False),
        ("active", False, False),
        ("active", False, True),
        ("active", False, False),
        ("canceled", False, False),
    ]
    assert home.subscription().plan_version_id == home.version(STUDENT).id


def test_a_renewal_that_failed_is_paid_with_another_card(home: SandboxHome) -> None:
    """The bank says no to the one card, at the renewal and once more; the other one pays."""
    there = home.subscribe()
    home.hear_of(StaleKind.CUSTOMER, home.customer_id)
    (good,) = home.saved()
    bad = home.attach("pm_card_chargeCustomerFail")
    assert home.with_card(A.DEFAULT_CARD, bad).state is DONE
    pass_to(home.sandbox, int(there.period_end.timestamp()) + 2 * HOUR)
    home.pass_time((there.period_end - home.desk.now) / timedelta(minutes=1) + 120)
    home.hear_of(StaleKind.SUBSCRIPTION, there.id)
    assert home.subscription().status == "past_due"
    declined = home.do(A.PAY)
    assert refusal(declined) == ("refused", "card_error")
    assert home.with_card(A.DEFAULT_CARD, good).state is DONE
    paid = home.do(A.PAY)
    assert (paid.state, paid.error_message) == (DONE, None)
    home.ask()
    assert (home.subscription().status, home.subscription().invoice_id) == ("active", None)
    assert home.saved() == {bad: False, good: True}
