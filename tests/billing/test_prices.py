"""A version of a plan is one product and one price at Stripe, whoever asks first and whatever is lost between."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Barrier

import pytest
from sqlalchemy import text

from billing.db import Begin
from billing.deployment import Deployment
from billing.gateway import InvalidRequestError, NoConnectionError, OutcomeUnknownError
from billing.ids import new_id
from billing.models import PricingPlan, PricingPlanVersion, StripePrice
from billing.purchases.desk import Desk
from billing.recurring import PriceThere, PriceWish
from billing.secrets import Vault
from billing.states import PlanType
from billing.subscriptions.prices import ensure_price
from tests.support.gateway import FakeGateway
from tests.support.leases import UnrenewedLeases

THREADS = 20


class Killed(BaseException):
    """What a SIGKILL looks like from inside: nothing after it runs."""


class Catalogue:
    """A plan of the month for 99.00 EUR, and a worker who needs its price."""

    def __init__(self, desk: Desk, gateway: FakeGateway) -> None:
        self.desk, self.gateway = desk, gateway
        with desk.begin() as session:
            plan = PricingPlan(code="ten-hours-a-month", created_at=desk.now)
            session.add(plan)
            session.flush()
            assert plan.id is not None
            self.plan_id = plan.id
        self.version_id = self.add_version(1, "Ten hours a month", 9_900)

    def add_version(self, version: int, name: str, cents: int) -> int:
        made = PricingPlanVersion(
            plan_id=self.plan_id,
            version=version,
            name=name,
            plan_type=PlanType.SUBSCRIPTION,
            minutes=600,
            price_cents=cents,
            effective_from=self.desk.now,
        )
        with self.desk.begin() as session:
            session.add(made)
        assert made.id is not None
        return made.id

    def ensure(self, version_id: int | None = None) -> str:
        return ensure_price(self.desk, version_id or self.version_id)

    def use(self, gateway: FakeGateway) -> None:
        self.desk, self.gateway = replace(self.desk, gateway=gateway), gateway

    def pass_time(self, minutes: float) -> None:
        self.desk = replace(self.desk, now=self.desk.now + timedelta(minutes=minutes))

    def rows(self) -> list[str]:
        with self.desk.begin() as session:
            return list(session.execute(text("SELECT stripe_price_id FROM stripe_price ORDER BY 1")).scalars())

    def calls(self, name: str) -> list[str]:
        return [key for called, key in self.gateway.calls if called == name]

    @property
    def lookup_key(self) -> str:
        return f"{self.desk.deployment.installation}:{self.version_id}"


@pytest.fixture
def catalogue(begin: Begin, deployment: Deployment, vault: Vault, now: datetime) -> Catalogue:
    gateway = FakeGateway(now)
    return Catalogue(Desk(begin, gateway, UnrenewedLeases(), vault, deployment, now), gateway)


def test_a_price_is_made_once_and_read_from_then_on(catalogue: Catalogue) -> None:
    made = catalogue.ensure()
    assert catalogue.ensure() == made
    assert (len(catalogue.gateway.calls), catalogue.gateway.looks) == (2, 1)
    with catalogue.desk.begin() as session:
        row = session.get_one(StripePrice, catalogue.version_id)
    price = catalogue.gateway.prices[catalogue.lookup_key]
    assert (row.stripe_price_id, row.stripe_product_id, row.made_at) == (made, price.product_id, catalogue.desk.now)


def test_what_stripe_is_told_is_the_plans(catalogue: Catalogue) -> None:
    catalogue.ensure()
    product_id = f"plan_{catalogue.desk.deployment.installation.hex}_{catalogue.plan_id}"
    assert catalogue.gateway.products == {product_id: "Ten hours a month"}
    price = catalogue.gateway.prices[catalogue.lookup_key]
    assert (price.product_id, price.amount_cents, price.currency) == (product_id, 9_900, "eur")


def test_versions_of_a_plan_are_prices_of_one_product(catalogue: Catalogue) -> None:
    """Also where the plan's name has changed: a key with another name would be refused."""
    later = catalogue.add_version(2, "Ten hours every month", 10_900)
    assert catalogue.ensure() != catalogue.ensure(later)
    assert len(catalogue.gateway.products) == 1
    assert sorted(price.amount_cents for price in catalogue.gateway.prices.values()) == [9_900, 10_900]


def test_another_installation_on_the_same_account_has_prices_of_its_own(catalogue: Catalogue) -> None:
    ours = catalogue.ensure()
    with catalogue.desk.begin() as session:
        session.execute(text("DELETE FROM stripe_price"))
    catalogue.desk = replace(catalogue.desk, deployment=replace(catalogue.desk.deployment, installation=new_id()))
    assert catalogue.ensure() != ours
    assert len(catalogue.gateway.products) == 2


