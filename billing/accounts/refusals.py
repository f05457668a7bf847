"""What the owner of an account is told when a wish is refused by our own rules; Stripe is not called for any of them.

Each class says the status with which the door answers whoever waits for it. A wish that Stripe refuses has Stripe's
class of error (`card_error`, `invalid_request_error`, and what trouble of a day ends in), or `authentication_required`
where a bank wants to see its customer; all of them with 409.
"""

from billing.errors import RefusedError


class CardNotFoundError(RefusedError):
    """404. No card of that id is saved by this student: the same answer for somebody else's and for none at all."""

    error_type = "card_not_found"


class CardExpiredError(RefusedError):
    """409. Its last month is over."""

    error_type = "card_expired"


class CardInUseError(RefusedError):
    """409. A subscription is charged by it, and there is no other one."""

    error_type = "card_in_use"


class NoSubscriptionError(RefusedError):
    """404. There is no subscription that has begun."""

    error_type = "no_subscription"


class AlreadyCancelledError(RefusedError):
    """409. It has ended already, or will at the end of its period."""

    error_type = "already_cancelled"


class SubscriptionEndedError(RefusedError):
    """409. What has ended is neither resumed nor changed nor paid: a new one may be bought."""

    error_type = "subscription_ended"


class NotCancellingError(RefusedError):
    """409. There is nothing to resume: it neither ends nor is paused."""

    error_type = "not_cancelling"


class AlreadyPausedError(RefusedError):
    """409."""

    error_type = "already_paused"


class UnknownPlanError(RefusedError):
    """400. No plan of that id is on sale."""

    error_type = "plan_unknown"


class PlanNotRecurringError(RefusedError):
    """409. Hours are bought once with that plan; nothing of it comes again each month."""

    error_type = "plan_not_recurring"


class SamePlanError(RefusedError):
    """409. The next period is charged by that plan already."""

    error_type = "same_plan"


class NothingDueError(RefusedError):
    """409. No invoice waits for a payment."""

    error_type = "nothing_due"


class CancelledMeanwhileError(RefusedError):
    """409. The subscription's end was asked for: nothing that could charge is done any more, until it is resumed."""

    error_type = "cancelled_meanwhile"
