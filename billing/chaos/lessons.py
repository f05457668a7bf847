"""What is done with hours that were credited: lessons, money back, a bank that takes its money again."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from random import Random
from typing import Any

from billing.chaos.line import Answer
from billing.chaos.sale import PREFIX, Sale, bearer

CONSUMPTIONS = f"{PREFIX}/hour-consumptions/"
REFUNDS = f"{PREFIX}/admin/payments/refunds/"
REASON = "A lesson fell out."
LESSON_IN = timedelta(days=20)

After = Callable[[Sale, Mapping[str, Any], str, Random], str]


def go_on(sale: Sale, status: Mapping[str, Any], name: str, chance: Random) -> str:
    """`name` is of this purchase alone. Returns what was done."""
    (after,) = chance.choices([*AFTERWARDS], [*AFTERWARDS.values()])
    return after(sale, status, name, chance)


def _consume(sale: Sale, _status: Mapping[str, Any], name: str, chance: Random) -> str:
    booking = _book(sale, name, chance, hours="1.50")
    if booking is None:
        return "lesson refused"
    if chance.random() < 0.3:
        _act(sale, booking, "refund", name, {"hours": "0.25", "reason": REASON})
        return "lesson, given back in part"
    return "lesson"


def _hold(sale: Sale, _status: Mapping[str, Any], name: str, chance: Random) -> str:
    ends_at = (sale.clients.now() + LESSON_IN).isoformat()
    booking = _book(sale, name, chance, hours="2", mode="hold", ends_at=ends_at)
    if booking is None:
        return "hold refused"
    act = chance.choice(["capture", "release"])
    _act(sale, booking, act, name, {})
    return f"hold, {act}"


def _part_back(sale: Sale, status: Mapping[str, Any], name: str, chance: Random) -> str:
    return _give_back(sale, status, name, chance, {"refund_amount": chance.choice(["5.00", "20.00", "35.50"])})


def _all_back(sale: Sale, status: Mapping[str, Any], name: str, chance: Random) -> str:
    return _give_back(sale, status, name, chance, {})


def _dispute(sale: Sale, status: Mapping[str, Any], _name: str, chance: Random) -> str:
    """Banks do not ask twice: where no answer comes, there may be a dispute or none."""
    raised = sale.clients.act_at_bank("/disputes", {"payment_intent": status["payment_intent_id"]})
    if raised is None or raised.status != 200:
        return "no dispute"
    sale.clients.pause(chance.uniform(0, 2))
    end = chance.choice(["won", "lost", "open"])
    if end != "open":
        sale.clients.act_at_bank(f"/disputes/{raised.body['id']}/{end}", {})
    return f"dispute, {end}"


AFTERWARDS: Mapping[After, int] = {_consume: 45, _hold: 20, _part_back: 14, _all_back: 9, _dispute: 12}


def _give_back(sale: Sale, status: Mapping[str, Any], name: str, chance: Random, amount: Mapping[str, str]) -> str:
    clients = sale.clients
    headers = bearer(clients.sign("boss", "boss@example.com", "admin")) | {"Idempotency-Key": f"{name}-refund"}
    if chance.random() < 0.5:
        headers["Prefer"] = "wait=3"
    body = {"transaction_id": status["transaction_id"], "reason": REASON, **amount}
    answer = clients.insist("POST", REFUNDS, body, headers)
    if answer.status not in {201, 202}:
        return f"money back refused: {answer.body.get('error_type')}"
    clients.promises.keep(clients.promises.staff_acts, answer.body["id"])
    return "money back"


def _book(sale: Sale, name: str, chance: Random, **fields: str) -> str | None:
    """The id of the booking, None where there are not enough hours."""
    body = {"student": {"email": sale.email}, "session_id": f"lesson-{name}", **fields}
    headers = {"Prefer": "wait=3"} if chance.random() < 0.6 else {}
    answer = sale.clients.insist("POST", CONSUMPTIONS, body, _platform(sale) | headers)
    if not _is_promised(answer):
        return None
    promises = sale.clients.promises
    return str(promises.keep(promises.bookings, answer.body["id"]))


def _act(sale: Sale, booking: str, act: str, name: str, body: object) -> None:
    """A booking that is not decided yet refuses it; then there is none."""
    headers = _platform(sale) | {"Idempotency-Key": f"{name}-{act}", "Prefer": "wait=3"}
    sale.clients.insist("POST", f"{CONSUMPTIONS}{booking}/{act}/", body, headers)


def _platform(sale: Sale) -> dict[str, str]:
    return bearer(sale.clients.sign("platform", "platform@example.com", "service"))


def _is_promised(answer: Answer) -> bool:
    return answer.status in {200, 201, 202}
