"""Do what the owner of an account asked for: checked under lock, asked of Stripe, recorded under the claim's token.

The wishes of a caller are worked one after the other, in the order in which they were accepted. What will be called is
written down first, in the act's `result`, which is nobody's to see before it is decided: whoever follows a worker that
died calls the same under the same keys.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlmodel import Session, select
from structlog.contextvars import bound_contextvars

from billing import retry, students, troubles, work
from billing.accounts import cards, decisions, fence, subscription_acts
from billing.accounts.acts import Action, Asked, Decision, Done, Facts, Line, Record
from billing.db import repeated
from billing.errors import PermanentError, RefusedError, StudentUnknownError
from billing.gateway import GatewayError, NotAskedError
from billing.messages import FollowUp, PerformAccountAct
from billing.models import AccountAct, Student
from billing.purchases import changes
from billing.purchases.desk import Desk
from billing.states import AccountAction

log = structlog.get_logger(__name__)

A = AccountAction
ACTIONS: Mapping[AccountAction, Action] = {
    A.ADD_CARD: Action(cards.check_add, cards.add, ready=cards.ready_add, is_change=False),
    A.ATTACH_CARD: Action(cards.check_attach, cards.attach, ready=cards.ready_attach),
    A.DEFAULT_CARD: Action(cards.check_default, cards.make_default),
    A.REMOVE_CARD: Action(cards.check_remove, cards.remove),
    A.CANCEL: Action(subscription_acts.check_cancel, subscription_acts.cancel),
    A.RESUME: Action(subscription_acts.check_resume, subscription_acts.resume, guard=fence.guard_resume),
    A.PAUSE: Action(subscription_acts.check_pause, subscription_acts.pause),
    A.CHANGE_PLAN: Action(
        subscription_acts.check_change,
        subscription_acts.change_plan,
        ready=subscription_acts.ready_change,
        guard=fence.guard_uncancelled,
    ),
    A.PAY: Action(
        subscription_acts.check_pay,
        subscription_acts.pay,
        ready=subscription_acts.ready_pay,
        guard=fence.guard_uncancelled,
    ),
}

CALLING = "calling"
"""Under this name an act that is not decided keeps what will be called."""
LONGEST_TROUBLE = timedelta(hours=24)
"""Who waits for a card or a cancellation is told after that, and may ask again."""


@dataclass(frozen=True, slots=True)
class Taken:
    """An act in our hands; `facts` are not complete until it is ready."""

    claim: work.Claim[AccountAct]
    line: Line
    is_ready: bool

    @property
    def act(self) -> AccountAct:
        return self.claim.row

    @property
    def action(self) -> Action:
        return ACTIONS[self.act.action]


Told = list[FollowUp]


def perform_account_act(desk: Desk, message: PerformAccountAct) -> Sequence[FollowUp]:
    """Work one act, or put it off until its turn has come; for one that is decided already it does nothing."""
    taken = repeated(desk.begin, lambda session: _take(session, desk, message))
    if not isinstance(taken, Taken):
        return taken
    with bound_contextvars(request_id=taken.act.request_id), desk.leases.held(taken.claim.token):
        try:
            return _pursue(desk, taken)
        except GatewayError as error:
            trouble = error
            return repeated(desk.begin, lambda session: _trouble(session, desk, taken, trouble))


def _pursue(desk: Desk, taken: Taken) -> Told:
    """Raises GatewayError."""
    ready = taken.action.ready
    if not taken.is_ready and ready is not None:
        more = ready(taken.line)
        again = repeated(desk.begin, lambda session: _check_again(session, desk, taken, more))
        if not isinstance(again, Taken):
            return again
        taken = again
    record, calling = taken.action.call(taken.line), taken
    return repeated(desk.begin, lambda session: _record(session, desk, calling, record))


def _take(session: Session, desk: Desk, message: PerformAccountAct) -> Taken | Told:
    """What is refused by our own rules is decided here: Stripe hears nothing of it."""
    claim = work.claim_unless_worn_out(session, AccountAct, message.act_id, desk.leases.terms)
    if claim is None:
        return []
    act = claim.row
    first = decisions.earlier(session, act)
    if first is not None:
        work.put_off(act, retry.AT_ONCE, "an earlier wish of the same caller is not decided")
        return [PerformAccountAct(act_id=first)]
    return _checked(session, desk, claim, None)


def _check_again(session: Session, desk: Desk, taken: Taken, more: Facts) -> Taken | Told:
    """While Stripe was asked for what the call needs, anything may have changed: the fence above all."""
    return _checked(session, desk, work.Claim(work.resume(session, taken.claim), taken.claim.token), more)


def _checked(session: Session, desk: Desk, claim: work.Claim[AccountAct], more: Facts | None) -> Taken | Told:
    """A refusal undoes what was done to find it out. `more` is what `ready` said, once it was asked."""
    act = claim.row
    action, earlier = ACTIONS[act.action], (act.result or {}).get(CALLING)
    try:
        with session.begin_nested():
            student_id = act.student_id or _student_of(session, act, desk)
            asked = Asked(session, act, student_id, desk.now)
            facts = _repeat(asked, action, earlier) if earlier else {**action.check(asked), **(more or {})}
            act.student_id = student_id
    except RefusedError as error:
        return _refuse(session, desk, act, error, earlier or {})
    is_ready = earlier is not None or action.ready is None or more is not None
    if is_ready:
        act.result = {CALLING: facts}
    return Taken(claim, Line(desk, act, student_id, facts), is_ready)


def _repeat(asked: Asked, action: Action, earlier: Facts) -> Facts:
    """Another worker may have made these calls and died: of all that was checked, the fence alone counts anew."""
    if action.guard is not None:
        action.guard(asked)
    return earlier


def _refuse(session: Session, desk: Desk, act: AccountAct, error: RefusedError, called: Facts) -> Told:
    """What may have been called before is asked about."""
    decisions.refuse(session, act, decisions.refused_by_rule(error), at=desk.now)
    decisions.ask_again(session, act, called, at=desk.now)
    return changes.noted(session)


def _record(session: Session, desk: Desk, taken: Taken, record: Record) -> Told:
    (act,) = work.resume(session, taken.claim)
    decision: Decision = record(session, act)
    if isinstance(decision, Done):
        decisions.decide(session, act, decision, at=desk.now)
    else:
        decisions.refuse(session, act, decision, at=desk.now)
    if taken.action.is_change:
        decisions.ask_again(session, act, taken.line.facts, at=desk.now)
    return changes.noted(session)


def _trouble(session: Session, desk: Desk, taken: Taken, error: GatewayError) -> Told:
    """Again later; what Stripe will never do, or has not done for a day, is refused."""
    (act,) = work.resume(session, taken.claim)
    is_old = desk.now - act.requested_at >= LONGEST_TROUBLE and act.deferrals >= len(retry.STRIPE.seconds)
    is_over = is_old and not isinstance(error, NotAskedError)
    log.warning("account_act_in_trouble", act_id=str(act.id), action=act.action, error=str(error), is_over=is_over)
    if isinstance(error, PermanentError) or is_over:
        called = (act.result or {}).get(CALLING, taken.line.facts)
        decisions.fail(session, act, called, error, at=desk.now)
    else:
        troubles.put_off(act, error, error.wait_after(act.deferrals))
    return changes.noted(session)


def _student_of(session: Session, act: AccountAct, desk: Desk) -> int:
    """The student of the account; a new one, or the guest of its address, only where the address is proven.

    Raises StudentUnknownError.
    """
    known = session.exec(select(Student.id).where(Student.external_id == act.caller_sub)).first()
    if known is not None:
        return known
    if act.caller_email is None or not act.caller_email_verified:
        raise StudentUnknownError("The address of this account is not verified.")
    email = act.caller_email
    identity = students.Identity(email, act.caller_name or email, act.caller_sub)
    return students.find_or_make(session, identity, at=desk.now)
