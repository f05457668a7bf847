"""A guard, and how it is taken away."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Edit:
    """In this file this text, which is there once, becomes another."""

    path: str
    old: str
    new: str

    def is_possible(self, root: Path) -> bool:
        return (root / self.path).read_text().count(self.old) == 1

    def make(self, root: Path) -> None:
        file = root / self.path
        file.write_text(file.read_text().replace(self.old, self.new))

    def undo(self, root: Path, original: Path) -> None:
        (root / self.path).write_text((original / self.path).read_text())


@dataclass(frozen=True, slots=True)
class Guard:
    """`tests` are files that promise what it is there for; with the edits made, one of their tests fails."""

    name: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]
