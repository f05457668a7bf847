"""Bodies of what staff ask for: each names its reason."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, StrictStr, WithJsonSchema

from billing.staff.wishes import LONGEST_DAYS, LONGEST_GRACE_HOURS, LONGEST_INVOICE_REF, MOST_PACKAGES
from web.hour_schemas import AS_INSTANT, Instant
from web.schemas import AS_PRICE, Body, Cents

REASON_LENGTH = 500
LARGEST_ID = 2**63 - 1


def _reason(value: str) -> str:
    reason = value.strip()
    if not 0 < len(reason) <= REASON_LENGTH or "\0" in reason:
        raise ValueError(f"must have 1 to {REASON_LENGTH} characters")
    return reason


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be an integer")  # noqa: TRY004  # what pydantic makes a complaint of
    return value


def _days(value: object) -> int:
    days = _whole(value)
    if not 1 <= days <= LONGEST_DAYS:
        raise ValueError(f"must be from 1 to {LONGEST_DAYS}")
    return days


def _grace_hours(value: object) -> int | None:
    if value is None:
        return None
    grace_hours = _whole(value)
    if not 0 <= grace_hours <= LONGEST_GRACE_HOURS:
        raise ValueError(f"must be from 0 to {LONGEST_GRACE_HOURS}")
    return grace_hours


def _transaction_id(value: object) -> int:
    """Beyond the range of these numbers there is no purchase, and 0 names none either."""
    number = _whole(value)
    return number if 0 < number <= LARGEST_ID else 0


def _invoice_ref(value: str) -> str:
    ref = value.strip()
    if not 0 < len(ref) <= LONGEST_INVOICE_REF or not ref.isprintable():
        raise ValueError(f"must have 1 to {LONGEST_INVOICE_REF} visible characters")
    return ref


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")  # noqa: TRY004  # what pydantic makes a complaint of
    return value


def _transaction_ids(value: object) -> tuple[int, ...]:
    """Beyond the range of these numbers there is no package, and 0 names none either."""
    if not isinstance(value, list) or not 0 < len(value) <= MOST_PACKAGES:
        raise ValueError(f"must be a list of 1 to {MOST_PACKAGES} numbers of packages")
    numbers = {_whole(one) for one in value}
    return tuple(sorted({number if 0 < number <= LARGEST_ID else 0 for number in numbers}))


AS_REASON = {
    "type": "string",
    "minLength": 1,
    "maxLength": REASON_LENGTH,
    "description": "Why; it is trimmed, and kept with the act.",
}
AS_DAYS = {"type": "integer", "minimum": 1, "maximum": LONGEST_DAYS}
AS_GRACE = {
    "type": ["integer", "null"],
    "minimum": 0,
    "maximum": LONGEST_GRACE_HOURS,
    "description": "What expired so long ago or earlier is written off; absent: as it is each night.",
}
AS_IDS = {
    "type": "array",
    "items": {"type": "integer", "minimum": 1, "maximum": LARGEST_ID},
    "minItems": 1,
    "maxItems": MOST_PACKAGES,
    "description": "One that comes twice counts once.",
}

AS_END = {
    "description": "The `expires_at` that was seen: where it is another one by then, nothing is done.",
    "anyOf": [AS_INSTANT, {"type": "null"}],
}
AS_INVOICE_REF = {
    "type": "string",
    "minLength": 1,
    "maxLength": LONGEST_INVOICE_REF,
    "description": "Visible characters; it is trimmed.",
}
AS_REFUND = {
    "description": "In euros; absent: all that can be given back.",
    "anyOf": [*AS_PRICE["anyOf"], {"type": "null"}],
}

Reason = Annotated[StrictStr, AfterValidator(_reason), WithJsonSchema(AS_REASON)]
Days = Annotated[int, BeforeValidator(_days), WithJsonSchema(AS_DAYS)]
GraceHours = Annotated[int | None, BeforeValidator(_grace_hours), WithJsonSchema(AS_GRACE)]
Flag = Annotated[bool, BeforeValidator(_flag), WithJsonSchema({"type": "boolean"})]
TransactionId = Annotated[
    int,
    BeforeValidator(_transaction_id),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": LARGEST_ID}),
]
InvoiceRef = Annotated[StrictStr, AfterValidator(_invoice_ref), WithJsonSchema(AS_INVOICE_REF)]
TransactionIds = Annotated[tuple[int, ...], BeforeValidator(_transaction_ids), WithJsonSchema(AS_IDS)]


class ExtendBody(Body):
    """The days are added to the last one on which the hours can be taken, or to today."""

    extension_days: Days
    reason: Reason
    extend_from_now: Flag = False
    expected_expires_at: Annotated[Instant | None, WithJsonSchema(AS_END)] = None


class BulkExtendBody(Body):
    transaction_ids: TransactionIds
    extension_days: Days
    reason: Reason


class ProcessExpiredBody(Body):
    """A `dry_run` changes nothing and needs no reason."""

    grace_hours: GraceHours = None
    dry_run: Flag = False
    reason: Reason | None = None


class RefundPurchaseBody(Body):
    transaction_id: TransactionId
    refund_amount: Annotated[Cents | None, WithJsonSchema(AS_REFUND)] = None
    """Held in cents, once it is read."""
    reason: Reason


class InvoiceBody(Body):
    """The name that an invoicing system gave to the payment's invoice."""

    invoice_ref: InvoiceRef
    reason: Reason


class ReasonBody(Body):
    """Nothing has to be said but why."""

    reason: Reason


class NoteBody(Body):
    """What somebody found who has looked at it; it is the reason of the act as well."""

    note: Reason
