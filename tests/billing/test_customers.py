"""A student is one customer at Stripe, whoever asks first and whatever is lost between the call and the commit."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Barrier

import pytest
from sqlalchemy import Engine, text

from billing.customers.ensure import ensure_customer
from billing.db import Begin
from billing.deployment import Deployment
from billing.gateway import NoConnectionError, OutcomeUnknownError
from billing.ids import installation_mark, new_id, stripe_key
from billing.models import StripeCustomer
from billing.purchases.desk import Desk
from billing.recurring import CustomerThere
from billing.secrets import Vault
from tests.support.factories import add_student
from tests.support.gateway import FakeGateway
from tests.support.leases import UnrenewedLeases

THREADS = 20


class Killed(BaseException):
    """What a SIGKILL looks like from inside: nothing after it runs."""


class Registry:
    """One student, and a worker who needs his customer; its clock is moved by tests."""

    def __init__(self, desk: Desk, gateway: FakeGateway, student_id: int) -> None:
        self.desk, self.gateway, self.student_id = desk, gateway, student_id

    def ensure(self, student_id: int | None = None) -> str:
        return ensure_customer(self.desk, student_id or self.student_id)

    def lose(self, *errors: BaseException) -> None:
        """The customer is made, and its answer never comes."""
        self.gateway.lost.extend(errors)
        with pytest.raises(type(errors[0])):
            self.ensure()

    def fail(self, *errors: BaseException) -> None:
        """Nothing is made."""
        self.gateway.troubles.extend(errors)
        with pytest.raises(type(errors[0])):
            self.ensure()

    def pass_time(self, **time: float) -> None:
        now = self.desk.now + timedelta(**time)
        self.desk, self.gateway.now = replace(self.desk, now=now), now

    def row(self) -> StripeCustomer:
        with self.desk.begin() as session:
            return session.get_one(StripeCustomer, self.student_id)

    def keys(self) -> list[str]:
        return [key for _, key in self.gateway.calls]

    def key(self, attempt: int) -> str:
        return stripe_key(self.desk.deployment.installation, "customer.create", self.row().id, attempt)


@pytest.fixture
def registry(begin: Begin, deployment: Deployment, vault: Vault, now: datetime) -> Registry:
    gateway = FakeGateway(now)
    desk = Desk(begin, gateway, UnrenewedLeases(), vault, deployment, now)
    return Registry(desk, gateway, add_student(begin, at=now))


def with_gateway(registry: Registry, gateway: FakeGateway) -> None:
    registry.desk, registry.gateway = replace(registry.desk, gateway=gateway), gateway


def test_the_first_who_asks_makes_the_customer_and_the_next_one_reads_it(registry: Registry) -> None:
    made = registry.ensure()
    assert registry.ensure() == made
    assert len(registry.gateway.calls) == 1
    row = registry.row()
    assert (row.stripe_customer_id, row.attempt, row.made_at) == (made, 1, registry.desk.now)


def test_a_customer_is_marked_with_its_row(registry: Registry) -> None:
    """By the mark it is found again, and no other installation takes it for its own."""
    made = registry.ensure()
    mark = installation_mark(registry.desk.deployment.installation, registry.row().id)
    assert registry.gateway.customers[made].mark == mark


def test_each_student_is_a_customer_of_his_own(registry: Registry) -> None:
    other = add_student(registry.desk.begin, "eva@example.com", at=registry.desk.now)
    assert registry.ensure() != registry.ensure(other)


def test_the_row_is_there_before_stripe_is_asked(registry: Registry) -> None:
    registry.fail(NoConnectionError())
    row = registry.row()
    assert (row.stripe_customer_id, row.made_at, row.attempt) == (None, None, 1)


def test_no_transaction_is_open_while_stripe_is_asked(registry: Registry, engine: Engine) -> None:
    """An answer may take longer than the database lets a transaction wait."""
    open_ones: list[int] = []

    class Watched(FakeGateway):
        def create_customer(self, mark: str, key: str) -> CustomerThere:
            with engine.connect() as connection:
                waiting = (
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE :state"
                )
                open_ones.append(connection.execute(text(waiting), {"state": "idle in transaction%"}).scalar_one())
            return super().create_customer(mark, key)

    with_gateway(registry, Watched(registry.desk.now))
    registry.ensure()
    assert open_ones == [0]


def test_twenty_who_ask_at_once_get_one_customer(registry: Registry) -> None:
    """All of them are in the call before the first answer is kept."""
    together = Barrier(THREADS)

    class Gathering(FakeGateway):
        def create_customer(self, mark: str, key: str) -> CustomerThere:
            together.wait(timeout=20)
            return super().create_customer(mark, key)

    with_gateway(registry, Gathering(registry.desk.now))
    with ThreadPoolExecutor(THREADS) as pool:
        answers = [*pool.map(lambda _: registry.ensure(), range(THREADS))]
    assert set(answers) == {"cus_1"}
    assert [*registry.gateway.customers] == ["cus_1"]
    assert registry.keys() == [registry.key(1)] * THREADS


def test_one_who_was_killed_before_the_record_made_the_same_customer(registry: Registry) -> None:
    registry.lose(Killed())
    assert registry.row().stripe_customer_id is None
    assert registry.ensure() == "cus_1"
    assert [*registry.gateway.customers] == ["cus_1"]
    assert registry.keys() == [registry.key(1)] * 2


def test_when_the_key_is_no_longer_trusted_the_customer_is_looked_for(registry: Registry) -> None:
    """Stripe forgets a key after a day: the same key would make another customer."""
    registry.lose(Killed())
    registry.pass_time(hours=23)
    assert registry.ensure() == "cus_1"
    assert len(registry.gateway.calls) == 1
    assert registry.row().attempt == 1


def test_just_before_that_the_same_key_is_sent(registry: Registry) -> None:
    registry.lose(Killed())
    registry.pass_time(hours=22, minutes=59)
    registry.ensure()
    assert registry.keys() == [registry.key(1)] * 2
    assert registry.gateway.looks == 0


def test_a_customer_that_was_made_by_a_clock_of_another_hour_is_found(registry: Registry) -> None:
    registry.gateway.now -= timedelta(minutes=59)
    registry.lose(Killed())
    registry.pass_time(days=3)
    assert registry.ensure() == "cus_1"


def test_one_that_is_certainly_not_there_is_made_with_another_key(registry: Registry) -> None:
    registry.fail(NoConnectionError())
    registry.pass_time(days=2)
    assert registry.ensure() == "cus_1"
    row = registry.row()
    assert (row.attempt, row.prepared_at) == (2, registry.desk.now)
    assert registry.keys() == [registry.key(1), registry.key(2)]


def test_a_late_look_does_not_begin_an_attempt_over_a_customer_that_was_kept(registry: Registry) -> None:
    """Between the look and its record somebody, whose clock says that the key is good, has made it."""
    registry.fail(NoConnectionError())
    young = Registry(registry.desk, registry.gateway, registry.student_id)

    class Overtaken(FakeGateway):
        def find_customer(self, mark: str, since: datetime, until: datetime) -> CustomerThere | None:
            found = super().find_customer(mark, since, until)
            young.ensure()
            return found

    overtaken = Overtaken(registry.desk.now)
    with_gateway(registry, overtaken)
    with_gateway(young, overtaken)
    registry.pass_time(days=2)
    assert registry.ensure() == "cus_1"
    assert registry.row().attempt == 1


def test_a_look_without_an_answer_changes_nothing(registry: Registry) -> None:
    """Only the certainty that there is none begins another attempt."""
    registry.lose(Killed())
    registry.pass_time(days=2)
    registry.fail(NoConnectionError())
    assert registry.row().attempt == 1
    assert registry.ensure() == "cus_1"


def test_a_failure_that_stripe_repeats_does_not_hold_a_student_up_for_a_day(registry: Registry) -> None:
    """Stripe answers a key as it did the first time, with a failure too."""
    registry.fail(OutcomeUnknownError())
    registry.pass_time(minutes=4)
    registry.fail(OutcomeUnknownError())
    assert registry.gateway.looks == 0
    registry.pass_time(minutes=1)
    registry.gateway.troubles.append(OutcomeUnknownError())
    assert registry.ensure() == "cus_1"
    assert registry.keys() == [*[registry.key(1)] * 3, registry.key(2)]


def test_a_failure_that_hides_a_customer_makes_no_second_one(registry: Registry) -> None:
    registry.lose(OutcomeUnknownError())
    registry.pass_time(minutes=5)
    registry.gateway.lost.append(OutcomeUnknownError())
    assert registry.ensure() == "cus_1"
    assert [*registry.gateway.customers] == ["cus_1"]
    assert registry.row().attempt == 1


def give_up(registry: Registry) -> None:
    """As whoever hears that Stripe has deleted it."""
    with registry.desk.begin() as session:
        raised = "UPDATE stripe_customer SET attempt = attempt + 1, stripe_customer_id = NULL, made_at = NULL"
        session.execute(text(f"{raised}, id = :id, prepared_at = :at"), {"id": new_id(), "at": registry.desk.now})


def test_a_deleted_customer_is_made_anew(registry: Registry) -> None:
    former = registry.ensure()
    registry.gateway.delete_customer(former)
    give_up(registry)
    made = registry.ensure()
    assert made != former
    assert registry.row().stripe_customer_id == made
    assert registry.keys()[-1] == registry.key(2)


@pytest.mark.parametrize("ends", [False, True], ids=["which goes on", "which has ended"])
def test_a_slow_answer_is_not_kept_over_a_later_attempt(registry: Registry, ends: bool) -> None:
    """Its customer is the one that was deleted: the later attempt decides."""
    others = Registry(registry.desk, registry.gateway, registry.student_id)

    class Slow(FakeGateway):
        meanwhile: Callable[[], object] | None = None

        def create_customer(self, mark: str, key: str) -> CustomerThere:
            answer = super().create_customer(mark, key)
            todo, self.meanwhile = self.meanwhile, None
            if todo is not None:
                todo()
            return answer

    slow = Slow(registry.desk.now)
    with_gateway(registry, slow)
    with_gateway(others, slow)

    def overtake() -> None:
        assert others.ensure() == "cus_1"
        slow.delete_customer("cus_1")
        give_up(others)
        if ends:
            assert others.ensure() == "cus_2"

    slow.meanwhile = overtake
    assert registry.ensure() == "cus_2"
    assert registry.row().stripe_customer_id == "cus_2"
    assert len(slow.customers) == 2
