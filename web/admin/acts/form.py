"""What the form of an act consists of, whichever act it is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from billing.staff.accept import accept_act
from billing.staff.wishes import Wish
from web.door import Door
from web.staff.acts import Accept


@dataclass(frozen=True, slots=True)
class Input:
    """A field of a form; `name` is the one under which complaints about it come."""

    name: str
    label: str
    kind: str = "text"
    """`text`, `number`, `checkbox`, `textarea`, `select` or `datetime-local`."""
    hint: str = ""
    given: str = ""
    choices: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Subject:
    """What an act is about, as it is now.

    `facts` are what whoever asks relies on: the form carries them, and where they have changed it is not taken.
    `hindrance` is why the domain would refuse any such act now.
    """

    title: str
    facts: Mapping[str, str]
    tables: Sequence[Table] = ()
    hindrance: str | None = None
    back: str = "/admin/"
    loaded: Any = None


REASON = Input("reason", "Reason", "textarea", "It is kept with the act, for auditors.")


@dataclass(frozen=True, slots=True)
class AcceptBy:
    """How such acts are accepted; a function would be taken for a method of the act."""

    accept: Accept


class Act(ABC):
    """One of the things that can be asked for; `of` names what it is about, as the address does."""

    name: ClassVar[str]
    title: ClassVar[str]
    button: ClassVar[str]
    is_for_admins: ClassVar[bool] = True
    needs_recent_sign_in: ClassVar[bool] = False
    """Of acts that move money, or hours that are worth some."""
    can_preview: ClassVar[bool] = False
    accept_by: ClassVar[AcceptBy] = AcceptBy(accept_act)

    def __init__(self, door: Door) -> None:
        self.door = door

    @abstractmethod
    async def find(self, of: Sequence[str], now: datetime) -> Subject | None:
        """None where there is nothing of that name."""

    @abstractmethod
    def inputs(self, subject: Subject) -> Sequence[Input]: ...

    @abstractmethod
    def wish(self, subject: Subject, given: Mapping[str, Any]) -> tuple[Wish, str]:
        """The wish and its reason. Raises HttpError 400 that names every wrong field."""

    def preview(self, subject: Subject, wish: Wish) -> Sequence[Table]:
        """What it would come to, for those that can be looked at first."""
        return ()


@dataclass(frozen=True, slots=True)
class Change:
    """A fact that is not any more what the form was made for."""

    what: str
    was: str
    now: str

    @property
    def row(self) -> Sequence[str]:
        return (self.what, self.was, self.now)


@dataclass(frozen=True, slots=True)
class Complaints:
    """By field; those that are about none stand above the form."""

    above: str | None = None
    by_field: Mapping[str, Sequence[str]] = field(default_factory=dict)
    changes: Sequence[Change] = ()


def changes_between(carried: Mapping[str, str], facts: Mapping[str, str]) -> Sequence[Change]:
    names = [*facts, *(name for name in carried if name not in facts)]
    found = [Change(name, str(carried.get(name, "nothing")), facts.get(name, "nothing")) for name in names]
    return [one for one in found if one.was != one.now]
