"""What is said of one operation, and what is said of many in the same words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from web.openapi import parameters as given
from web.openapi.parameters import Parameter, told

Security = Mapping[str, Sequence[str]]

NOBODY: Security = {}
BEARER: Security = {"bearer": []}
ANYONE = (NOBODY, BEARER)
USER = (BEARER,)

TOKEN = ("authentication_required",)
WITH_BODY = ("validation_error", "payload_too_large", "unsupported_media_type")

WAITED = {"Preference_Applied": given.PREFERENCE_APPLIED}
REPEATED = {**WAITED, "Idempotent_Replayed": given.REPLAYED}


@dataclass(frozen=True)
class Answer:
    """`shape` is the body: a model, a list of one, or text of this media type; None: there is no body.

    A list of several models is one of these.
    """

    description: str
    shape: type[BaseModel] | list[type[BaseModel]] | str | None
    headers: Mapping[str, Any] = field(default_factory=told)
    links: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    id: str
    summary: str
    description: str
    answers: Mapping[int, Answer]
    problems: Sequence[str]
    tag: str
    security: Sequence[Security] = ANYONE
    parameters: Sequence[Parameter] = ()
    body: type[BaseModel] | Mapping[str, Any] | None = None
    is_body_optional: bool = False


Operations = Mapping[tuple[str, str], Operation]
"""By method and path."""
