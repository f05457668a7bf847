"""Filters of lists that are of no one student: what is given has to fit, all of it."""

from collections.abc import Mapping
from typing import Any, ClassVar


class Conditions:
    """A dataclass whose fields are None where anything fits; `conditions` has the SQL of each field, by its name."""

    __slots__ = ()
    conditions: ClassVar[Mapping[str, str]]

    @property
    def condition(self) -> str:
        return " AND ".join(self.conditions[name] for name in self.values) or "true"

    @property
    def values(self) -> dict[str, Any]:
        return {name: value for name in self.conditions if (value := getattr(self, name)) is not None}
