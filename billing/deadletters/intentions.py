"""What working a row would ask of Stripe, of a mail server or of the ledger, in a sentence."""

from collections.abc import Callable, Mapping

from sqlalchemy import RowMapping, text
from sqlmodel import Session

from billing.deadletters.names import LetterName
from billing.reads.written import counted

Say = Callable[[RowMapping], str]

FACTS: Mapping[str, str] = {
    "purchase": """
        SELECT payment_intent_id, purchase.state, call.sends, call.idempotency_key
        FROM purchase LEFT JOIN stripe_call AS call
            ON call.purchase_id = purchase.id AND refund_id IS NULL AND call.state = 'open'
        WHERE purchase.id = :id ORDER BY call.attempt DESC LIMIT 1
    """,
    "refund": """
        SELECT refund.state, refund.amount_cents, refund.minutes, purchase.payment_intent_id, call.sends,
            call.idempotency_key
        FROM refund JOIN purchase ON purchase.id = refund.purchase_id
        LEFT JOIN stripe_call AS call ON call.refund_id = refund.id AND call.state = 'open'
        WHERE refund.id = :id
    """,
    "stale_mark": "SELECT subject, object_id, marks FROM stale_mark WHERE id = :id",
    "payment_watch": "SELECT payment_intent_id, state FROM purchase WHERE id = :id",
    "account_act": "SELECT action, parameters::text AS parameters FROM account_act WHERE id = :id",
    "notification": "SELECT topic, subject, student_id FROM notification WHERE id = :id",
    "receipt": """
        SELECT transaction_id FROM receipt JOIN purchase ON purchase.id = receipt.purchase_id
        WHERE receipt.id = :id
    """,
    "sweep_run": "SELECT cutoff::text AS cutoff, lots, minutes FROM sweep_run WHERE id = :id",
    "student_link": "SELECT external_id FROM student_link WHERE id = :id",
    "export": "SELECT list_name, rows FROM export WHERE id = :id",
    "staff_act": "SELECT action, target, parameters::text AS parameters FROM staff_act WHERE id = :id",
    "consumption_act": """
        SELECT act.act, act.minutes, count(one.id) AS students, coalesce(sum(one.minutes), 0) AS whole
        FROM consumption_act AS act LEFT JOIN consumption AS one USING (group_id)
        WHERE act.id = :id GROUP BY act.id
    """,
}


def intention(session: Session, name: LetterName) -> str:
    row = session.execute(text(FACTS[name.kind]), {"id": name.key}).mappings().one()
    return SAYS[name.kind](row)


def _purchase(row: RowMapping) -> str:
    if row["payment_intent_id"] is not None:
        return f"Stripe would be asked to cancel {row['payment_intent_id']}; the purchase is {row['state']} here"
    if row["sends"] is None:
        return f"nothing was sent to Stripe for it; the purchase is {row['state']} here"
    sent = f"its intent was asked for {row['sends']} times under the key {row['idempotency_key']}"
    return f"Stripe would be asked whether it has the intent, which would be ended: {sent}"


def _refund(row: RowMapping) -> str:
    if row["state"] == "sent":
        return f"Stripe would be asked what became of the refund, by all refunds of {row['payment_intent_id']}"
    money = f"{row['amount_cents'] / 100:.2f} of {row['payment_intent_id']}"
    sent = "it was never sent" if row["sends"] is None else f"sent {row['sends']} times as {row['idempotency_key']}"
    return f"Stripe would be asked to give back {money}, for which {row['minutes']} minutes are held ({sent})"


def _stale_mark(row: RowMapping) -> str:
    return f"Stripe would be asked what is true of {row['subject']} {row['object_id']}, marked {row['marks']} times"


def _payment_watch(row: RowMapping) -> str:
    return f"Stripe would be asked about {row['payment_intent_id']}, of a purchase that is {row['state']} here"


def _account_act(row: RowMapping) -> str:
    return f"Stripe would be asked to {row['action'].replace('_', ' ')}, with {row['parameters']}"


def _notification(row: RowMapping) -> str:
    told = f"student {row['student_id']} would be told {row['topic']} ({row['subject']})"
    return f"{told} by mail, if that is still true; it may have been sent before"


def _receipt(row: RowMapping) -> str:
    return f"the receipt of transaction {row['transaction_id']} would draw its number and be printed"


def _sweep_run(row: RowMapping) -> str:
    done = f"{counted(row['minutes'], 'minute')} of {counted(row['lots'], 'lot')} are written off already"
    return f"what expired by {row['cutoff']} and is not written off yet would be; {done}"


def _export(row: RowMapping) -> str:
    return f"the export of the list {row['list_name']} would go on; {counted(row['rows'], 'row')} of it written so far"


def _student_link(row: RowMapping) -> str:
    return f"what guests bought for the address of {row['external_id']} would become that account's"


def _staff_act(row: RowMapping) -> str:
    return f"{row['action']} of {row['target']} would be done or refused, with {row['parameters']}"


def _consumption_act(row: RowMapping) -> str:
    minutes = row["whole"] if row["minutes"] is None else row["minutes"]
    whose = counted(row["students"], "student")
    return f"{row['act']} of {counted(minutes, 'minute')} of {whose} would be done or refused"


SAYS: Mapping[str, Say] = {
    "purchase": _purchase,
    "refund": _refund,
    "stale_mark": _stale_mark,
    "payment_watch": _payment_watch,
    "account_act": _account_act,
    "notification": _notification,
    "receipt": _receipt,
    "sweep_run": _sweep_run,
    "export": _export,
    "student_link": _student_link,
    "staff_act": _staff_act,
    "consumption_act": _consumption_act,
}
