"""The names that an invoicing system gave to invoices, told to the receipts of their payments."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from billing.reads.invoices import is_issued
from billing.staff.wishes import SetInvoice
from web.auth import Role
from web.bodies import read_json
from web.door import Door
from web.errors import not_found
from web.idempotency import idempotency_key
from web.staff.acts import StaffActs, somebody_of
from web.staff.bodies import InvoiceBody

WORDS = "This is for administrators and the platform only."


class StaffInvoiceRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._acts = StaffActs(door)

    async def name(self, request: Request) -> Response:
        who = await somebody_of(self._door, request, Role.ADMIN, Role.SERVICE, words=WORDS)
        idempotency_key(request)
        body = InvoiceBody.of(await read_json(request))
        receipt_id = request.path_params["receipt_id"]
        if not await self._door.ask(lambda connection: is_issued(connection, receipt_id)):
            raise not_found()
        wish = SetInvoice(receipt_id=receipt_id, invoice_ref=body.invoice_ref)

        async def shown(_: object) -> Mapping[str, Any]:
            return {"receipt_id": str(receipt_id), "invoice_ref": wish.invoice_ref}

        return await self._acts.ask(request, who, wish, body.reason, shown)
