"""Lists that only read: bounded counts, searches by what people have at hand, and the names of related rows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from anyio import to_thread
from sqlalchemy import ColumnElement, Executable, Result, Select, func, literal, select
from sqlalchemy.orm import load_only
from sqlmodel import col
from starlette.requests import Request
from starlette.responses import Response
from starlette_admin.contrib.sqlmodel import ModelView
from starlette_admin.exceptions import ActionFailed
from starlette_admin.export import CsvExporter
from starlette_admin.fields import BaseField
from starlette_admin.filters import FilterGroup
from starlette_admin.types import RequestAction

from billing.models import PricingPlanVersion, Purchase, Student
from web.admin.lists.fields import Facts, Link
from web.admin.lists.searches import MOST_STUDENTS, Search
from web.admin.sessions import officer_of

T = TypeVar("T")

MOST = 10_000
"""So many rows are counted, paged through and exported; who needs others narrows the list."""

TOO_MANY = (
    f"There are more than {MOST} rows: narrow the list by a search or a filter, from one instant to before another "
    "for example, and export it part by part."
)

NAMES: Mapping[str, tuple[Any, Any]] = {
    "student": (col(Student.id), col(Student.email)),
    "purchase": (col(Purchase.id), col(Purchase.transaction_id)),
    "version": (col(PricingPlanVersion.id), col(PricingPlanVersion.name)),
}
"""How the rows are called that others point to."""


class RowList(ModelView):
    """A list of the rows of a table."""

    importers = ()
    exporters = (CsvExporter(escape_formulas=True),)
    row_actions: Sequence[str] = ("view",)
    page_size = 25
    page_size_options = (25, 50, 100)
    list_template = "admin/list.html"
    detail_template = "admin/detail.html"
    search_highlight = False
    search: ClassVar[Search] = Search()
    admin_fields: ClassVar[Sequence[str]] = ()
    """Shown to the role `admin` only."""
    related: ClassVar[Mapping[str, str]] = {}
    """Lists in which a row's `related_by` is looked for, and what their links say."""
    related_by: ClassVar[str] = ""

    def can_create(self, request: Request) -> bool:
        return False

    def can_edit(self, request: Request) -> bool:
        return False

    def can_delete(self, request: Request) -> bool:
        return False

    def can_import(self, request: Request) -> bool:
        return False

    def can_access_field(self, request: Request, field: BaseField, action: RequestAction | None = None) -> bool:
        is_allowed = field.name not in self.admin_fields or officer_of(request).is_admin
        return is_allowed and super().can_access_field(request, field, action)

    def get_list_query(self, request: Request) -> Select[Any]:
        """Only what may be shown is read: what is large on its row's page alone, secrets and prints never."""
        shown = {field.name for field in self.get_fields_list(request)}
        small = {field.name for field in self.fields if not isinstance(field, Facts)}
        names = (shown | small) & self._columns
        columns = [getattr(self.model, name) for name in sorted(names)]
        return select(self.model).options(load_only(*columns, raiseload=True))

    async def find_all(
        self,
        request: Request,
        skip: int = 0,
        limit: int = 100,
        q: str | None = None,
        sorts: Sequence[tuple[str, str]] | None = None,
        filters: FilterGroup | None = None,
    ) -> Sequence[Any]:
        if skip >= MOST:
            return ()
        bounded = limit if 0 < limit <= MOST else MOST
        return await self._named(request, await super().find_all(request, skip, bounded, q, sorts, filters))

    async def count(self, request: Request, q: str | None = None, filters: FilterGroup | None = None) -> int:
        """One more than `MOST` stands for all larger numbers: nobody waits until a million rows are counted."""
        any_row = select(literal(1)).select_from(self.model)
        found = await self._apply_search_and_filters(request, any_row, q, filters)
        bounded = select(func.count()).select_from(found.limit(MOST + 1).subquery())
        return int((await run(request, bounded)).scalar_one())

    async def find_by_pk(self, request: Request, pk: Any) -> Any:
        """None for what can be no key of this table."""
        try:
            found = await super().find_by_pk(request, pk)
        except (ValueError, TypeError):
            return None
        if found is not None:
            await self._named(request, [found])
        return found

    async def find_by_pks(self, request: Request, pks: list[Any]) -> Sequence[Any]:
        try:
            return await self._named(request, await super().find_by_pks(request, pks))
        except (ValueError, TypeError):
            raise ActionFailed("One of these rows cannot be there.") from None

    async def build_full_text_search_query(self, request: Request, term: str, model: Any) -> ColumnElement[bool]:
        """Students are found first: their rows then are by an index, however many others there are."""
        search, students = self.search, list[int]()
        if search.whose is not None and (asked := search.students(term)) is not None:
            students = [*(await run(request, asked.limit(MOST_STUDENTS))).scalars()]
        return search.clause(term, students)

    async def handle_row_action(self, request: Request, pk: Any, name: str) -> Response | None:
        """What a row leads to is a page of its own."""
        raise ActionFailed("Rows are only read here.")

    @staticmethod
    def _export_check_max_rows(count: int, max_rows: int | None) -> None:
        if count > MOST:
            raise ActionFailed(TOO_MANY)

    async def _named(self, request: Request, rows: Sequence[T]) -> Sequence[T]:
        """The rows, while the names of all that they point to are kept for their fields: a statement for each kind."""
        pointed: dict[str, set[Any]] = {}
        for field in self.get_fields_list(request):
            if isinstance(field, Link) and field.to in NAMES:
                pointed.setdefault(field.to, set()).update(getattr(row, field.name) for row in rows)
        names: dict[tuple[str, Any], str] = {}
        for kind, ids in pointed.items():
            key, name = NAMES[kind]
            if ids := ids - {None}:
                found: Sequence[Any] = (await run(request, select(key, name).where(key.in_(ids)))).all()
                names.update({(kind, row[0]): str(row[1]) for row in found})
        request.scope["admin_names"] = names
        return rows


async def run(request: Request, statement: Executable) -> Result[Any]:
    """In a thread, by the connection of this request."""
    execute: Callable[[Executable], Result[Any]] = request.state.session.execute
    return await to_thread.run_sync(execute, statement)