def test_twenty_who_ask_at_once_get_one_price(catalogue: Catalogue) -> None:
    """All of them have found none before the first one makes it."""
    together = Barrier(THREADS)

    class Gathering(FakeGateway):
        def create_price(self, wish: PriceWish, key: str) -> PriceThere:
            together.wait(timeout=20)
            return super().create_price(wish, key)

    catalogue.use(Gathering(catalogue.desk.now))
    with ThreadPoolExecutor(THREADS) as pool:
        answers = [*pool.map(lambda _: catalogue.ensure(), range(THREADS))]
    assert set(answers) == {"price_1"}
    assert len(catalogue.gateway.prices) == len(catalogue.gateway.products) == 1
    assert catalogue.rows() == ["price_1"]


def test_a_price_whose_maker_was_killed_is_found(catalogue: Catalogue) -> None:
    class Dying(FakeGateway):
        def create_price(self, wish: PriceWish, key: str) -> PriceThere:
            super().create_price(wish, key)
            raise Killed

    dying = Dying(catalogue.desk.now)
    catalogue.use(dying)
    with pytest.raises(Killed):
        catalogue.ensure()
    assert catalogue.rows() == []
    survivor = FakeGateway(catalogue.desk.now)
    survivor.products, survivor.prices = dying.products, dying.prices
    catalogue.use(survivor)
    assert catalogue.ensure() == "price_1"
    assert survivor.calls == []


def test_a_product_without_its_price_gets_it(catalogue: Catalogue) -> None:
    catalogue.gateway.lost.append(Killed())
    with pytest.raises(Killed):
        catalogue.ensure()
    assert (len(catalogue.gateway.products), catalogue.gateway.prices) == (1, {})
    assert catalogue.ensure() == "price_1"
    assert len(catalogue.gateway.products) == 1
    assert len(set(catalogue.calls("ensure_product"))) == 1


def test_what_cannot_be_asked_is_tried_again(catalogue: Catalogue) -> None:
    """A look without an answer is not the certainty that there is no price."""
    catalogue.gateway.troubles.append(NoConnectionError())
    with pytest.raises(NoConnectionError):
        catalogue.ensure()
    assert catalogue.gateway.calls == []
    assert catalogue.ensure() == "price_1"


class Failing(FakeGateway):
    """As often as the same key comes, the same failure is repeated."""

    def create_price(self, wish: PriceWish, key: str) -> PriceThere:
        self.calls.append(("create_price", key))
        if len(set(self.keys_of_prices())) == 1:
            raise OutcomeUnknownError
        return super().create_price(wish, key)

    def keys_of_prices(self) -> list[str]:
        return [key for name, key in self.calls if name == "create_price"]


def test_a_failure_that_stripe_repeats_holds_buyers_up_for_an_hour_at_most(catalogue: Catalogue) -> None:
    """The name keeps another key from making another price."""
    failing = Failing(catalogue.desk.now)
    catalogue.use(failing)
    for _ in range(2):
        with pytest.raises(OutcomeUnknownError):
            catalogue.ensure()
        catalogue.pass_time(20)
    assert len(set(failing.keys_of_prices())) == 1
    catalogue.pass_time(21)
    assert catalogue.ensure() == "price_1"


def test_a_price_that_was_made_meanwhile_with_another_key_is_taken(catalogue: Catalogue) -> None:
    class Overtaken(FakeGateway):
        def create_price(self, wish: PriceWish, key: str) -> PriceThere:
            super().create_price(wish, "the key of another hour")
            return super().create_price(wish, key)

    catalogue.use(Overtaken(catalogue.desk.now))
    assert catalogue.ensure() == "price_1"
    assert catalogue.rows() == ["price_1"]


def test_a_refusal_for_another_reason_stays_one(catalogue: Catalogue) -> None:
    class Refusing(FakeGateway):
        def create_price(self, wish: PriceWish, key: str) -> PriceThere:
            raise InvalidRequestError(code="parameter_invalid")

    catalogue.use(Refusing(catalogue.desk.now))
    with pytest.raises(InvalidRequestError):
        catalogue.ensure()
    assert catalogue.rows() == []


@pytest.mark.parametrize("facts", [{"amount_cents": 9_901}, {"currency": "usd"}], ids=repr)
def test_a_price_that_asks_for_something_else_is_not_used(catalogue: Catalogue, facts: dict[str, object]) -> None:
    """Nobody is charged another amount than the one he agreed to."""
    catalogue.ensure()
    with catalogue.desk.begin() as session:
        session.execute(text("DELETE FROM stripe_price"))
    there = catalogue.gateway.prices
    there[catalogue.lookup_key] = replace(there[catalogue.lookup_key], **facts)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequestError) as caught:
        catalogue.ensure()
    assert caught.value.code == "price_differs"
    assert catalogue.rows() == []
