"""What clients were promised: everything that a 2xx named, and how often the door said what."""

import threading
from collections import Counter
from dataclasses import dataclass, field
from uuid import UUID


@dataclass
class Promises:
    """Written by many threads. `answers` counts the door's statuses, 0 where none came; `ends` how buyers ended."""

    purchases: set[UUID] = field(default_factory=set)
    bookings: set[UUID] = field(default_factory=set)
    staff_acts: set[UUID] = field(default_factory=set)
    answers: Counter[int] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    odd: list[str] = field(default_factory=list)
    """Answers that no client should ever get."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count_answer(self, status: int, path: str) -> None:
        with self._lock:
            self.answers[status] += 1
            if status >= 500 and status != 503:
                self.odd.append(f"{status} at {path}")

    def count_end(self, end: str) -> None:
        with self._lock:
            self.ends[end] += 1

    def differs(self, sentence: str) -> None:
        with self._lock:
            self.odd.append(sentence)

    def keep(self, where: set[UUID], promised: str) -> UUID:
        with self._lock:
            number = UUID(promised)
            where.add(number)
            return number
