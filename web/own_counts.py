"""What this process counts by itself: who took how many places in which window, as far as it has seen."""

from collections import OrderedDict
from dataclasses import dataclass, field

MOST_PLACES = 20_000


@dataclass(frozen=True, slots=True)
class Window:
    """At most `most` in any `seconds` that follow each other; `name` says whose window it is."""

    name: str
    most: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Hold:
    """One place in each of these windows.

    Requests with equal `what` are one purchase and share their places; `holder` tells them apart, so that a place is
    free again when the last of them gave it back.
    """

    what: str
    holder: str
    windows: tuple[Window, ...]


@dataclass(slots=True)
class _Place:
    at: float
    holders: list[str] = field(default_factory=list)


class OwnCounts:
    """Bounded: past `most_places` the windows that nobody has touched for the longest time are forgotten."""

    def __init__(self, most_places: int = MOST_PLACES) -> None:
        self._windows: OrderedDict[str, OrderedDict[str, _Place]] = OrderedDict()
        self._most_places = most_places
        self.places = 0

    def take(self, hold: Hold, *, now: float) -> float:
        """Take the places and return 0, or take none and return the seconds until there is one in each window."""
        wait = max(self._seconds_until_free(window, hold.what, now) for window in hold.windows)
        if wait > 0:
            return wait
        for window in hold.windows:
            self._add(window, hold, now)
        self._forget_the_oldest()
        return 0

    def give_back(self, hold: Hold) -> None:
        for window in hold.windows:
            places = self._windows.get(window.name)
            place = places and places.get(hold.what)
            if not places or not place or hold.holder not in place.holders:
                continue
            place.holders.remove(hold.holder)
            if not place.holders:
                del places[hold.what]
                self.places -= 1
                self._forget_if_empty(window.name)

    def _seconds_until_free(self, window: Window, what: str, now: float) -> float:
        places = self._windows.get(window.name)
        while places and _oldest(places).at <= now - window.seconds:
            places.popitem(last=False)
            self.places -= 1
            self._forget_if_empty(window.name)
        if not places or len(places) < window.most or what in places:
            return 0
        return _oldest(places).at + window.seconds - now

    def _add(self, window: Window, hold: Hold, now: float) -> None:
        places = self._windows.setdefault(window.name, OrderedDict())
        self._windows.move_to_end(window.name)
        if hold.what not in places:
            places[hold.what] = _Place(now)
            self.places += 1
        places[hold.what].holders.append(hold.holder)

    def _forget_if_empty(self, name: str) -> None:
        if not self._windows[name]:
            del self._windows[name]

    def _forget_the_oldest(self) -> None:
        while self.places > self._most_places:
            _, places = self._windows.popitem(last=False)
            self.places -= len(places)


def _oldest(places: OrderedDict[str, _Place]) -> _Place:
    return next(iter(places.values()))
