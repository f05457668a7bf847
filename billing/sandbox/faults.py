"""The fault plan: which requests go wrong, how, and whether before or after the work was done.

`before` strikes ahead of everything, a wrong key included, as an outage does. `after` strikes where an answer exists:
the object was made, the key is held, and the answer is late, replaced or lost. A 500 put in its place is what repeats
of the key get, as Stripe keeps those; any other status is not kept. `"stored"` says otherwise.
"""

import asyncio
import re
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator, model_validator

from billing.sandbox.answers import Answer
from billing.sandbox.chance import Dice
from billing.sandbox.exchanges import Exchange
from billing.sandbox.request_log import Entry

When = Literal["before", "after"]
_CUT = Answer(200, b"", cut="silent")
_HTML = (
    b"<!doctype html><html><head><title>Bad gateway</title></head><body><h1>Something is between us</h1></body></html>"
)
_TYPES = {401: "invalid_request_error", 403: "invalid_request_error", 409: "idempotency_error", 402: "card_error"}
_CODES = {409: "lock_timeout", 429: "rate_limit"}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Match(_Strict):
    """`path` is a regular expression, searched in the path."""

    method: str | None = None
    path: str = ""

    @field_validator("path")
    @classmethod
    def _is_pattern(cls, path: str) -> str:
        try:
            re.compile(path)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        return path

    def fits(self, exchange: Exchange) -> bool:
        return self.method in {None, exchange.method} and re.search(self.path, exchange.path) is not None


class Status(_Strict):
    status: Annotated[int, Field(ge=200, le=599)]
    body: dict[str, Any] | str | None = None
    headers: dict[str, str] = {}
    stored: bool | None = None


class Delay(_Strict):
    delay_seconds: Annotated[float, Field(ge=0)]


class Cut(_Strict):
    """`true` closes the line without a word, `"body"` in the middle of the answer."""

    cut: Literal[True, "body"]


class Html(_Strict):
    html_200: Literal[True]


class Rule(_Strict):
    """Strikes `times` times, or with luck `share`, or always."""

    match: Match = Match()
    when: When = "before"
    do: Status | Delay | Cut | Html
    times: Annotated[int, Field(ge=1)] | None = None
    share: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: int | None = None

    @model_validator(mode="after")
    def _check(self) -> "Rule":
        if self.when == "before" and isinstance(self.do, Status) and self.do.stored:
            raise ValueError("nothing is stored before the work: no key was read yet")
        return self


RULES = TypeAdapter(list[Rule])


@dataclass
class _Armed:
    rule: Rule
    dice: Dice
    struck: int = 0

    def strikes(self, when: When, exchange: Exchange) -> bool:
        rule = self.rule
        if rule.when != when or not rule.match.fits(exchange) or self.struck == rule.times:
            return False
        if rule.share is not None and not self.dice.falls(rule.share):
            return False
        self.struck += 1
        return True


@dataclass
class Faults:
    _armed: list[_Armed] = field(default_factory=list)

    def add(self, rules: list[Rule]) -> None:
        self._armed += [_Armed(rule, Dice(rule.seed)) for rule in rules]

    def clear(self) -> None:
        self._armed.clear()

    def shown(self) -> list[dict[str, Any]]:
        return [{**armed.rule.model_dump(exclude_none=True), "struck": armed.struck} for armed in self._armed]

    async def strike(self, when: When, exchange: Exchange, entry: Entry, answer: Answer | None) -> Answer | None:
        """Rules work in their order: waits add up, the first answer put in the place of the real one is the last."""
        for armed in list(self._armed):
            if not armed.strikes(when, exchange):
                continue
            entry.fault = f"{when}: {armed.rule.do.model_dump_json(exclude_none=True)}"
            if isinstance(armed.rule.do, Delay):
                await asyncio.sleep(armed.rule.do.delay_seconds)
            else:
                return _replacement(armed.rule.do, when, answer)
        return answer


def _replacement(do: Status | Cut | Html, when: When, answer: Answer | None) -> Answer:
    if isinstance(do, Html):
        return Answer(200, _HTML, media_type="text/html")
    if isinstance(do, Cut):
        body = answer.body if answer else _HTML
        return _CUT if do.cut is True else Answer(200, body, cut="body")
    is_kept = do.stored if do.stored is not None else when == "after" and do.status == 500
    return Answer(do.status, _body(do), do.headers, _media_type(do), is_kept=is_kept)


def _body(do: Status) -> bytes:
    if isinstance(do.body, str):
        return do.body.encode()
    return Answer.json(do.body if do.body is not None else {"error": _error(do.status)}).body


def _media_type(do: Status) -> str:
    return "text/html" if isinstance(do.body, str) else "application/json"


def _error(status: int) -> dict[str, str]:
    error = {"message": f"The sandbox was told to answer {status}.", "type": _TYPES.get(status, "api_error")}
    return error | ({"code": _CODES[status]} if status in _CODES else {})
