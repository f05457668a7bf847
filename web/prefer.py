"""`Prefer: wait=N` (RFC 7240): how long a caller would rather wait for an outcome than come back for it."""

import re
from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import Response

LONGEST_SECONDS = 30

PREFERENCE = re.compile(r"""\s*([^\s=;"]+)\s*(?:=\s*(?:"([^"\\]*)"|([^\s;"]*))\s*)?(?:;.*)?""")
SECONDS = re.compile(r"[0-9]+")


def wait_seconds(request: Request) -> int | None:
    """None where nothing was asked for that can be understood; what is too long is shortened."""
    first = next((value for name, value in _preferences(request) if name == "wait"), "")
    if not SECONDS.fullmatch(first):
        return None
    digits = first.lstrip("0") or "0"
    return LONGEST_SECONDS if len(digits) > 2 else min(int(digits), LONGEST_SECONDS)


def applied(response: Response, seconds: int) -> Response:
    response.headers["Preference-Applied"] = f"wait={seconds}"
    return response


def _preferences(request: Request) -> Iterator[tuple[str, str]]:
    """Names and values; of a name that comes twice the first counts."""
    for part in ",".join(request.headers.getlist("prefer")).split(","):
        if given := PREFERENCE.fullmatch(part):
            yield given[1].lower(), given[2] or given[3] or ""
