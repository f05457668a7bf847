"""Stories of subscriptions: how the truth at Stripe goes on, and what is heard of it, in whatever order."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import permutations
from typing import Any

from sqlalchemy import text
from sqlmodel import select

from billing.ids import new_id
from billing.messages import AskStripe
from billing.models import AccountAct
from billing.recurring import SubscriptionThere
from billing.stale.ask import ask_stripe
from billing.states import AccountAction, ActState
from billing.subscriptions.found import apply_change
from tests.support.factories import event_body, open_now
from tests.support.subscribers import FAMILY, Subscribed, Subscribers, invoice_body, paid_body, subscription_body

# Everything that may differ between two ends, without ids and without instants of our own clock.
STANDING = text(
    """
    SELECT student.id AS student_id, jsonb_build_object(
        'subscription', (
            SELECT jsonb_agg(jsonb_build_array(status, plan_version_id, period_start, period_end, cancel_at_period_end,
                is_paused, invoice_id IS NOT NULL, invoice_secret IS NOT NULL, invoice_cents, invoice_attempts,
                next_attempt_at, ended_at, cancel_requested_at IS NOT NULL))
            FROM subscription WHERE subscription.student_id = student.id),
        'purchases', (
            SELECT jsonb_agg(jsonb_build_array(channel, state, price_cents, minutes, plan_version_id, accepted_at,
                paid_at, payment_intent_id IS NOT NULL, stripe_invoice_id IS NOT NULL, subscription_id IS NOT NULL,
                client_secret IS NULL, due_at IS NULL) ORDER BY transaction_id)
            FROM purchase WHERE purchase.student_id = student.id),
        'steps', (
            SELECT jsonb_agg(jsonb_build_array(step, done.state, at) ORDER BY transaction_id, done.id)
            FROM purchase_transition AS done JOIN purchase ON purchase.id = done.purchase_id
            WHERE purchase.student_id = student.id),
        'lots', (
            SELECT jsonb_agg(to_jsonb(lot) - '{id,student_id,source,purchase_id}'::text[] ORDER BY starts_at)
            FROM hour_lot AS lot WHERE lot.student_id = student.id),
        'entries', (
            SELECT jsonb_agg(jsonb_build_array(kind, minutes, balance_after) ORDER BY id)
            FROM hour_entry AS entry WHERE entry.student_id = student.id),
        'balance', (
            SELECT jsonb_agg(to_jsonb(balance) - 'student_id') FROM student_balance AS balance
            WHERE balance.student_id = student.id),
        'receipts', (
            SELECT count(*) FROM receipt JOIN purchase ON purchase.id = receipt.purchase_id
            WHERE purchase.student_id = student.id),
        'cases', (
            SELECT jsonb_agg(reason ORDER BY reason) FROM staff_case AS found
            JOIN purchase ON purchase.id = found.purchase_id WHERE purchase.student_id = student.id)
    ) AS standing
    FROM student ORDER BY student.id
