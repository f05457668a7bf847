"""The error tree: each error says who can answer it, and travels there.

`TransientError` means the same work may succeed later: it is put off. `PermanentError` means it never will: it is
recorded and the work stops. `ConfigurationError` stops a boot.
"""


class BillingError(Exception):
    """Root of everything this project raises on purpose."""


class ConfigurationError(BillingError):
    """A setting is missing, unknown or contradicts another; each line names the variable and the mend."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


class TransientError(BillingError):
    """The same work may succeed later."""


class PermanentError(BillingError):
    """The same work would fail again."""


class DatabaseUnavailableError(TransientError):
    """The database did not confirm in time: it is away, restarting or overloaded."""


class ConflictError(TransientError):
    """A deadlock or a serialization failure: the database chose us to try again."""


class LockTimeoutError(TransientError):
    """A row stayed locked by somebody else for longer than we wait."""


class LeaseLostError(TransientError):
    """Another worker has taken the row over: whatever we found out, it will find out itself."""


class BrokerUnavailableError(TransientError):
    """The broker did not take a hint within its bound."""


class RefusedError(PermanentError):
    """A caller asked for something the rules refuse; `error_type` is the contract's word for it."""

    error_type = "validation_error"


class PlanUnknownError(RefusedError):
    """No plan of that id is on sale."""


class NoPaymentMethodError(RefusedError):
    """There is no saved card to pay with."""

    error_type = "no_payment_method"


class TopupNeedsAPackageError(RefusedError):
    """A subscription is bought by subscribing."""

    error_type = "topup_needs_a_package"


class PriceChangedError(RefusedError):
    error_type = "price_changed"


class IdempotencyMismatchError(RefusedError):
    error_type = "idempotency_mismatch"


class NotFoundError(RefusedError):
    error_type = "not_found"


class InvalidTransactionStateError(RefusedError):
    error_type = "invalid_transaction_state"


class AlreadySubscribedError(RefusedError):
    """A student has one subscription at a time; its plan can be changed."""

    error_type = "already_subscribed"


class StillExpiredError(RefusedError):
    """So short an extension would end in the past."""

    error_type = "still_expired"


class ExtensionTooLongError(RefusedError):
    error_type = "extension_too_long"


class ExtensionTooShortError(RefusedError):
    """An extension never takes time away."""

    error_type = "extension_too_short"


class PackageChangedError(RefusedError):
    """Its hours end at another instant than the one for which it was asked."""

    error_type = "package_changed"


class InsufficientBalanceError(RefusedError):
    error_type = "insufficient_balance"


class StudentUnknownError(RefusedError):
    """Nobody of that name has hours here, or ever had."""

    error_type = "student_unknown"


class NoRefundableHoursError(RefusedError):
    error_type = "no_refundable_hours"


class RefundExceedsError(RefusedError):
    error_type = "refund_exceeds_refundable"
