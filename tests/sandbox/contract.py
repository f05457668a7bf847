"""Whether an answer fits the types that the `stripe` package ships: nothing unknown or missing, no word invented."""

from collections.abc import Iterator
from decimal import Decimal
from types import NoneType
from typing import Any, ForwardRef, Literal, Union, get_args, get_origin

import stripe
from stripe import ListObject, StripeObject


def differences(cls: type[StripeObject], body: dict[str, Any], path: str = "") -> list[str]:
    fields = {name: hint for name, hint in cls.__annotations__.items() if name != "OBJECT_NAME"}
    required = {name for name, hint in fields.items() if NoneType not in get_args(hint)}
    found = [f"{path}.{name}: unknown to {cls.__qualname__}" for name in sorted(body.keys() - fields.keys())]
    found += [f"{path}.{name}: missing in {cls.__qualname__}" for name in sorted(required - body.keys())]
    for name in body.keys() & fields.keys():
        found += _of_value(fields[name], body[name], f"{path}.{name}")
    return found


def _of_value(hint: Any, value: Any, path: str) -> list[str]:
    """Of a union, the differences to the branch that fits best."""
    if value == {} and any(_is_object(branch) for branch in _branches(hint)):
        return []
    return min((_of_branch(branch, value, path) for branch in _branches(hint)), key=len)


def _branches(hint: Any) -> list[Any]:
    args = get_args(hint) if get_origin(hint) is Union else (hint,)
    branches = [_resolved(arg) for arg in args]
    is_enumeration = any(get_origin(branch) is Literal for branch in branches)
    return [branch for branch in branches if not (is_enumeration and branch is str)]


def _of_branch(branch: Any, value: Any, path: str) -> list[str]:
    origin = get_origin(branch)
    if origin is Literal:
        return [] if value in get_args(branch) else [f"{path}: {value!r} is none of Stripe's words"]
    if origin in {list, ListObject}:
        look = _of_page if origin is ListObject else _of_items
        return list(look(get_args(branch)[0], value, path))
    if origin is not None or branch in {dict, Any}:
        return [] if isinstance(value, dict) else [f"{path}: {value!r} is no map"]
    if _is_object(branch):
        return differences(branch, value, path) if isinstance(value, dict) else [f"{path}: {value!r} is no object"]
    is_right = type(value) is branch or (branch, type(value)) in {(float, int), (Decimal, str)}
    return [] if is_right else [f"{path}: {value!r} is no {branch.__name__}"]


def _of_items(hint: Any, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{path}: {value!r} is no list"
        return
    for place, item in enumerate(value):
        yield from _of_value(hint, item, f"{path}[{place}]")


def _of_page(hint: Any, value: Any, path: str) -> Iterator[str]:
    """A list in an object: its items, and how more of them are found."""
    if not isinstance(value, dict) or not {"object", "data", "has_more", "url"} <= value.keys():
        yield f"{path}: {value!r} is no page of a list"
        return
    yield from _of_items(hint, value["data"], f"{path}.data")


def _is_object(branch: Any) -> bool:
    return isinstance(branch, type) and issubclass(branch, StripeObject)


def _resolved(hint: Any) -> Any:
    name = hint.__forward_arg__ if isinstance(hint, ForwardRef) else hint
    return getattr(stripe, name, dict) if isinstance(name, str) else hint
