"""What a dead letter is called: the kind of its row and the row's id, as `refund:0193d5a1-…`."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from billing.models import OpenWork
from billing.work.kinds import OPEN_KINDS, OpenKind

UNREADABLE = "message"
"""The kind of what came through the broker and could not be read."""

KINDS: Mapping[str, OpenKind] = {kind.model.kind: kind for kind in OPEN_KINDS}
TABLES: Mapping[str, str] = {**{kind: kind for kind in KINDS}, UNREADABLE: "unreadable_message"}
LARGEST_NUMBER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class LetterName:
    """`subject` is the id as the database writes it: make one of what somebody wrote by `of`."""

    kind: str
    subject: str

    @classmethod
    def of(cls, kind: str, subject: str) -> "LetterName | None":
        """None where no row can be called so."""
        if kind not in TABLES:
            return None
        written = _uuid(subject) if kind in KINDS and _is_uuid(KINDS[kind].model) else _number(subject)
        return None if written is None else cls(kind, written)

    @property
    def key(self) -> UUID | int:
        """For the row's primary key."""
        is_uuid = self.kind in KINDS and _is_uuid(KINDS[self.kind].model)
        return UUID(self.subject) if is_uuid else int(self.subject)

    @property
    def table(self) -> str:
        return TABLES[self.kind]

    def __str__(self) -> str:
        return f"{self.kind}:{self.subject}"


def _is_uuid(model: type[OpenWork]) -> bool:
    return "UUID" in str(model.model_fields["id"].annotation)


def _uuid(written: str) -> str | None:
    try:
        return str(UUID(written))
    except ValueError:
        return None


def _number(written: str) -> str | None:
    is_number = written.isascii() and written.isdigit() and len(written) < 20
    return str(int(written)) if is_number and int(written) <= LARGEST_NUMBER else None
