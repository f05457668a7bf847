"""What is wrong with parameters, in Stripe's words: pydantic's findings become one error as Stripe gives it."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from billing.sandbox.errors import ApiError

_RANKS = ("extra_forbidden", "missing", "int_parsing", "bool_parsing", "literal_error")
_CODES = {"missing": "parameter_missing", "int_parsing": "parameter_invalid_integer"}
Path = tuple[str | int, ...]
Finding = tuple[Path, ErrorDetails]


def complaint(error: ValidationError, params: dict[str, Any]) -> ApiError:
    """Unknown parameters first, all of them; else the first of the most telling kind."""
    findings = _deepest([(_path(found, params), found) for found in error.errors(include_url=False)])
    unknown = [path for path, found in findings if found["type"] == "extra_forbidden"]
    if unknown:
        return _unknown(unknown)
    path, found = min(findings, key=lambda finding: _rank(finding[1]))
    return _sentence(name_of(path), found)


def name_of(path: Path) -> str:
    return str(path[0]) + "".join(f"[{step}]" for step in path[1:])


def _rank(found: ErrorDetails) -> int:
    return _RANKS.index(found["type"]) if found["type"] in _RANKS else len(_RANKS)


def _path(found: ErrorDetails, params: dict[str, Any]) -> Path:
    """pydantic names the branch of a union as a step; only steps that the request has, or lacks, are real."""
    steps: list[str | int] = []
    here: Any = params
    for step in found["loc"]:
        if _leads_on(here, step):
            here = here[step]
            steps.append(step)
    if found["type"] == "missing":
        steps.append(found["loc"][-1])
    return tuple(steps)


def _leads_on(here: Any, step: str | int) -> bool:
    if isinstance(here, dict):
        return step in here
    return isinstance(here, list) and isinstance(step, int) and step < len(here)


def _deepest(findings: Sequence[Finding]) -> list[Finding]:
    """Of a union only the branch that came furthest tells what the caller meant."""
    depth: dict[str | int, int] = {}
    for path, _ in findings:
        depth[path[0]] = max(depth.get(path[0], 0), len(path))
    return [(path, found) for path, found in findings if len(path) == depth[path[0]]]


def _unknown(paths: list[Path]) -> ApiError:
    names = [name_of(path) for path in paths]
    plural = "s" if len(names) > 1 else ""
    sentence = f"Received unknown parameter{plural}: {', '.join(names)}"
    return ApiError(sentence, code="parameter_unknown", param=names[0])


def _sentence(name: str, found: ErrorDetails) -> ApiError:
    if found["input"] == "" and found["type"] in {"int_parsing", "bool_parsing"}:
        return _empty(name)
    code = _CODES.get(found["type"])
    return ApiError(_words(name, found), code=code, param=name)


def _words(name: str, found: ErrorDetails) -> str:
    given = found["input"]
    expected = str(found.get("ctx", {}).get("expected", "")).replace("'", "")
    words = {
        "missing": f"Missing required param: {name}.",
        "int_parsing": f"Invalid integer: {given}",
        "bool_parsing": f"Invalid boolean: {given}",
        "literal_error": f"Invalid {name}: must be one of {expected}",
        "dict_type": "Invalid object",
        "list_type": "Invalid array",
    }
    return words.get(found["type"], f"Invalid {name}: {found['msg']}")


def _empty(name: str) -> ApiError:
    return ApiError(
        f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset a field; however "
        f"'{name}' cannot be unset. You should remove '{name}' from your request or supply a non-empty value.",
        code="parameter_invalid_empty",
        param=name,
    )
