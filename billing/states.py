"""Every state, every allowed move, every outcome."""

from collections.abc import Mapping
from enum import StrEnum


class PlanType(StrEnum):
    PACKAGE = "package"
    SUBSCRIPTION = "subscription"


class PurchaseChannel(StrEnum):
    """How a purchase came about."""

    CHECKOUT = "checkout"
    TOPUP = "topup"
    """With a saved card, while its owner need not be there."""
    RENEWAL = "renewal"
    """A later period of a subscription, known from its paid invoice."""


class PurchaseState(StrEnum):
    QUEUED = "queued"
    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REFUNDED = "refunded"


class Step(StrEnum):
    """What a buyer's timeline tells."""

    ACCEPTED = "accepted"
    INTENT_CREATED = "intent_created"
    ACTION_REQUIRED = "action_required"
    PAYMENT_PROCESSING = "payment_processing"
    PAYMENT_FAILED = "payment_failed"
    PAID = "paid"
    CREDITED = "credited"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REFUNDED = "refunded"
    """Money went back, in part or wholly."""
    REFUND_FAILED = "refund_failed"
    """It was on its way back and did not arrive: the hours are here again."""
    DISPUTED = "disputed"
    DISPUTE_WON = "dispute_won"
    DISPUTE_LOST = "dispute_lost"


_S = PurchaseState
PURCHASE_MOVES: Mapping[PurchaseState, frozenset[PurchaseState]] = {
    _S.QUEUED: frozenset({_S.PENDING, _S.FAILED, _S.CANCELLED}),
    _S.PENDING: frozenset({_S.PROCESSING, _S.COMPLETED, _S.FAILED, _S.CANCELLED, _S.EXPIRED}),
    _S.PROCESSING: frozenset({_S.COMPLETED, _S.FAILED, _S.CANCELLED, _S.EXPIRED}),
    # A declined intent can still be paid, but "processing" after "failed" may be old news: only an end replaces it.
    _S.FAILED: frozenset({_S.COMPLETED, _S.CANCELLED, _S.EXPIRED}),
    # Stripe said "canceled" and then that it was paid: the money is there, so the hours are, and a case is opened.
    _S.CANCELLED: frozenset({_S.COMPLETED}),
    _S.EXPIRED: frozenset({_S.COMPLETED}),
    _S.COMPLETED: frozenset({_S.REFUNDED}),
    # Back to completed only where money that had gone is here again: `lifecycle.take_money_back`, never by an event.
    _S.REFUNDED: frozenset(),
}
PAYABLE = frozenset({_S.PENDING, _S.PROCESSING, _S.FAILED})
"""States in which a payment of the frozen amount is plain news."""

SETTLED = frozenset({_S.COMPLETED, _S.CANCELLED, _S.EXPIRED, _S.REFUNDED})
"""States whose client secret has nothing left to do."""


PAID = frozenset({_S.COMPLETED, _S.REFUNDED})
"""States of a purchase whose payment is known here."""


class EventState(StrEnum):
    RECEIVED = "received"
    ASKING = "asking"
    APPLIED = "applied"
    IGNORED = "ignored"
    PARKED = "parked"
    DEAD = "dead"


OPEN_EVENT_STATES = frozenset({EventState.RECEIVED, EventState.ASKING})


class Outcome(StrEnum):
    """What became of an event. Late and repeated news is an outcome, not an error."""

    APPLIED = "applied"
    LATE = "late"
    """A later state is known already, or the same news came by another event."""
    FOREIGN = "foreign"
    """Not an object of this installation."""
    UNHANDLED = "unhandled"
    """A type that changes nothing here, or an event without an object of ours in it."""
    WRONG_MODE = "wrong_mode"
    DIFFERENCE = "difference"
    """Amount, currency, customer or mode are not those of the purchase: no effect, and a case."""
    WAIT = "wait"
    """Ours by its mark, but our row does not know the object yet: again later."""


class CallState(StrEnum):
    OPEN = "open"
    """Written down, and sent as often as `sends` says without an answer that can be believed."""
    ANSWERED = "answered"
    REFUSED = "refused"
    LAPSED = "lapsed"
    """Its key is too old to be sent again, and Stripe was asked: the object is not there."""


