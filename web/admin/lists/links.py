"""Acts that a row leads to: links to their pages, shown to whom may ask for them, where they have a sense."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar
from urllib.parse import quote

from starlette.requests import Request
from starlette_admin.actions import link_row_action

from web.admin.lists.rows import RowList
from web.admin.sessions import officer_of

Fits = Callable[[Any], bool]


def act_page(act: str, subject: object) -> str:
    return f"/admin/acts/{act}?of={quote(str(subject), safe='')}"


def leads_to(act: str, text: str, icon: str, of: Callable[[Any], object] = str) -> Any:
    """A link of each row; `of` makes the act's subject of the row's key."""

    def address(_: RowList, request: Request, pk: Any) -> str:
        return act_page(act, of(pk))

    return link_row_action(name=act, text=text, icon_class=icon)(address)


class ActingList(RowList):
    """A list whose rows lead to acts."""

    for_admins: ClassVar[frozenset[str]] = frozenset()
    """Acts of the role `admin`; the others are everybody's who may come in."""
    fits: ClassVar[Mapping[str, Fits]] = {}
    """Whether an act has a sense for a row; it is no promise, the domain decides."""

    new_page: ClassVar[str] = ""
    """Where the role `admin` makes another one."""

    async def is_action_allowed(self, request: Request, name: str) -> bool:
        is_allowed = name not in self.for_admins or officer_of(request).is_admin
        return is_allowed and await super().is_action_allowed(request, name)

    async def is_row_action_allowed(self, request: Request, name: str) -> bool:
        is_allowed = name in self.row_actions and (name not in self.for_admins or officer_of(request).is_admin)
        return is_allowed and await super().is_row_action_allowed(request, name)

    async def is_row_action_allowed_for_obj(self, request: Request, name: str, obj: Any) -> bool:
        return name not in self.fits or self.fits[name](obj)
