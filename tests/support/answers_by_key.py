"""Calls that are answered by their key, as Stripe does: the same key, the same answer, a refusal too."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from threading import RLock
from typing import TypeVar, cast

from billing.gateway import GatewayError, InvalidRequestError, KeyReusedError

T = TypeVar("T")


@dataclass(frozen=True)
class Kept:
    parameters: object
    answer: object


class AnswersByKey:
    """`troubles` are raised one by one before any work, `lost` after it. Safe to share between threads.

    `calls` has the name and the key of every call that changes something, also of those that are sent again.
    """

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.calls: list[tuple[str, str]] = []
        self.looks = 0
        self.troubles: list[BaseException] = []
        self.lost: list[BaseException] = []
        self.lock = RLock()
        self._kept: dict[str, Kept] = {}

    def _once(self, name: str, key: str, parameters: object, work: Callable[[], T]) -> T:
        with self.lock:
            self.calls.append((name, key))
            self._raise(self.troubles)
            if key not in self._kept:
                self._kept[key] = Kept(parameters, _worked(work))
            self._raise(self.lost)
            kept = self._kept[key]
        if kept.parameters != parameters:
            raise KeyReusedError
        if isinstance(kept.answer, GatewayError):
            raise kept.answer
        return cast("T", kept.answer)

    def _each_time(self, name: str, key: str, work: Callable[[], T]) -> T:
        """For what Stripe takes no keys with."""
        with self.lock:
            self.calls.append((name, key))
            self._raise(self.troubles)
            answer = work()
            self._raise(self.lost)
        return answer

    def _look(self) -> None:
        self.looks += 1
        self._raise(self.troubles)

    @staticmethod
    def _raise(troubles: list[BaseException]) -> None:
        if troubles:
            raise troubles.pop(0)


def known(there: dict[str, T], name: str) -> T:
    """Raises InvalidRequestError where there is nothing of that name."""
    if name not in there:
        raise InvalidRequestError("there is nothing of that name", code="resource_missing")
    return there[name]


def _worked(work: Callable[[], object]) -> object:
    try:
        return work()
    except GatewayError as refusal:
        return refusal