""".replace("::", r"\:\:")
)


@dataclass
class Run:
    """One telling of a story: whose it is, how far Stripe is, and what it was after each step."""

    subscribers: Subscribers
    one: Subscribed
    steps: Sequence["Step"]
    seen: list[SubscriptionThere] = field(default_factory=list)

    def reach(self, step: int) -> None:
        """What has been heard of has happened; so has all before it."""
        if not self.seen:
            self.seen.append(self.subscribers.there(self.one))
        while len(self.seen) <= step:
            self.steps[len(self.seen) - 1](self)
            self.seen.append(self.subscribers.there(self.one))


Step = Callable[[Run], object]


@dataclass(frozen=True)
class News:
    """An event, sent after so many steps; or something of ours that is done then, where `act` is set."""

    after: int
    kind: str = ""
    body: Callable[[Run], dict[str, Any]] | None = None
    act: Callable[[Run, SubscriptionThere], None] | None = None


@dataclass(frozen=True)
class Script:
    """`twice` is the place of the news that comes a second time; the first period `is_paid` before all of it."""

    begin: Callable[[Subscribers], Subscribed]
    steps: Sequence[Step]
    news: Sequence[News]
    twice: int
    is_paid: bool = True
    prepare: Callable[[Run], None] = lambda _: None

    def orders(self) -> Sequence[tuple[int, ...]]:
        return sorted(set(permutations([*range(len(self.news)), self.twice])))


def tell(subscribers: Subscribers, script: Script, orders: Sequence[tuple[int, ...]]) -> Mapping[int, Any]:
    """Tell it in these orders at once, each to a student of its own, asking after each piece of news; the ends."""
    runs = [Run(subscribers, script.begin(subscribers), script.steps) for _ in orders]
    if script.is_paid:
        _pay_first(subscribers, runs)
    for run in runs:
        script.prepare(run)
    for place in range(len(orders[0])):
        _hear(subscribers, [(run, script.news[order[place]]) for run, order in zip(runs, orders, strict=True)])
        _ask_once(subscribers)
    subscribers.work_events()
    subscribers.ask()
    return _ends(subscribers, runs)


def _pay_first(subscribers: Subscribers, runs: Sequence[Run]) -> None:
    for run in runs:
        _settle(run)
    _hear(subscribers, [(run, News(0, UPDATED, _subscription)) for run in runs])
    subscribers.ask()


def _hear(subscribers: Subscribers, heard: Iterable[tuple[Run, News]]) -> None:
    bodies = []
    for run, news in heard:
        run.reach(news.after)
        if news.body is not None:
            at = subscribers.newest(run.one).paid_at or subscribers.gateway.now
            bodies.append(event_body(news.kind, news.body(run), at=at))
        if news.act is not None:
            news.act(run, run.seen[news.after])
    subscribers.receive(bodies)


def _ask_once(subscribers: Subscribers) -> None:
    with subscribers.desk.begin() as session:
        due = text("SELECT id FROM stale_mark WHERE due_at <= clock_timestamp() ORDER BY id")
        ids = session.execute(due).scalars().all()
    for mark_id in ids:
        ask_stripe(subscribers.desk, AskStripe(mark_id=mark_id))


def _ends(subscribers: Subscribers, runs: Sequence[Run]) -> Mapping[int, Any]:
    theirs = {run.one.student_id for run in runs}
    with subscribers.desk.begin() as session:
        return {row.student_id: row.standing for row in session.execute(STANDING) if row.student_id in theirs}


def _subscription(run: Run) -> dict[str, Any]:
    return subscription_body(run.subscribers.there(run.one))


def _invoice(run: Run) -> dict[str, Any]:
    return invoice_body(run.subscribers.newest(run.one), run.subscribers.there(run.one))


def _intent(run: Run) -> dict[str, Any]:
    return paid_body(run.subscribers.newest(run.one))


def _settle(run: Run) -> None:
    """Two hours after it was made."""
    invoice = run.subscribers.newest(run.one)
    run.subscribers.gateway.settle(invoice.id, at=invoice.created_at + timedelta(hours=2))


def _renew(run: Run) -> None:
    run.subscribers.gateway.renew(run.one.stripe_id)


def _fail_to_renew(run: Run) -> None:
    run.subscribers.gateway.renew(run.one.stripe_id, paid=False)


def _end(run: Run) -> None:
    run.subscribers.gateway.end(run.one.stripe_id)


def _schedule_end(run: Run) -> None:
    run.subscribers.gateway.change_subscription_there(run.one.stripe_id, cancel_at_period_end=True)


def _upgrade(run: Run) -> None:
    price_id = run.subscribers.price(FAMILY)
    run.subscribers.gateway.change_subscription_there(run.one.stripe_id, price_id=price_id)


def _keep(run: Run, there: SubscriptionThere) -> None:
    run.subscribers.keep(run.one, there)


def _note_change(run: Run, there: SubscriptionThere) -> None:
    """What Stripe answered to a change of ours is written down, however late, and the wish for it is decided."""
    desk = run.subscribers.desk
    with desk.begin() as session:
        apply_change(session, there, request_id="request-of-a-test", at=desk.now)
        for act in session.exec(select(AccountAct).where(AccountAct.student_id == run.one.student_id)):
            act.state, act.decided_at, act.due_at, act.hint_at = ActState.DONE, desk.now, None, None


def _wish_to_cancel(run: Run) -> None:
    """Accepted, with the fence up, and not worked yet."""
    at = run.subscribers.gateway.now
    act = AccountAct(
        id=new_id(),
        action=AccountAction.CANCEL,
        parameters={},
        caller_sub=f"sub-{run.one.student_id}",
        student_id=run.one.student_id,
        request_id="request-of-a-test",
        state=ActState.REQUESTED,
        requested_at=at,
    )
    open_now(act)
    with run.subscribers.desk.begin() as session:
        session.add(act)
    fence = "UPDATE subscription SET cancel_requested_at = :at WHERE student_id = :id"
    run.subscribers.run(fence, at=at, id=run.one.student_id)


CREATED, UPDATED, DELETED = (f"customer.subscription.{name}" for name in ("created", "updated", "deleted"))
PAID, FAILED, UPCOMING = (f"invoice.{name}" for name in ("paid", "payment_failed", "upcoming"))
SUCCEEDED = "payment_intent.succeeded"

SCRIPTS: Mapping[str, Script] = {
    "subscribe": Script(
        Subscribers.ask_to_begin,
        [_settle],
        [
            News(0, CREATED, _subscription),
            News(0, act=_keep),
            News(1, PAID, _invoice),
            News(1, SUCCEEDED, _intent),
            News(1, UPDATED, _subscription),
        ],
        twice=2,
        is_paid=False,
    ),
    "renew": Script(
        Subscribers.begin,
        [_renew],
        [
            News(0, UPCOMING, _invoice),
            News(1, UPDATED, _subscription),
            News(1, PAID, _invoice),
            News(1, SUCCEEDED, _intent),
        ],
        twice=2,
    ),
    "a renewal fails and recovers": Script(
        Subscribers.begin,
        [_fail_to_renew, _settle],
        [
            News(1, FAILED, _invoice),
            News(1, UPDATED, _subscription),
            News(2, PAID, _invoice),
            News(2, UPDATED, _subscription),
        ],
        twice=0,
    ),
    "begin and cancel at once": Script(
        Subscribers.begin,
        [_settle, _end],
        [
            News(1, PAID, _invoice),
            News(1, SUCCEEDED, _intent),
            News(2, DELETED, _subscription),
            News(2, act=_note_change),
        ],
        twice=2,
        is_paid=False,
    ),
    "cancel at the end of the period": Script(
        Subscribers.begin,
        [_schedule_end, _renew],
        [
            News(1, UPDATED, _subscription),
            News(1, act=_note_change),
            News(2, UPDATED, _subscription),
            News(2, DELETED, _subscription),
        ],
        twice=0,
        prepare=_wish_to_cancel,
    ),
    "upgrade and renew": Script(
        Subscribers.begin,
        [_upgrade, _renew],
        [
            News(1, act=_note_change),
            News(2, UPDATED, _subscription),
            News(2, PAID, _invoice),
            News(2, SUCCEEDED, _intent),
        ],
        twice=0,
    ),
}
