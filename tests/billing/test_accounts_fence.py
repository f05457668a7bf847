"""Nothing is charged behind a wish to cancel: random lives of a subscription, with workers that die and hints that
come in any order."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from billing.db import Begin
from billing.deployment import Deployment
from billing.purchases.accept import Caller
from billing.secrets import Vault
from billing.states import ENDED_SUBSCRIPTIONS, AccountAction, ActState, StaleKind
from tests.support.accounts import MONTHLY, STUDENT, Dead, Home
from tests.support.gateway import FakeGateway

EXAMPLES, STEPS = 15, 16
COULD_CHARGE = (":account.pay:", ":account.change_plan:", ":account.resume:")
"""In the keys of calls."""

A = AccountAction
AT_END, AT_ONCE = {"at_period_end": True}, {"at_period_end": False}
WISHES: list[tuple[AccountAction, dict[str, Any]]] = [
    (A.CANCEL, AT_END),
    (A.CANCEL, AT_END),
    (A.CANCEL, AT_ONCE),
    (A.RESUME, {}),
    (A.RESUME, {}),
    (A.PAY, {}),
    (A.PAY, {}),
    (A.CHANGE_PLAN, {"plan_id": STUDENT}),
    (A.CHANGE_PLAN, {"plan_id": MONTHLY}),
    (A.PAUSE, {}),
]
CANCEL, RESUME, PAY, CHANGE = WISHES[0], WISHES[3], WISHES[5], WISHES[7]
WHICH = st.integers(0, 3)
STEP = st.one_of(
    st.tuples(st.just("wish"), st.sampled_from(WISHES)),
    st.tuples(st.just("do"), st.sampled_from(WISHES)),
    st.tuples(st.just("do"), st.sampled_from(WISHES)),
    st.tuples(st.just("work"), WHICH),
    st.tuples(st.just("work"), WHICH),
    st.tuples(st.just("die"), st.tuples(WHICH, st.sampled_from(["troubles", "lost"]))),
    st.tuples(st.just("cancel_meanwhile"), st.tuples(WHICH, st.sampled_from([AT_END, AT_ONCE]))),
    st.tuples(st.just("renew"), st.booleans()),
    st.tuples(st.just("retry"), st.none()),
    st.tuples(st.just("hear"), st.none()),
)
Step = tuple[str, Any]


@dataclass
class Life:
    """One subscription, and what was true of it when its end was answered `done`."""

    home: Home
    cancelled: UUID | None = None
    calls: int = 0
    paid: set[str] = field(default_factory=set)
    under_way: set[str] = field(default_factory=set)

    def wish(self, wish: tuple[AccountAction, dict[str, Any]]) -> None:
        self.home.accept(*wish)

    def do(self, wish: tuple[AccountAction, dict[str, Any]]) -> None:
        """Asked for, and everything worked that waits."""
        self.wish(wish)
        while any(act.due_at is not None for act in self.home.acts()):
            self.work(0)
            self.prove()

    def work(self, which: int) -> None:
        waiting = [act for act in self.home.acts() if act.due_at is not None]
        if waiting:
            self.home.perform(waiting[which % len(waiting)].id)

    def die(self, how: tuple[int, str]) -> None:
        """Before Stripe has the first call, or after its answer."""
        which, point = how
        setattr(self.home.gateway, point, [Dead()])
        try:
            self.work(which)
        except Dead:
            return
        finally:
            self.home.gateway.troubles, self.home.gateway.lost = [], []

    def cancel_meanwhile(self, how: tuple[int, dict[str, bool]]) -> None:
        """The door accepts a cancel while a worker speaks with Stripe."""
        which, parameters = how
        gateway = self.home.gateway
        call: Callable[..., Any] = gateway.change_subscription

        def change_subscription(*arguments: Any) -> Any:
            vars(gateway).pop("change_subscription", None)
            self.home.accept(A.CANCEL, parameters)
            return call(*arguments)

        vars(gateway)["change_subscription"] = change_subscription
        self.work(which)
        vars(gateway).pop("change_subscription", None)

    def renew(self, paid: bool) -> None:
        self.home.gateway.renew(self.subscription_id, paid=paid)

    def retry(self, _: None) -> None:
        """Stripe tries an open invoice again, as it does by itself while the subscription lives."""
        if self.home.gateway.subscriptions[self.subscription_id].status not in ENDED_SUBSCRIPTIONS:
            for invoice_id in self.invoices("open"):
                self.home.gateway.settle(invoice_id)

    def hear(self, _: None) -> None:
        self.home.hear_of(StaleKind.SUBSCRIPTION, self.subscription_id)

    @property
    def subscription_id(self) -> str:
        return self.home.subscription().stripe_subscription_id

    def invoices(self, status: str) -> set[str]:
        theirs = self.home.gateway.invoices_of(self.subscription_id)
        return {invoice.id for invoice in theirs if invoice.status == status}

    def prove(self) -> None:
        """After a cancel that was done, and that no resume follows, there is no call that could charge, and nothing is
        paid but what was an open invoice before."""
        final = self._final_cancel()
        if final != self.cancelled:
            self.cancelled, self.calls = final, len(self.home.gateway.calls)
            self.paid, self.under_way = self.invoices("paid"), self.invoices("open")
        if final is not None:
            since = self.home.gateway.calls[self.calls :]
            assert [key for _, key in since if any(word in key for word in COULD_CHARGE)] == []
            assert self.invoices("paid") - self.paid <= self.under_way
            row = self.home.subscription()
            assert row.cancel_requested_at is not None or row.status in ENDED_SUBSCRIPTIONS

    def _final_cancel(self) -> UUID | None:
        """The last one that was done, unless a resume was accepted after it: that may be at work already."""
        final = None
        for act in self.home.acts():
            if act.action is A.CANCEL and act.state is ActState.DONE:
                final = act.id
            elif act.action is A.RESUME and act.state is not ActState.REFUSED:
                final = None
        return final

    def finish(self) -> None:
        """Every wish is decided at last, and what stands then is what the last of them wanted."""
        while waiting := [act for act in self.home.acts() if act.due_at is not None]:
            self.home.perform(waiting[0].id)
            self.prove()
        self.hear(None)
        row = self.home.subscription()
        there = self.home.gateway.subscriptions[row.stripe_subscription_id]
        assert (row.status, row.cancel_at_period_end, row.is_paused) == (
            there.status,
            there.cancel_at_period_end,
            there.is_paused,
        )
        if row.status in ENDED_SUBSCRIPTIONS:
            return
        assert there.cancel_at_period_end == (self._final_cancel() is not None)
        assert (row.cancel_requested_at is not None) == there.cancel_at_period_end


@pytest.fixture
def gateway(now: datetime) -> FakeGateway:
    """One for all examples, which share a database: its names are never used twice."""
    return FakeGateway(now)


NUMBERS = iter(range(10**6))


@pytest.mark.timeout(400)
@hypothesis_settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a life is worked through a database: shrinking takes hours
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(is_behind=st.booleans(), steps=st.lists(STEP, min_size=4, max_size=STEPS))
@example(is_behind=True, steps=[("wish", PAY), ("wish", CANCEL), ("work", 1), ("work", 0)])
@example(is_behind=True, steps=[("do", CANCEL), ("do", PAY)])
@example(is_behind=True, steps=[("wish", PAY), ("die", (0, "troubles")), ("wish", CANCEL), ("work", 0), ("work", 0)])
@example(is_behind=False, steps=[("do", CANCEL), ("do", CHANGE)])
@example(is_behind=False, steps=[("do", CANCEL), ("wish", RESUME), ("cancel_meanwhile", (0, AT_END)), ("work", 0)])
@example(is_behind=False, steps=[("wish", CHANGE), ("die", (0, "lost")), ("wish", CANCEL), ("work", 0), ("work", 0)])
def test_nothing_is_charged_behind_a_wish_to_cancel(
    begin: Begin,
    deployment: Deployment,
    vault: Vault,
    now: datetime,
    database_url: str,
    gateway: FakeGateway,
    is_behind: bool,
    steps: list[Step],
) -> None:
    """Whatever else was on its way: who was told that it is cancelled is never charged again."""
    number = next(NUMBERS)
    owner = Caller(f"user-{number}", f"owner{number}@example.com", email_verified=True)
    home = Home(begin, deployment, vault, now, database_url, owner, gateway)
    home.let_workers_die()
    home.save_card(is_default=True)
    home.subscribe()
    life = Life(home)
    if is_behind:
        home.fall_behind(life.subscription_id)
    for name, how in steps:
        getattr(life, name)(how)
        life.prove()
    life.finish()
