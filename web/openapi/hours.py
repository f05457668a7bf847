"""Hours for sessions: for the tutoring platform itself, whose tokens have the role `service`."""

from web.hour_schemas import BookingBody, CaptureBody, RefundBody
from web.openapi import hour_answers as shapes
from web.openapi import parameters as given
from web.openapi.operation import REPEATED, TOKEN, USER, WITH_BODY, Answer, Operation, Operations
from web.openapi.parameters import told
from web.paths import PREFIX

BOOKING = f"{PREFIX}hour-consumptions/{{booking_id}}/"

FOR_THE_PLATFORM = (*TOKEN, "permission_denied")
OF_A_BOOKING = (*FOR_THE_PLATFORM, "not_found")
REPEATABLE = ("validation_error", "idempotency_mismatch", "in_progress")
NO_HOURS = ("insufficient_balance", "package_expired", "no_packages")

LATER = told("Location", "Retry-After", Location=given.WHERE_IT_STANDS, Retry_After=given.RETRY_AFTER, **REPEATED)
BOOKED = told("Location", Location=given.WHERE_IT_STANDS, **REPEATED)
ACT_ACCEPTED = Answer("Accepted; a worker decides it.", shapes.ActAccepted, LATER)
ACTED = Answer("Done in the time that `Prefer` grants.", shapes.HourBooking, told(**REPEATED))
ASKED_WITH = (given.BOOKING_ID, given.IDEMPOTENCY_KEY, given.PREFER)
REPEATS = "Without a key, the same act with the same hours within 24 hours is a repeat. On a group it is done to each."

HOURS: Operations = {
    ("POST", f"{PREFIX}hour-consumptions/"): Operation(
        "bookHours",
        "Take or hold hours for a session",
        "Of the packages that expire first. Of several students, all or none. The same student, session, hours and "
        "mode again are the same booking, unless it was refused. A hold lapses 24 hours after `ends_at`.",
        {
            201: Answer("Decided in the time that `Prefer` grants.", shapes.HourBooking, BOOKED),
            202: Answer("Accepted; a worker decides it.", shapes.BookingAccepted, LATER),
        },
        (*FOR_THE_PLATFORM, *WITH_BODY, *REPEATABLE, *NO_HOURS, "invalid_state", "student_unknown"),
        "hours",
        USER,
        (given.IDEMPOTENCY_KEY, given.PREFER),
        BookingBody,
    ),
    ("GET", BOOKING): Operation(
        "readHours",
        "How booked hours stand",
        "For the platform, and for staff.",
        {200: Answer("One student's hours, or a group's.", shapes.HourBooking)},
        OF_A_BOOKING,
        "hours",
        USER,
        (given.BOOKING_ID,),
    ),
    ("GET", f"{BOOKING}acts/{{act_id}}/"): Operation(
        "readHourAct",
        "What became of an act",
        "For the platform, and for staff.",
        {200: Answer("The act, and what it is about.", shapes.HourActStatus)},
        OF_A_BOOKING,
        "hours",
        USER,
        (given.BOOKING_ID, given.ACT_ID),
    ),
    ("POST", f"{BOOKING}capture/"): Operation(
        "captureHours",
        "Take what is held",
        f"All of it, fewer hours, or more, which are taken like any others. {REPEATS}",
        {200: ACTED, 202: ACT_ACCEPTED},
        (*OF_A_BOOKING, *WITH_BODY, *REPEATABLE, *NO_HOURS, "invalid_state"),
        "hours",
        USER,
        ASKED_WITH,
        CaptureBody,
    ),
    ("POST", f"{BOOKING}release/"): Operation(
        "releaseHours",
        "Give back what is held",
        f"The session does not take place. {REPEATS}",
        {200: ACTED, 202: ACT_ACCEPTED},
        (*OF_A_BOOKING, *REPEATABLE, "invalid_state"),
        "hours",
        USER,
        ASKED_WITH,
    ),
    ("POST", f"{BOOKING}refund/"): Operation(
        "refundHours",
        "Give back what was taken",
        f"All of it, or fewer hours; a package that expired meanwhile stays expired. {REPEATS}",
        {200: ACTED, 202: ACT_ACCEPTED},
        (*OF_A_BOOKING, *WITH_BODY, *REPEATABLE, "invalid_state"),
        "hours",
        USER,
        ASKED_WITH,
        RefundBody,
    ),
}