class EntryKind(StrEnum):
    CREDIT = "credit"
    CONSUME = "consume"
    HOLD = "hold"
    RELEASE = "release"
    EXPIRE = "expire"
    RESTORE = "restore"
    REFUND = "refund"
    FREEZE = "freeze"
    THAW = "thaw"
    TRANSFER = "transfer"
    CORRECT = "correct"
    """Taken back by staff, because it should never have been there."""


class Part(StrEnum):
    """Where the minutes of a lot are that are not left to spend."""

    CONSUMED = "consumed"
    EXPIRED = "expired"
    REFUNDED = "refunded"
    FROZEN = "frozen"
    HELD = "held"


class LotOrigin(StrEnum):
    PURCHASE = "purchase"
    INVOICE = "invoice"
    GRANT = "grant"
    TRANSFER = "transfer"


class CaseState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


class DeadLetterState(StrEnum):
    PARKED = "parked"
    """Put aside, to be seen to later."""
    DISCARDED = "discarded"
    """Looked at, and never to be worked."""


class ReconciliationScope(StrEnum):
    EVENTS = "events"
    """Stripe's events since the cursor."""
    LEDGER = "ledger"
    """Every payment and refund of a time, against ours."""


class FindingKind(StrEnum):
    """How Stripe and we differ."""

    UNKNOWN_PAYMENT = "unknown_payment"
    """Paid, with our mark, and no purchase of ours has it."""
    UNPAID_HERE = "unpaid_here"
    """Paid there, and not here, though there was time to hear of it."""
    UNPAID_THERE = "unpaid_there"
    """Paid here, and not there."""
    AMOUNT = "amount"
    REFUND_MISSING = "refund_missing"
    """Given back there, and unknown here."""
    REFUND_AMOUNT = "refund_amount"
    """What was given back is not the same on both sides."""
    EVENTS_TOO_OLD = "events_too_old"
    """The cursor comes near the end of what Stripe keeps: events may be lost to us."""


class ConsumptionMode(StrEnum):
    CONSUME = "consume"
    HOLD = "hold"


class ConsumptionState(StrEnum):
    REQUESTED = "requested"
    HELD = "held"
    CONSUMED = "consumed"
    """Taken, and perhaps given back in part."""
    RELEASED = "released"
    LAPSED = "lapsed"
    """A hold that nobody captured or released in time."""
    REFUNDED = "refunded"
    """Taken, and wholly given back."""
    REFUSED = "refused"


_C = ConsumptionState
CONSUMPTION_MOVES: Mapping[ConsumptionState, frozenset[ConsumptionState]] = {
    _C.REQUESTED: frozenset({_C.HELD, _C.CONSUMED, _C.REFUSED}),
    _C.HELD: frozenset({_C.CONSUMED, _C.RELEASED, _C.LAPSED}),
    _C.CONSUMED: frozenset({_C.REFUNDED}),
    _C.RELEASED: frozenset(),
    _C.LAPSED: frozenset(),
    _C.REFUNDED: frozenset(),
    _C.REFUSED: frozenset(),
}


class ConsumptionActKind(StrEnum):
    """What the platform asks to be done with hours."""

    BOOK = "book"
    """Take them, or hold them: what the consumption's mode says."""
    CAPTURE = "capture"
    RELEASE = "release"
    REFUND = "refund"


class ActState(StrEnum):
    """What became of something that was asked for."""

    REQUESTED = "requested"
    DONE = "done"
    REFUSED = "refused"


class StaffAction(StrEnum):
    EXTEND = "extend"
    BULK_EXTEND = "bulk_extend"
    GRANT = "grant"
    CORRECT = "correct"
    PROCESS_EXPIRED = "process_expired"
    UNDO_SWEEP = "undo_sweep"
    REFUND = "refund"
    SET_INVOICE = "set_invoice"
    REPLAY = "replay"
    """Work a dead letter anew."""
    PARK = "park"
    DISCARD = "discard"
    CLOSE_FINDING = "close_finding"
    CLOSE_CASE = "close_case"
    CREATE_PLAN = "create_plan"
    EDIT_PLAN = "edit_plan"
    """A new version of it."""
    SET_PLANS = "set_plans"
    """Whether and where they are shown: archived, featured, ordered."""


