"""What a message of ours looks like on the wire, before anything of Celery reads it.

Celery and kombu trust the shape of what they receive: an `eta` parks a message in memory, a callback publishes others,
a wrong type ends the worker. A message that is not exactly like ours is none of ours.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from billing.messages import MESSAGES

MOST_BYTES = 64 * 1024
"""Ours carry an id: a message of this size is somebody else's, or a mistake."""

KNOWN_TASKS = frozenset(kind.task for kind in MESSAGES)

Short = Annotated[str, Field(max_length=500)]
Nothing = Annotated[None, BeforeValidator(lambda value: value or None)]
"""A field of Celery's protocol that our messages leave empty."""


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class Headers(Strict):
    """Of Celery's protocol 2 (Celery, "Message Protocol")."""

    task: Short
    id: Short
    eta: Nothing = None
    expires: Short | None = None
    retries: Literal[0] = 0
    timelimit: list[None] = []
    root_id: Short | None = None
    parent_id: Short | None = None
    group: Nothing = None
    shadow: Nothing = None
    compression: Nothing = None
    stamped_headers: Nothing = None
    stamps: Nothing = None
    request_id: Short | None = None


class Embedded(Strict):
    callbacks: Nothing = None
    errbacks: Nothing = None
    chain: Nothing = None
    chord: Nothing = None


class DeliveryInfo(Strict):
    exchange: str
    routing_key: str


class Properties(Strict):
    delivery_tag: Short
    delivery_info: DeliveryInfo
    body_encoding: Literal["base64"]
    priority: int = 0


class Uncompressed(Strict):
    """A few kilobytes may unpack to gigabytes, and kombu unpacks what it is sent."""

    compression: Nothing = None


class Item(Strict):
    """An element of a Redis list as kombu writes it."""

    body: str
    headers: Uncompressed
    properties: Properties
    content_type: Short | None = Field(alias="content-type")
    content_encoding: Short | None = Field(alias="content-encoding")


BODY: TypeAdapter[tuple[list[Any], dict[str, Any], Embedded]] = TypeAdapter(tuple[list[Any], dict[str, Any], Embedded])


def complaint_about_item(item: bytes) -> str | None:
    """Why kombu could not make a message of this element; None where it can."""
    if len(item) > 2 * MOST_BYTES:
        return "too large"
    try:
        base64.b64decode(Item.model_validate_json(item).body, validate=True)
    except ValidationError as error:
        return _why("not a message", error)
    except binascii.Error:
        return "not a message: body"
    return None


def complaint(headers: Mapping[str, Any], content_type: object, body: bytes) -> str | None:
    """Why Celery should not be given this message; None where it should."""
    if len(body) > MOST_BYTES:
        return "too large"
    if content_type != "application/json":
        return "not JSON"
    try:
        task = Headers.model_validate(headers).task
    except ValidationError as error:
        return _why("headers", error)
    if task not in KNOWN_TASKS:
        return "unknown task"
    try:
        BODY.validate_json(body)
    except ValidationError as error:
        return _why("body", error)
    return None


def _why(part: str, error: ValidationError) -> str:
    """Where it is wrong, never what stood there."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(step) for step in first["loc"])
    return f"{part}: {place} {first['type']}".replace("  ", " ")
