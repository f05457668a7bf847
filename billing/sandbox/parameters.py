"""The parameters that each endpoint takes, read from the types that the `stripe` package ships.

A private copy of the module with the types is made strict and given to pydantic: unknown parameters are refused, the
words of an enumeration are the only ones, and numbers and flags are written as Stripe wants them.
"""

import operator
import re
import sys
from collections.abc import Iterable
from functools import reduce
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType, UnionType
from typing import Annotated, Any, Literal, NotRequired, Required, Union, get_args, get_origin, get_type_hints

import stripe.params
from pydantic import BeforeValidator, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError
from stripe._request_options import RequestOptions
from typing_extensions import TypedDict, is_typeddict

from billing.sandbox.complaints import complaint

_TYPED_DICT: Any = TypedDict  # for names found while running
_FORBID = ConfigDict(extra="forbid")


def _whole_number(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,18}", value):
        return int(value)
    raise PydanticCustomError("int_parsing", "not a whole number")


def _flag(value: Any) -> Any:
    if value in {"true", "false"}:
        return value == "true"
    raise PydanticCustomError("bool_parsing", "not a flag")


WholeNumber = Annotated[int, BeforeValidator(_whole_number)]
Flag = Annotated[bool, BeforeValidator(_flag)]


class Parameters:
    """All adapters are built at once, before serving: pydantic builds them slowly, and under threads wrongly."""

    def __init__(self, names: Iterable[str]) -> None:
        self._adapters = {name: _adapter(name) for name in set(names)}

    def validate(self, name: str, params: dict[str, Any]) -> dict[str, Any]:
        try:
            validated: dict[str, Any] = self._adapters[name].validate_python(params)
        except ValidationError as error:
            raise complaint(error, params) from None
        return validated


def _adapter(full_name: str) -> TypeAdapter[Any]:
    folder, _, name = full_name.rpartition(".")
    module = _private_copy(folder, "_" + re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower())
    for nested in [value for value in vars(module).values() if _is_own_type(value, module)]:
        nested.__annotations__ = _strict_hints(nested)
        nested.__pydantic_config__ = _FORBID
    taken = {key: hint for key, hint in vars(module)[name].__annotations__.items() if key not in _OPTIONS}
    params = _TYPED_DICT(name, taken)
    params.__module__ = module.__name__
    params.__pydantic_config__ = _FORBID
    params.__annotations__ = _strict_hints(params)
    return TypeAdapter(params)


_OPTIONS = frozenset(RequestOptions.__annotations__)


class _UntypedMap:
    """Takes the place of stripe's own class of maps, which pydantic does not know."""

    def __class_getitem__(cls, item: Any) -> Any:
        return dict[str, item]


def _private_copy(folder: str, module_name: str) -> ModuleType:
    file = Path(stripe.params.__path__[0]) / folder / f"{module_name}.py"
    module = ModuleType("sandbox_params." + module_name)
    sys.modules[module.__name__] = module
    SourceFileLoader(module.__name__, str(file)).exec_module(module)
    vars(module)["UntypedStripeObject"] = _UntypedMap
    return module


def _is_own_type(value: Any, module: ModuleType) -> bool:
    return is_typeddict(value) and value.__module__ == module.__name__ and not _OPTIONS & set(value.__annotations__)


def _strict_hints(typed: Any) -> dict[str, Any]:
    return {key: _strict(hint) for key, hint in get_type_hints(typed, include_extras=True).items()}


def _strict(hint: Any) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin in {NotRequired, Required}:
        return origin[_strict(args[0])]
    if origin in {Union, UnionType}:
        return reduce(operator.or_, [_strict(arg) for arg in _without_free_text(args)])
    if origin is list:
        return list[_strict(args[0])]  # type: ignore[misc]  # an item's type found while running
    return {int: WholeNumber, bool: Flag}.get(hint, hint) if isinstance(hint, type) else hint


def _without_free_text(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The package writes an enumeration as `Literal[…] | str`, to outlive Stripe's next word; here the words count."""
    is_enumeration = any(get_origin(arg) is Literal and any(get_args(arg)) for arg in args)
    return tuple(arg for arg in args if not (is_enumeration and arg is str))
