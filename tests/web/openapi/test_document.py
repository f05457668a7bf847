"""The document says what the door does: no more, no less, and in words that a machine can check."""

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from starlette.routing import Route
from starlette.testclient import TestClient

from billing.config import Settings
from tests.web.openapi.documented import Spec, compiled, document, operations, twin
from tests.web.support import API, INITIATE, Tokens, buy
from web.app import create_app
from web.paths import PREFIXES
from web.schemas import PurchaseBody

OPERATIONS = {f"{method} {path}": operation for method, path, operation in operations()}
DOCUMENT = "/api/finances/openapi.json"
PAGES = ("/shop/", "/account/", "/site/", "/operations/", "/admin/")
"""What people see in a browser is no part of the API."""


def answered(app: Any) -> Iterator[tuple[str, str]]:
    """What the router answers; HEAD comes with GET. A route that takes every method has none to show."""
    for route in app._app.routes:
        assert isinstance(route, Route), f"{route} is of another kind"
        if route.path == "/" or route.path.startswith(PAGES):
            continue
        assert route.methods, f"{route.path} takes any method"
        path = route.path.replace(":uuid}", "}")
        assert ":" not in path, f"{path} takes a parameter of another kind"
        yield from ((method, path) for method in sorted(route.methods - {"HEAD"}))


def undocumented(routes: set[tuple[str, str]]) -> set[tuple[str, str]]:
    listed = {(method, path) for method, path, _ in operations()}
    return {(method, path) for method, path in routes if not {(method, path), (method, twin(path))} & listed}


def test_every_route_is_documented_and_nothing_else_is(settings: Settings) -> None:
    """Who reads the document knows the door."""
    routes = set(answered(create_app(settings)))
    assert undocumented(routes) == set()
    assert {(method, path) for method, path, _ in operations()} - routes == set()


def test_a_route_without_a_rule_fails() -> None:
    """A rule that cannot fail proves nothing."""
    known, new, other_method = ("POST", INITIATE), ("GET", f"{API}receipts/"), ("PUT", INITIATE)
    assert undocumented({known, new, other_method}) == {new, other_method}


def test_what_is_under_one_prefix_is_under_the_other(settings: Settings) -> None:
    """The description promises it; only what is about the service itself has one address."""
    first, second = PREFIXES
    routes = {path for _, path in answered(create_app(settings))}
    under_first = {path.removeprefix(first) for path in routes if path.startswith(first)}
    under_second = {path.removeprefix(second) for path in routes if path.startswith(second)} - {
        f"api/{path}" for path in under_first
    }
    assert under_second - under_first == {"openapi.json", "docs"}
    assert under_first - under_second == set()


def test_the_document_is_openapi_3_1() -> None:
    """Held against the specification's own schema by the validator; a misspelt key would be ignored by every tool."""
    schema = schemathesis.openapi.from_dict(document())
    assert schema.specification.version == "3.1.0"
    schema.validate()


@pytest.mark.parametrize("name", document()["components"]["schemas"])
def test_every_schema_is_one(name: str) -> None:
    """Every reference leads somewhere, every pattern compiles."""
    compiled({"$ref": f"#/components/schemas/{name}"})
    jsonschema_rs.meta.validate(document()["components"]["schemas"][name])


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_example_is_valid(name: str) -> None:
    """People copy examples."""
    for content in contents(OPERATIONS[name]):
        shown = [example["value"] for example in content.get("examples", {}).values()]
        for example in (*shown, *([content["example"]] if "example" in content else [])):
            assert [str(error) for error in compiled(content["schema"]).iter_errors(example)] == []


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_body_has_an_example(name: str) -> None:
    """A schema says what may be, an example what is."""
    bodies = [
        (media_type, content)
        for media_type, content in labelled(OPERATIONS[name])
        if name not in (f"GET {DOCUMENT}", "GET /api/finances/docs") or media_type != "text/html"
    ]
    without = [media_type for media_type, content in bodies if not {"example", "examples"} & content.keys()]
    assert without == (["application/json"] if name == f"GET {DOCUMENT}" else [])


def contents(operation: Spec) -> list[Spec]:
    return [content for _, content in labelled(operation)]


def labelled(operation: Spec) -> list[tuple[str, Spec]]:
    answers = [operation.get("requestBody", {}), *operation["responses"].values()]
    return [pair for answer in answers for pair in answer.get("content", {}).items()]


@pytest.mark.parametrize("name", OPERATIONS)
def test_examples_of_parameters_are_valid(name: str) -> None:
    for parameter in OPERATIONS[name]["parameters"]:
        if "example" in parameter:
            assert compiled(parameter["schema"]).is_valid(parameter["example"]), parameter["name"]


def test_the_example_of_a_purchase_is_read_as_one() -> None:
    """The schema of the body is the model's own, so what the model takes is what the document promises."""
    content = OPERATIONS[f"POST {INITIATE}"]["requestBody"]["content"]["application/json"]
    assert PurchaseBody.of(content["example"]).expected_price_eur == 14_000


def test_links_lead_to_operations() -> None:
    """A program that walks from the purchase to its status finds the way."""
    ids = {operation["operationId"] for operation in OPERATIONS.values()}
    assert len(ids) == len(OPERATIONS)
    led = {
        link["operationId"]
        for operation in OPERATIONS.values()
        for answer in operation["responses"].values()
        for link in answer.get("links", {}).values()
    }
    assert led == {"readPurchase", "followPurchase", "cancelPurchase"}
    assert led <= ids


def test_security_names_schemes_that_are_there() -> None:
    schemes = document()["components"]["securitySchemes"].keys()
    assert {scheme for operation in OPERATIONS.values() for one in operation["security"] for scheme in one} == schemes


def test_the_document_can_be_had_by_anyone(shared_client: TestClient, tokens: Tokens) -> None:
    answer = shared_client.get(DOCUMENT)
    assert answer.json() == document()
    assert answer.headers["Cache-Control"] == "public, no-cache"
    again = shared_client.get(DOCUMENT, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert shared_client.get(DOCUMENT, headers={"Authorization": "Bearer none"}).status_code == 401
    assert shared_client.get(DOCUMENT, headers=tokens.of()).status_code == 200


def test_an_answer_that_is_not_documented_fails(shared_client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite's clients hold every answer against the document; a rule that cannot fail proves nothing."""
    monkeypatch.delitem(OPERATIONS[f"POST {INITIATE}"]["responses"], "202")
    with pytest.raises(AssertionError, match="startPurchase 202 is not documented"):
        buy(shared_client)
