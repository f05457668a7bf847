"""Lists that only read: bounded counts, searches by what people have at hand, and the names of related rows."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from anyio import to_thread
from sqlalchemy import ColumnElement, Select, func, literal, select
from sqlalchemy.orm import load_only
from starlette.requests import Request
from starlette.responses import Response
from starlette_admin.actions import ActionSelection
from starlette_admin.contrib.sqlmodel import ModelView
from starlette_admin.exceptions import ActionFailed
from starlette_admin.export import CsvExporter
from starlette_admin.fields import BaseField
from starlette_admin.filters import FilterGroup
from starlette_admin.types import RequestAction

from billing.lists.names import NAMES, names_of
from billing.lists.selection import Kind, Selection
from billing.lists.tables import TABLES
from web.admin.lists.fields import Facts, Link
from web.admin.lists.selected import selection_of
from web.admin.sessions import officer_of

T = TypeVar("T")

MOST = 10_000
"""So many rows are counted, paged through and exported at once; a larger export is made by a worker."""

ForWorker = Callable[[Request, Selection], Awaitable[Response]]
"""Asks for an export that is too large to be made at once."""


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
    ask_worker: ForWorker
    """Set by the site, whose door takes it."""
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
        rows = await super().find_all(request, skip, bounded, q, sorts, filters)
        if len(rows) < bounded and (rows or not skip):
            request.scope["admin_count"] = (q, filters, skip + len(rows))
        return await self._named(request, rows)

    async def count(self, request: Request, q: str | None = None, filters: FilterGroup | None = None) -> int:
        """One more than `MOST` stands for all larger numbers: nobody waits until a million rows are counted.

        Where the last page was read for this answer, all are known: what fits few rows or none is looked for once.
        """
        *asked, known = request.scope.get("admin_count", (None,))
        if asked == [q, filters]:
            return int(known)
        any_row = select(literal(1)).select_from(self.model)
        found = await self._apply_search_and_filters(request, any_row, q, filters)
        bounded = select(func.count()).select_from(found.limit(MOST + 1).subquery())
        return int(await to_thread.run_sync(request.state.session.scalar, bounded))

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
        """The students whom it names are looked for once in a request."""
        search = TABLES[str(self.key)].search
        found: dict[str, Sequence[int]] = request.scope.setdefault("admin_students", {})
        if term not in found:
            found[term] = await to_thread.run_sync(search.students, request.state.session, term)
        return search.clause(term, found[term])

    async def handle_row_action(self, request: Request, pk: Any, name: str) -> Response | None:
        """What a row leads to is a page of its own."""
        raise ActionFailed("Rows are only read here.")

    async def handle_action(self, request: Request, selection: ActionSelection, name: str) -> Response | None:
        """An export of so many rows that it would keep everybody waiting is left to a worker."""
        if name == "export" and selection.is_select_all and await self._is_too_large(request, selection):
            form = await request.form()
            wanted = frozenset(str(field) for field in form.getlist("fields"))
            return await self.ask_worker(request, selection_of(request, self, selection, wanted))
        return await super().handle_action(request, selection, name)

    async def _is_too_large(self, request: Request, selection: ActionSelection) -> bool:
        if not self.can_export(request) or (await request.form()).get("scope") == "page":
            return False
        return await self.count(request, selection.q, selection.filters) > MOST

    async def _named(self, request: Request, rows: Sequence[T]) -> Sequence[T]:
        """The rows, while the names of all that they point to are kept for their fields."""
        links = [field for field in self.get_fields_list(request) if isinstance(field, Link) and field.to in NAMES]
        pointed = [(Kind(field.to), getattr(row, field.name)) for field in links for row in rows]
        request.scope["admin_names"] = await to_thread.run_sync(names_of, request.state.session, pointed)
        return rows
