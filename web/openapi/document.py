"""The document, from the operations and from the models that validate."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from web.openapi.answers import Error
from web.openapi.examples import EXAMPLES, METRICS, STREAM
from web.openapi.operation import Answer, Operation
from web.openapi.operations import OPERATIONS
from web.openapi.parameters import REQUEST_ID
from web.openapi.problems import problem_answers
from web.openapi.receipts import PDF
from web.paths import PREFIXES

DESCRIPTION = f"""
Prepaid tutoring hours: buy a plan, follow its payment, see the balance.

* Every route that is listed under `{PREFIXES[0]}` answers under `{PREFIXES[1]}` too, and the other way round for
  Stripe's deliveries.
* Where there is a GET there is a HEAD. Another method is a 405 with `Allow`, an unknown path a 404; the trailing slash
  is part of the path.
* Money and hours are strings with two places; instants are ISO 8601 in UTC with `Z`.
* Every error has one shape; `error_type` is for programs, `message` for people.
* Every answer has an `X-Request-Id`.
* A bad token is refused even where none is needed.
* A guest follows a purchase with the `access_token` of the 202 answer.
"""

SCHEMA_REF = "#/components/schemas/{model}"

SECURITY_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token of the platform: `sub` and `exp`, and where known `email`, `email_verified`, `roles`.",
    },
    "accessToken": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Access-Token",
        "description": "The `access_token` of one purchase.",
    },
    "accessTokenInQuery": {
        "type": "apiKey",
        "in": "query",
        "name": "access_token",
        "description": "The same for event streams and links, which cannot send a header. It is never logged.",
    },
}

TAGS = {
    "purchases": "Buying a plan, and what became of it.",
    "plans": "What can be bought, and how it is paid.",
    "balance": "The hours of a student.",
    "account": "Saved cards and a subscription, for their owner.",
    "hours": "What the tutoring platform takes for its sessions, holds, and gives back.",
    "staff": "What staff read and change; every change has a reason and stays in the audit log.",
    "stripe": "What Stripe sends.",
    "system": "The service itself.",
}


TEXTS = {
    "application/json": {"schema": {"type": "object"}},
    **PDF,
    "text/html": {"schema": {"type": "string"}},
    "text/plain": {"schema": {"type": "string"}, "examples": {"answer": {"value": METRICS}}},
    "text/event-stream": {
        "schema": {
            "description": "Of each event.",
            "properties": {
                "id": {"type": "string", "description": "For `Last-Event-ID`."},
                "data": {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "contentSchema": {"$ref": SCHEMA_REF.format(model="Purchase")},
                },
            },
        },
        "examples": {"answer": {"value": STREAM}},
    },
}


class _WithoutTitles(GenerateJsonSchema):
    """A title that repeats the name of its field says nothing."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def build() -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tutoring billing", "version": version("tutoring-billing"), "description": DESCRIPTION},
        "servers": [{"url": "/", "description": "Here."}],
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
        "paths": _paths(),
        "components": {
            "schemas": _schemas(),
            "securitySchemes": SECURITY_SCHEMES,
            "headers": {"X-Request-Id": {key: REQUEST_ID[key] for key in ("description", "schema")}},
            "parameters": {"X-Request-Id": REQUEST_ID},
        },
    }


def _schemas() -> dict[str, Any]:
    shapes: list[type[BaseModel]] = [Error, *EXAMPLES]
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [(shape, "validation") for shape in shapes]
    _, found = models_json_schema(models, ref_template=SCHEMA_REF, schema_generator=_WithoutTitles)
    schemas: dict[str, Any] = found["$defs"]
    for schema in schemas.values():
        schema.pop("title", None)
    return schemas


def _paths() -> dict[str, dict[str, Any]]:
    paths: dict[str, dict[str, Any]] = {}
    for (method, path), operation in OPERATIONS.items():
        item = paths.setdefault(path, {"parameters": [{"$ref": "#/components/parameters/X-Request-Id"}]})
        item[method.lower()] = _operation(operation)
    return paths


def _operation(operation: Operation) -> dict[str, Any]:
    taken = (
        {"requestBody": _request_body(operation.body, is_required=not operation.is_body_optional)}
        if operation.body
        else {}
    )
    return {
        "operationId": operation.id,
        "summary": operation.summary,
        "description": operation.description,
        "tags": [operation.tag],
        "security": [dict(one) for one in operation.security],
        "parameters": [dict(one) for one in operation.parameters],
        **taken,
        "responses": _responses(operation),
    }


def _request_body(body: type[BaseModel] | Mapping[str, Any], *, is_required: bool) -> dict[str, Any]:
    if isinstance(body, Mapping):
        content: dict[str, Any] = {"schema": body, "example": body["examples"][0]}
    else:
        content = {"schema": _ref(body), "example": EXAMPLES[body]}
    return {"required": is_required, "content": {"application/json": content}}


def _responses(operation: Operation) -> dict[str, Any]:
    """A status with which some answers are errors and some are none has both."""
    responses = problem_answers(operation.problems)
    for status, answer in operation.answers.items():
        shown, refused = _response(answer), responses.get(status)
        responses[status] = _either(shown, refused) if refused else shown
    return {str(status): response for status, response in sorted(responses.items())}


def _response(answer: Answer) -> dict[str, Any]:
    response: dict[str, Any] = {"description": answer.description, "headers": answer.headers}
    if answer.shape is not None:
        response["content"] = _content(answer.shape)
    return {**response, "links": answer.links} if answer.links else response


def _content(shape: type[BaseModel] | list[type[BaseModel]] | str) -> dict[str, Any]:
    if isinstance(shape, str):
        return {shape: TEXTS[shape]}
    if isinstance(shape, list) and len(shape) > 1:
        return {"application/json": {"schema": {"anyOf": [_ref(one) for one in shape]}, "examples": _each(shape)}}
    if isinstance(shape, list):
        (row,) = shape
        return {
            "application/json": {"schema": {"type": "array", "items": _ref(row)}, "examples": _shown([EXAMPLES[row]])}
        }
    return {"application/json": {"schema": _ref(shape), "examples": _shown(EXAMPLES[shape])}}


def _shown(example: Any) -> dict[str, Any]:
    return {"answer": {"value": example}}


def _each(shapes: list[type[BaseModel]]) -> dict[str, Any]:
    return {shape.__name__: {"value": EXAMPLES[shape]} for shape in shapes}


def _either(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    first, second = (answer["content"]["application/json"] for answer in (one, other))
    content = {
        "schema": {"anyOf": [first["schema"], second["schema"]]},
        "examples": {**first["examples"], **second["examples"]},
    }
    described = f"{one['description']} Or {other['description']}"
    # Only the one of them has the others' headers: none is promised.
    headers = {name: {**header, "required": False} for name, header in other["headers"].items() if "$ref" not in header}
    return {
        "description": described,
        "headers": {**one["headers"], **headers},
        "content": {"application/json": content},
    }


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": SCHEMA_REF.format(model=model.__name__)}
