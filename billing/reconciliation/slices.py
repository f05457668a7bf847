"""A long time in slices, from its oldest side: short at first, longer where little happened, shorter where much did."""

from datetime import datetime, timedelta

FIRST = timedelta(minutes=20)
SHORTEST = timedelta(seconds=1)
"""Instants at Stripe are whole seconds: a slice of one second is read to its end whatever is in it."""
MOST_PAGES = 20
"""A slice with more than this is begun anew with half its length, so that what is read is kept step by step."""


class Slices:
    """`part` is the slice to read now, and has both its ends; it is None after the last one."""

    def __init__(self, since: datetime, until: datetime) -> None:
        self._at, self._until = since, until
        self._length = FIRST
        self._is_over = False

    @property
    def part(self) -> tuple[datetime, datetime] | None:
        return None if self._is_over else (self._at, min(self._at + self._length, self._until))

    @property
    def most_pages(self) -> int | None:
        """None: as many as it has."""
        return MOST_PAGES if self._length > SHORTEST else None

    def was_read(self, pages: int) -> None:
        self._at = min(self._at + self._length, self._until)
        self._is_over = self._at >= self._until
        if pages <= 1:
            self._length *= 2

    def was_too_long(self) -> None:
        self._length = max(self._length / 2, SHORTEST)
