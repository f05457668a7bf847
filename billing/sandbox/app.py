"""The sandbox as an ASGI app: the API under `/v1/`, its control under `/_sandbox/`, two workers beside them."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from billing.sandbox.account import Account, Webhook
from billing.sandbox.api import Api
from billing.sandbox.control.routes import CONTROL
from billing.sandbox.control.sandbox import Sandbox
from billing.sandbox.courier import Courier
from billing.sandbox.door import Door
from billing.sandbox.keys import Keys
from billing.sandbox.options import Options
from billing.sandbox.timekeeper import Timekeeper


def create_app(options: Options) -> Starlette:
    account = Account.open(options.state, Webhook(options.webhook_url, options.webhook_secret))
    api = Api(account, Keys(options.secret_key, options.publishable_key))
    courier = Courier(account.deliveries, account.clock, options.webhook_url, options.webhook_secret)
    timekeeper = Timekeeper(account, courier)
    app = Starlette(
        routes=[*CONTROL, Route("/v1/{path:path}", Door(api, courier, timekeeper))],
        lifespan=_lifespan,
        exception_handlers={HTTPException: _sentence},
    )
    app.state.sandbox = Sandbox(account, api, courier, timekeeper)
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    sandbox: Sandbox = app.state.sandbox
    workers = [asyncio.create_task(worker.run()) for worker in (sandbox.courier, sandbox.timekeeper)]
    for worker in workers:
        worker.add_done_callback(_complain)
    gc.collect()
    gc.freeze()
    yield
    for worker in workers:
        worker.cancel()
        with suppress(asyncio.CancelledError):
            await worker
    sandbox.account.database.close()


def _complain(worker: asyncio.Task[None]) -> None:
    """A worker that ends by itself is a mistake in the sandbox: say so at once, not at the end."""
    if not worker.cancelled() and worker.exception() is not None:
        asyncio.get_running_loop().call_exception_handler(
            {"message": "a worker of the sandbox has ended", "exception": worker.exception(), "task": worker}
        )


async def _sentence(request: Request, error: Exception) -> JSONResponse:
    status, detail = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, str(error))
    return JSONResponse({"error": detail, "path": request.url.path}, status)
