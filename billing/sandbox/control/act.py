"""One act on the account outside the API: as one transaction, answered with the object as it is afterwards."""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from billing.sandbox.call import Call
from billing.sandbox.control.sandbox import Sandbox
from billing.sandbox.errors import ApiError
from billing.sandbox.objects import Stored
from billing.sandbox.origins import NOBODY


def act(request: Request, params: dict[str, Any], work: Callable[[Call], Stored]) -> JSONResponse:
    """Refusals have Stripe's shape; events name no request."""
    sandbox = Sandbox.of(request)
    call = Call(sandbox.account, NOBODY, params, request.path_params.get("id", ""))
    try:
        with sandbox.account.database.transaction():
            stored = work(call)
    except ApiError as error:
        return JSONResponse({"error": error.error}, error.status)
    sandbox.wake()
    return JSONResponse(stored.body)
