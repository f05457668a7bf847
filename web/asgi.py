"""The application that the server runs: `uvicorn web.asgi:app`."""

import logging
import resource
import sys

from starlette.types import ASGIApp

from billing import clock
from billing.config import Settings
from billing.errors import ConfigurationError
from billing.logs import configure
from web.app import create_app

OPEN_FILES = 8192


def boot() -> ASGIApp:
    """Exits with a line for each wrong setting: nobody needs a traceback to mend one."""
    try:
        settings = Settings.load()
        clock.follow(settings)
    except ConfigurationError as error:
        for line in error.lines:
            print(f"billing: {line}", file=sys.stderr)
        raise SystemExit(1) from None
    configure("web")
    _allow_many_connections()
    # The server's own access log has query strings in it, and access tokens in those; the edge writes a better one.
    logging.getLogger("uvicorn.access").propagate = False
    return create_app(settings)


def _allow_many_connections() -> None:
    """Each waiting page is an open file, and the soft limit of most machines is one thousand."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    wanted = OPEN_FILES if hard == unlimited else min(OPEN_FILES, hard)
    if soft != unlimited and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


app = boot()
