"""How an act ends, and whose turn it is then."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import orjson
import structlog
from sqlalchemy import text
from sqlmodel import Session, col, select

from billing import cases
from billing.accounts import fence
from billing.accounts.acts import Decision, Done, Facts, Refused
from billing.errors import RefusedError
from billing.gateway import AUTHENTICATION_REQUIRED, GatewayError, KeyReusedError
from billing.messages import ActDecided, PerformAccountAct
from billing.models import AccountAct
from billing.purchases import changes
from billing.stale.marks import mark
from billing.states import AccountAction, ActState, StaleKind

log = structlog.get_logger(__name__)

MESSAGE_LENGTH = 500
ASKS_FOR_ITS_OWNER = frozenset(
    {
        AUTHENTICATION_REQUIRED,
        "invoice_payment_intent_requires_action",
        "subscription_payment_intent_requires_action",
    }
)
"""Codes of a bank that wants to see its customer (Stripe, "Error codes", "Decline codes")."""
OF_STRIPE: Mapping[str, StaleKind] = {
    "subscription_id": StaleKind.SUBSCRIPTION,
    "customer_id": StaleKind.CUSTOMER,
}
"""What is asked about once more, where an act failed at Stripe; by the names that facts have."""

DECIDE = text("""
    UPDATE account_act
    SET state = :state, error_type = :error_type, error_message = :error_message, result = CAST(:result AS jsonb),
        client_secret = :secret, decided_at = :now, due_at = NULL, hint_at = NULL, lease_until = NULL,
        lease_token = NULL, hints = 0
    WHERE id = :id
""")

# It was put off while it waited for its turn.
NEXT = text("""
    UPDATE account_act SET due_at = clock_timestamp(), hint_at = clock_timestamp() + interval '2 seconds'
    WHERE lease_token IS NULL AND due_at IS NOT NULL AND id = (
        SELECT id FROM account_act WHERE caller_sub = :sub AND due_at IS NOT NULL AND serial > :serial
        ORDER BY serial LIMIT 1
    )
    RETURNING id
""")


def earlier(session: Session, act: AccountAct) -> UUID | None:
    """The first wish of the same caller that waits to be decided before this one."""
    theirs = select(AccountAct.id).where(
        AccountAct.caller_sub == act.caller_sub,
        col(AccountAct.serial) < act.serial,
        col(AccountAct.due_at).is_not(None),
    )
    return session.exec(theirs.order_by(col(AccountAct.serial)).limit(1)).first()


def decide(session: Session, act: AccountAct, decision: Decision, *, at: datetime) -> None:
    """The owner is told, and the caller's next wish has its turn."""
    nothing = {"error_type": None, "error_message": None, "result": None, "secret": None}
    given = {"state": _state(decision).value, "now": at, "id": act.id}
    session.execute(DECIDE, {**nothing, **_facts(decision), **given})
    changes.follow_up(session, ActDecided(act_id=act.id))
    following = session.execute(NEXT, {"sub": act.caller_sub, "serial": act.serial}).scalar_one_or_none()
    if following is not None:
        changes.follow_up(session, PerformAccountAct(act_id=following))
    log.info("account_act_decided", act_id=str(act.id), action=act.action, state=given["state"])


def refuse(session: Session, act: AccountAct, refusal: Refused, *, at: datetime) -> None:
    """The fence of a wish to cancel that comes to nothing is lifted again."""
    if act.action is AccountAction.CANCEL and act.student_id is not None:
        fence.lift_unless_cancelling(session, act, act.student_id)
    decide(session, act, refusal, at=at)


def refused_by_rule(error: RefusedError) -> Refused:
    return Refused(error.error_type, str(error))


def fail(session: Session, act: AccountAct, facts: Facts, error: GatewayError, *, at: datetime) -> None:
    """Stripe will not do it, or could not be reached for too long: what is true there is asked for."""
    refuse(session, act, Refused(_error_type(error), error.message), at=at)
    if isinstance(error, KeyReusedError):
        source = f"account_act:{act.id}"
        cases.open_case(session, "key_reused", source, purchase_id=None, detail=str(error), at=at)
    ask_again(session, act, facts, at=at)


def ask_again(session: Session, act: AccountAct, facts: Facts, *, at: datetime) -> None:
    """Marks come last: they are locked after everything else."""
    for name, kind in sorted(OF_STRIPE.items()):
        if facts.get(name):
            mark(session, kind, facts[name], purchase_id=None, request_id=act.request_id, at=at)


def _error_type(error: GatewayError) -> str:
    return AUTHENTICATION_REQUIRED if error.code in ASKS_FOR_ITS_OWNER else error.error_type


def _state(decision: Decision) -> ActState:
    return ActState.DONE if isinstance(decision, Done) else ActState.REFUSED


def _facts(decision: Decision) -> dict[str, object]:
    if isinstance(decision, Refused):
        return {"error_type": decision.error_type, "error_message": decision.message[:MESSAGE_LENGTH]}
    result = None if decision.result is None else orjson.dumps(dict(decision.result)).decode()
    return {"result": result, "secret": decision.secret}
