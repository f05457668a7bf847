"""What a form asks for becomes the same row that the API makes of it, and a hint for a worker."""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request

from billing.clock import utc_now
from billing.ids import new_id
from billing.messages import PerformStaffAct
from billing.staff.accept import AcceptedAct, ActRequest
from billing.staff.wishes import Wish
from web.addresses import client_address
from web.admin.sessions import officer_of
from web.door import Door
from web.idempotency import digest_of
from web.staff.acts import Accept

LONGEST_KEY = 255
EARLIER = text("SELECT id FROM staff_act WHERE actor = :actor AND idempotency_key = :key AND state <> 'refused'")


async def find_earlier(door: Door, request: Request, key: str) -> UUID | None:
    """The act that this form has become already, when it was sent the first time."""

    async def query(connection: AsyncConnection) -> UUID | None:
        given = {"actor": officer_of(request).sub, "key": _named(key)}
        found: UUID | None = (await connection.execute(EARLIER, given)).scalar_one_or_none()
        return found

    return await door.ask(query)


def _named(key: str) -> str:
    return f"page:{key}"[:LONGEST_KEY].replace("\0", "")


async def accept(door: Door, request: Request, wish: Wish, reason: str, key: str, by: Accept) -> AcceptedAct:
    """Committed, and on its way. A form that is sent twice is one act, for its key was drawn with the page: what there
    was to be seen when it came is no part of its words.

    Raises IdempotencyMismatchError where the same form comes again with other words in it.
    """
    address = client_address(request, door.settings.trusted_proxies)
    wanted = wish.model_dump(mode="json", exclude=set(wish.seen))
    asked = ActRequest(
        id=new_id(),
        wish=wish,
        reason=reason,
        actor=officer_of(request).sub,
        address=str(address) if address else None,
        idempotency_key=_named(key),
        body_hash=digest_of({"action": wish.action, "reason": reason, **wanted}),
        request_id=request.scope["request_id"],
        requested_at=utc_now(),
    )
    accepted = await door.change(lambda connection: by(connection, asked))
    if not accepted.is_replay:
        door.hints.send(PerformStaffAct(act_id=accepted.id))
    return accepted
