"""Staff: who reads, extends and sweeps. Their tokens have the role `staff` or `admin`."""

from pydantic import BaseModel

from web.openapi import parameters as given
from web.openapi import staff_answers as shapes
from web.openapi.operation import REPEATED, TOKEN, USER, WITH_BODY, Answer, Operation, Operations
from web.openapi.parameters import told
from web.paths import PREFIX
from web.staff.bodies import BulkExtendBody, ExtendBody, ProcessExpiredBody

ADMIN = f"{PREFIX}admin/"

FOR_STAFF = (*TOKEN, "permission_denied")
ASKED = (*FOR_STAFF, *WITH_BODY, "idempotency_mismatch", "in_progress")
NOT_EXTENDED = ("invalid_transaction_state", "still_expired", "extension_too_long", "extension_too_short")

LATER = told("Location", "Retry-After", Location=given.WHERE_IT_STANDS, Retry_After=given.RETRY_AFTER, **REPEATED)
ACCEPTED = Answer("Accepted; a worker does it.", shapes.StaffActAccepted, LATER)
WITH_KEY = (given.IDEMPOTENCY_KEY, given.PREFER)


def _done(shape: type[BaseModel], description: str = "Done in the time that `Prefer` grants.") -> Answer:
    return Answer(description, shape, told(**REPEATED))


STAFF: Operations = {
    ("POST", f"{ADMIN}packages/{{transaction_id}}/extend/"): Operation(
        "extendPackage",
        "Let a package last longer",
        "So many days more after its last one, or after today. What was written off when it expired comes back.",
        {200: _done(shapes.ExtendedPackage), 202: ACCEPTED},
        (*ASKED, "not_found", "package_changed", *NOT_EXTENDED),
        "staff",
        USER,
        (given.TRANSACTION_ID, *WITH_KEY),
        ExtendBody,
    ),
    ("POST", f"{ADMIN}bulk-extend-packages/"): Operation(
        "extendPackages",
        "Let several packages last longer",
        "All of them, or none: the first that cannot be extended says why.",
        {200: _done(shapes.ExtendedPackages), 202: ACCEPTED},
        (*ASKED, "not_found", *NOT_EXTENDED),
        "staff",
        USER,
        WITH_KEY,
        BulkExtendBody,
    ),
    ("POST", f"{ADMIN}process-expired-packages/"): Operation(
        "processExpired",
        "Write off what expired",
        "With `dry_run` it shows what would be, and needs no reason. With `Prefer` the sweep is waited for.",
        {
            200: _done(shapes.ProcessedExpired, "Done, or begun, in the time that `Prefer` grants; or a `dry_run`."),
            202: ACCEPTED,
        },
        ASKED,
        "staff",
        USER,
        WITH_KEY,
        ProcessExpiredBody,
    ),
    ("GET", f"{ADMIN}expired-packages/"): Operation(
        "listExpiredPackages",
        "Packages that expired",
        "The last first, whether written off or not.",
        {200: Answer("A page.", shapes.ExpiredPackagePage)},
        (*FOR_STAFF, "not_found"),
        "staff",
        USER,
        given.LIST_PAGES,
    ),
    ("GET", f"{ADMIN}packages-expiring-soon/"): Operation(
        "listExpiringPackages",
        "Packages whose hours will be lost",
        "The next first.",
        {200: Answer("A page.", shapes.ExpiringPackagePage)},
        (*FOR_STAFF, "not_found", "validation_error"),
        "staff",
        USER,
        (*given.LIST_PAGES, given.WITHIN_DAYS),
    ),
    ("GET", f"{ADMIN}payments/audit-log/"): Operation(
        "listStaffActs",
        "What staff did",
        "The newest first.",
        {200: Answer("A page.", shapes.StaffActPage)},
        (*FOR_STAFF, "not_found"),
        "staff",
        USER,
        given.ACTS,
    ),
    ("GET", f"{ADMIN}payments/audit-log/{{act_id}}/"): Operation(
        "readStaffAct",
        "What became of an act",
        "Done or refused, or not decided yet. The role `service` sees what it asked for itself.",
        {200: Answer("The act.", shapes.StaffActRow)},
        (*FOR_STAFF, "not_found"),
        "staff",
        USER,
        (given.ACT_ID,),
    ),
}
