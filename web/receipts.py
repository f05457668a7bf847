"""Confirmations of payment: which there are, and each as a PDF.

They are for the student whose hours were paid, and for the caller who paid; staff name the student's address.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from billing.reads.receipts import ReceiptView, printed_receipt, receipts_of
from web.answers import euros, instant
from web.door import Door
from web.errors import not_found
from web.pages import asked_slice, page_answer
from web.paths import PREFIX, PREFIXES
from web.whose import found_or_404, whose_records

PRIVATE = "private, no-store"


class ReceiptRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door

    async def listed(self, request: Request) -> Response:
        identity = await self._door.student(request)
        whose, part = whose_records(request, identity), asked_slice(request)
        page = await self._door.ask(lambda connection: receipts_of(connection, whose, part))
        found_or_404(page.student_id, whose)
        return page_answer(request, part, page, lambda view: _receipt(request, view))

    async def download(self, request: Request) -> Response:
        """One that is not issued yet is not there yet."""
        identity = await self._door.student(request)
        whose, receipt_id = whose_records(request, identity), request.path_params["receipt_id"]
        receipt = await self._door.ask(lambda connection: printed_receipt(connection, whose, receipt_id))
        if receipt is None:
            raise not_found()
        headers = {"Content-Disposition": f'attachment; filename="{receipt.number}.pdf"', "Cache-Control": PRIVATE}
        return Response(receipt.pdf, headers=headers, media_type="application/pdf")


def receipt_routes(door: Door) -> Iterator[Route]:
    receipts = ReceiptRoutes(door)
    for prefix in reversed(PREFIXES):
        yield Route(f"{prefix}student-balance/receipts/", receipts.listed)
        yield Route(f"{prefix}student-balance/receipts/{{receipt_id:uuid}}/download/", receipts.download)


def _receipt(request: Request, view: ReceiptView) -> dict[str, Any]:
    return {
        "id": str(view.id),
        "receipt_number": view.number,
        "transaction_id": view.transaction_id,
        "amount": euros(view.amount_cents),
        "invoice_ref": view.invoice_ref,
        "issued_at": instant(view.issued_at),
        "download_url": _download_path(request, view),
    }


def _download_path(request: Request, view: ReceiptView) -> str:
    """For staff with the address by which they found it, without which it would be nobody's."""
    address = request.query_params.get("email")
    path = f"{PREFIX}student-balance/receipts/{view.id}/download/"
    return path if address is None else f"{path}?{urlencode({'email': address})}"
