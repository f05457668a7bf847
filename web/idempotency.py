"""Repeats of a request: whose key it is, what it is, and how the same body is known again."""

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import orjson
from pydantic import BaseModel
from starlette.requests import Request

from web.auth import Identity
from web.errors import invalid

HEADER = "Idempotency-Key"
KEY = re.compile(r"[!-~]{1,255}")
QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
ESCAPED = re.compile(r'\\(["\\])')


def idempotency_key(request: Request) -> str | None:
    """Raw, as most clients send it, or as a quoted string (RFC 8941); the same key either way."""
    given = request.headers.getlist(HEADER)
    if not given:
        return None
    key = given[0].strip()
    if key.startswith('"'):
        quoted = QUOTED.fullmatch(key)
        key = ESCAPED.sub(r"\1", quoted[1]) if quoted else ""
    if len(given) > 1 or not KEY.fullmatch(key):
        raise invalid(HEADER, "must be one key of 1 to 255 visible ASCII characters")
    return key


def scope_of(identity: Identity | None, email: str) -> str:
    """Whose keys these are: a user's, or those of whoever buys for this address without saying who he is."""
    return f"user:{identity.sub}" if identity else f"guest:{email}"


def digest(body: BaseModel) -> bytes:
    """Of what was understood, not of how it was written: 140 and "140.00" are the same request."""
    return digest_of(body.model_dump(mode="json"))


def digest_of(understood: Mapping[str, Any]) -> bytes:
    return sha256(orjson.dumps(understood, option=orjson.OPT_SORT_KEYS)).digest()