class SweepTrigger(StrEnum):
    NIGHTLY = "nightly"
    LATE = "late"
    STAFF = "staff"
    COMMAND = "command"


class SweepState(StrEnum):
    RUNNING = "running"
    FINISHED = "finished"
    UNDONE = "undone"


class NotificationKind(StrEnum):
    EXPIRES_IN_A_WEEK = "expires_in_a_week"
    EXPIRES_IN_DAYS = "expires_in_days"
    EXPIRES_TOMORROW = "expires_tomorrow"
    EXPIRED = "expired"
    LOW_BALANCE = "low_balance"
    EMPTY_BALANCE = "empty_balance"


class NotificationState(StrEnum):
    WAITING = "waiting"
    SENT = "sent"
    SKIPPED = "skipped"
    """Not true any more when its turn came, or its recipient wants none."""


class RefundOrigin(StrEnum):
    STAFF = "staff"
    EXTERNAL = "external"
    """Made in Stripe's dashboard, or by somebody else with the account's key."""


class RefundState(StrEnum):
    HELD = "held"
    """Its minutes are held; Stripe was not asked yet."""
    SENT = "sent"
    """Stripe was asked, or has said that it is on its way."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


_R = RefundState
REFUND_MOVES: Mapping[RefundState, frozenset[RefundState]] = {
    _R.HELD: frozenset({_R.SENT, _R.SUCCEEDED, _R.FAILED, _R.CANCELLED}),
    _R.SENT: frozenset({_R.SUCCEEDED, _R.FAILED, _R.CANCELLED}),
    _R.SUCCEEDED: frozenset({_R.FAILED}),
    _R.FAILED: frozenset(),
    _R.CANCELLED: frozenset(),
}


class DisputeState(StrEnum):
    INQUIRY = "inquiry"
    """A bank asks; no money has moved."""
    OPEN = "open"
    WON = "won"
    LOST = "lost"
    CLOSED = "closed"
    """An inquiry that came to nothing."""


_D = DisputeState
DISPUTE_MOVES: Mapping[DisputeState, frozenset[DisputeState]] = {
    _D.INQUIRY: frozenset({_D.OPEN, _D.WON, _D.LOST, _D.CLOSED}),
    _D.OPEN: frozenset({_D.WON, _D.LOST, _D.CLOSED}),
    _D.WON: frozenset(),
    _D.LOST: frozenset({_D.WON}),
    _D.CLOSED: frozenset(),
}


class StaleKind(StrEnum):
    """What Stripe has to be asked about anew."""

    REFUNDS = "refunds"
    """All refunds of one payment intent."""
    DISPUTE = "dispute"
    SUBSCRIPTION = "subscription"
    """A subscription, and all its invoices."""
    CUSTOMER = "customer"
    """A customer, and all its cards."""


class SubscriptionStatus(StrEnum):
    """Stripe's own words ("The Subscription object", attribute `status`)."""

    INCOMPLETE = "incomplete"
    INCOMPLETE_EXPIRED = "incomplete_expired"
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    CANCELED = "canceled"
    UNPAID = "unpaid"
    PAUSED = "paused"


ENDED_SUBSCRIPTIONS = frozenset({SubscriptionStatus.CANCELED, SubscriptionStatus.INCOMPLETE_EXPIRED})
LIVE_SUBSCRIPTIONS = frozenset(SubscriptionStatus) - ENDED_SUBSCRIPTIONS - {SubscriptionStatus.INCOMPLETE}
"""Those that began and go on: a student has one of them."""


class AccountAction(StrEnum):
    """What the owner of an account asks for."""

    ADD_CARD = "add_card"
    """A setup intent, by which a browser saves a card."""
    ATTACH_CARD = "attach_card"
    DEFAULT_CARD = "default_card"
    REMOVE_CARD = "remove_card"
    CANCEL = "cancel"
    """The subscription, at the end of its period or at once."""
    RESUME = "resume"
    """Go on with a subscription that was to end, or that was paused."""
    PAUSE = "pause"
    CHANGE_PLAN = "change_plan"
    """From the next period on."""
    PAY = "pay"
    """The invoice of a renewal that failed, with the card of now."""


class ExportState(StrEnum):
    WRITING = "writing"
    READY = "ready"
    ERASED = "erased"
    """It was kept for long enough; who asked for what stays known."""
