"""Stripe's form encoding: `a[b]=c`, `items[0][price]=p` and `expand[]=x` become nested values of strings."""

import re
from typing import Any
from urllib.parse import parse_qsl

from billing.sandbox.errors import ApiError

_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_FREE_KEYS = "metadata"


def decode(encoded: str) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in parse_qsl(encoded, keep_blank_values=True):
        _put(nested, _path(name), value)
    return {name: value if name == _FREE_KEYS else _with_lists(value) for name, value in nested.items()}


def _path(name: str) -> list[str]:
    match = _NAME.fullmatch(name)
    if match is None:
        raise ApiError(f"Received unknown parameter: {name}", code="parameter_unknown", param=name)
    return [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])]


def _put(nested: dict[str, Any], path: list[str], value: str) -> None:
    for step in path[:-1]:
        inner = nested.setdefault(step or str(len(nested)), {})
        if not isinstance(inner, dict):
            raise ApiError(f"Invalid object: {inner}", param=path[0])
        nested = inner
    nested[path[-1] or str(len(nested))] = value


def _with_lists(value: Any) -> Any:
    """Keys that are all numbers are the places in a list."""
    if not isinstance(value, dict):
        return value
    if value and all(key.isdecimal() for key in value):
        return [_with_lists(value[key]) for key in sorted(value, key=int)]
    return {key: inner if key == _FREE_KEYS else _with_lists(inner) for key, inner in value.items()}
