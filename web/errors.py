"""Every answer that is not a success: one shape, one table from errors to statuses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.responses import Response

from billing.accounts.refusals import CardExpiredError, CardNotFoundError
from billing.errors import (
    BillingError,
    ExtensionTooLongError,
    ExtensionTooShortError,
    IdempotencyMismatchError,
    InsufficientBalanceError,
    InvalidTransactionStateError,
    LockTimeoutError,
    NoPaymentMethodError,
    NoRefundableHoursError,
    NotFoundError,
    PlanUnknownError,
    PriceChangedError,
    RefundExceedsError,
    RefusedError,
    StillExpiredError,
    StudentUnknownError,
    TopupNeedsAPackageError,
    TransientError,
)
from web.answers import Json

FieldErrors = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Problem:
    """What a caller is told."""

    status: int
    error_type: str
    message: str
    field_errors: FieldErrors | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self, request_id: str) -> Response:
        body: dict[str, object] = {"success": False, "error_type": self.error_type, "message": self.message}
        if self.field_errors:
            body["field_errors"] = self.field_errors
        return Json({**body, "request_id": request_id}, self.status, headers=dict(self.headers))


class HttpError(Exception):
    """Raised wherever a request turns out to be unanswerable; the edge answers with its problem."""

    def __init__(
        self,
        status: int,
        error_type: str,
        message: str,
        *,
        field_errors: FieldErrors | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.problem = Problem(status, error_type, message, field_errors, headers or {})


class ClientGoneError(Exception):
    """The caller hung up before the request was complete: nobody is left to answer."""


def invalid(path: str, complaint: str) -> HttpError:
    """A single wrong field, header or parameter."""
    return HttpError(400, "validation_error", f"{path}: {complaint}", field_errors={path: [complaint]})


def not_found() -> HttpError:
    """The same answer for what is not there and for what is somebody else's."""
    return HttpError(404, "not_found", "There is nothing here.")


def unavailable(message: str = "The service cannot confirm this right now; nothing was lost, try again.") -> HttpError:
    return HttpError(503, "unavailable", message, headers={"Retry-After": "2"})


STATUSES: Mapping[type[BillingError], int] = {
    RefusedError: 400,
    PlanUnknownError: 400,
    NotFoundError: 404,
    CardNotFoundError: 404,
    StudentUnknownError: 404,
    CardExpiredError: 409,
    ExtensionTooLongError: 409,
    ExtensionTooShortError: 409,
    InsufficientBalanceError: 409,
    InvalidTransactionStateError: 409,
    NoPaymentMethodError: 409,
    NoRefundableHoursError: 409,
    RefundExceedsError: 409,
    StillExpiredError: 409,
    PriceChangedError: 409,
    TopupNeedsAPackageError: 409,
    IdempotencyMismatchError: 422,
}

WORDS: Mapping[int, tuple[str, str]] = {
    404: ("not_found", "There is nothing here."),
    405: ("method_not_allowed", "This method is not answered here."),
}

UNEXPECTED = Problem(500, "internal_error", "Something went wrong on our side; the request id helps us find it.")


def problem_of(error: Exception) -> Problem:
    if isinstance(error, HttpError):
        return error.problem
    if isinstance(error, HTTPException):
        return _of_starlette(error)
    if isinstance(error, LockTimeoutError):
        message = "An earlier request with this key is still being confirmed; try again."
        return Problem(409, "in_progress", message, headers={"Retry-After": "1"})
    if isinstance(error, TransientError):
        return unavailable().problem
    if isinstance(error, RefusedError):
        return _of_refusal(error)
    return UNEXPECTED


def _of_starlette(error: HTTPException) -> Problem:
    known = WORDS.get(error.status_code)
    error_type, message = known or ("bad_request", HTTPStatus(error.status_code).phrase)
    headers = dict(error.headers or {})
    if "Allow" in headers:
        headers["Allow"] = ", ".join(sorted(headers["Allow"].split(", ")))
    return Problem(error.status_code, error_type, message, headers=headers)


def _of_refusal(error: RefusedError) -> Problem:
    """The path of a field stands before the complaint in the messages of refusals that are about one."""
    status = next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
    path, is_field, complaint = str(error).partition(": ")
    field_errors = {path: [complaint]} if is_field and status == HTTPStatus.BAD_REQUEST else None
    return Problem(status, error.error_type, str(error), field_errors)
