"""Whose records a request is about: the caller's own, or, for staff, those of an address."""

from starlette.requests import Request

from billing.reads.whose import Whose, of_address, of_caller
from web.auth import Identity, Role
from web.emails import normalised
from web.errors import HttpError, not_found


def whose_records(request: Request, identity: Identity) -> Whose:
    address = request.query_params.get("email")
    return of_caller(identity.sub, identity.verified_email) if address is None else _of_somebody(identity, address)


def found_or_404(student_id: int | None, whose: Whose) -> None:
    """A caller who never bought has no student row, and no records; an address nobody has is a wrong one."""
    if student_id is None and whose.caller is None:
        raise not_found()


def _of_somebody(identity: Identity, address: str) -> Whose:
    if not identity.is_any_of(Role.STAFF, Role.ADMIN):
        raise HttpError(403, "permission_denied", "Only staff may look at somebody else's balance.")
    try:
        return of_address(normalised(address))
    except ValueError:
        raise not_found() from None
