"""Answers held against the document: what is not written there is a failure, whichever test met it."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import jsonschema_rs
from httpx2 import Response

from billing.deadletters.names import TABLES
from web.openapi.document import build
from web.paths import PREFIXES

PARAMETER = re.compile(r"\\\{\w+\\\}")
ID = f"(?:[0-9a-fA-F-]+|(?:pm|evt)_[A-Za-z0-9_]+|{'|'.join(TABLES)})"
METHODS = frozenset({"get", "post", "put", "patch", "delete"})

Spec = Mapping[str, Any]


@cache
def document() -> dict[str, Any]:
    return build()


def operations() -> Iterator[tuple[str, str, Spec]]:
    """Method, path, and what is said of them."""
    for path, item in document()["paths"].items():
        for method in sorted(METHODS & item.keys()):
            yield method.upper(), path, item[method]


def twin(path: str) -> str:
    """The same route under the other prefix; a route at the root has none, and is its own."""
    first, second = PREFIXES
    if path.startswith(first):
        return second + path.removeprefix(first)
    return first + path.removeprefix(second) if path.startswith(second) else path


def operation_of(method: str, path: str) -> Spec | None:
    """None where no route is asked for, or not with a method of its own."""
    asked = "GET" if method == "HEAD" else method
    for known, pattern, operation in operations():
        if known == asked and any(_fits(pattern, one) for one in (path, twin(path))):
            return operation
    return None


def _fits(pattern: str, path: str) -> bool:
    return re.fullmatch(PARAMETER.sub(ID, re.escape(pattern)), path) is not None


def check(answer: Response) -> None:
    """An event hook of a client."""
    operation = operation_of(answer.request.method, urlsplit(str(answer.request.url)).path)
    if operation is None:
        return
    answer.read()
    documented = operation["responses"].get(str(answer.status_code))
    where = f"{operation['operationId']} {answer.status_code}"
    assert documented is not None, f"{where} is not documented: {answer.text[:300]}"
    check_headers(where, documented, answer.headers)
    if answer.request.method != "HEAD" and answer.content:
        check_body(where, documented, answer.headers.get("content-type", ""), answer.content)


def check_headers(where: str, documented: Spec, headers: Mapping[str, str]) -> None:
    promised = [name for name, header in documented["headers"].items() if header.get("required", "$ref" in header)]
    assert [name for name in promised if name not in headers] == [], where


def check_body(where: str, documented: Spec, content_type: str, body: bytes) -> None:
    media_type = content_type.partition(";")[0]
    assert media_type in documented.get("content", {}), f"{where}: {media_type} is not documented"
    if media_type == "application/json":
        errors = list(validator(where, documented).iter_errors(json.loads(body)))
        assert not errors, f"{where}: {errors[0]}"


def validator(where: str, documented: Spec) -> Any:
    return _compiled(where, json.dumps(documented["content"]["application/json"]["schema"]))


@cache
def _compiled(where: str, schema: str) -> Any:
    return compiled(json.loads(schema))


def compiled(schema: Spec) -> Any:
    """A validator for a schema of the document, with the components that it refers to."""
    return jsonschema_rs.Draft202012Validator({**schema, "components": document()["components"]}, validate_formats=True)
