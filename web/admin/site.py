"""The admin put together: lists over a connection that cannot write, pages of acts, and who may come in."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from jinja2 import Environment
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlmodel import SQLModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router
from starlette_admin import CustomView, DropDown, Link, route
from starlette_admin.contrib.sqlmodel import Admin
from starlette_admin.export import ExportConfig
from starlette_admin.views import BaseView

from billing.db import connect
from billing.errors import TransientError
from billing.lists.dead_letters import DeadLetter
from billing.models import (
    Consumption,
    Dispute,
    Finding,
    HourEntry,
    HourLot,
    Notification,
    PaymentMethod,
    PricingPlan,
    PricingPlanVersion,
    Purchase,
    Receipt,
    ReconciliationRun,
    Refund,
    StaffAct,
    StaffCase,
    StaffSignIn,
    Student,
    Subscription,
    SweepRun,
    WebhookEvent,
)
from web.admin.acts.pages import ActPages
from web.admin.exports import ExportPages
from web.admin.keys import keys_for
from web.admin.lists.hours import ConsumptionList, EntryList, LotList, SweepList
from web.admin.lists.money import (
    CardList,
    DisputeList,
    PlanList,
    PurchaseList,
    ReceiptList,
    RefundList,
    SubscriptionList,
    VersionList,
)
from web.admin.lists.people import MailList, StudentList
from web.admin.lists.pipeline import (
    ActList,
    CaseList,
    EventList,
    FindingList,
    LetterList,
    ReconciliationList,
    SignInList,
)
from web.admin.lists.rows import MOST, RowList
from web.admin.page import OwnPage
from web.admin.places import Places
from web.admin.sessions import Sessions
from web.admin.shell import ADDRESS, NAME, Shell
from web.admin.sign_in import SignIn
from web.admin.student_page import StudentPage
from web.admin.templates import StrictTemplates
from web.door import Door

FOLDER = Path(__file__).parent
OPERATIONS = "/operations/"
CONNECTIONS = 2
"""Few people look at once, and each of their questions is short."""

# It tells of every search and every sign-in with what was written there: addresses and names.
logging.getLogger("starlette_admin").setLevel(logging.CRITICAL)


class Home(OwnPage):
    """Where people begin: everything there is, and one search over it."""

    menu_label, icon, path = "Home", "fa fa-house", "/"

    @route("")
    async def index(self, request: Request) -> Response:
        return self.page(request, "admin/home.html", {"title": "Home", "groups": _groups_of(self)})


def _groups_of(home: CustomView) -> Sequence[DropDown]:
    views: Sequence[BaseView] = home._admin._views if home._admin else ()  # noqa: SLF001  # as its own index does
    return [view for view in views if isinstance(view, DropDown)]


class AdminSite:
    """An ASGI application for whoever mounts it at `/admin`."""

    def __init__(self, door: Door) -> None:
        self._engine = connect(
            door.settings.database_url,
            "admin",
            pool_size=CONNECTIONS,
            statement_timeout="2s",
            default_transaction_read_only="on",
            plan_cache_mode="force_custom_plan",  # few rows of a state are found another way than many
        )
        self.app = Shell(_mounted(self._admin(door)), door.settings)

    def close(self) -> None:
        self._engine.dispose()

    def _admin(self, door: Door) -> Admin:
        keys = keys_for(door.settings, "admin forms")
        admin = Admin(
            self._engine,
            title="Billing",
            base_url=ADDRESS,
            route_name=NAME,
            templates_dir=str(FOLDER / "templates"),
            static_dir=str(FOLDER / "static"),
            additional_loaders=[StrictTemplates()],
            index_view=Home(),
            auth_provider=SignIn(door),
            secret_key=cast("str", keys),  # itsdangerous takes several, and Admin only hands them on
            middlewares=[Middleware(Sessions, door.settings)],
            timezone_config=None,  # instants are shown in the business's zone, whoever looks
            export_config=ExportConfig(max_rows=MOST),
        )
        _extend(admin.templates.env, door)
        operations = Link("Operations", "fa fa-gauge-high", OPERATIONS)
        exports = ExportPages(door)
        for view in (operations, *_menu(exports), exports, ActPages(door), StudentPage(door), Places(door)):
            admin.add_view(view)
        return admin


def _extend(env: Environment, door: Door) -> None:
    env.globals["zone"] = door.settings.business_timezone
    env.globals["most"] = MOST


def _menu(exports: ExportPages) -> Sequence[DropDown]:
    groups = _groups()
    for view in (view for group in groups for view in group.views if isinstance(view, RowList)):
        view.ask_worker = exports.ask
    return groups


def _groups() -> Sequence[DropDown]:
    return (
        _group("People", "fa fa-users", StudentList(Student), MailList(Notification)),
        _group(
            "Money",
            "fa fa-euro-sign",
            PurchaseList(Purchase),
            RefundList(Refund),
            DisputeList(Dispute),
            SubscriptionList(Subscription),
            CardList(PaymentMethod),
            ReceiptList(Receipt),
            PlanList(PricingPlan),
            VersionList(PricingPlanVersion),
        ),
        _group(
            "Hours",
            "fa fa-clock",
            LotList(HourLot),
            EntryList(HourEntry),
            ConsumptionList(Consumption),
            SweepList(SweepRun),
        ),
        _group(
            "Pipeline",
            "fa fa-gears",
            EventList(WebhookEvent),
            LetterList(cast("type[SQLModel]", DeadLetter)),
            FindingList(Finding),
            CaseList(StaffCase),
            ReconciliationList(ReconciliationRun),
        ),
        _group("Audit", "fa fa-clipboard-list", ActList(StaffAct), SignInList(StaffSignIn)),
    )


def _group(label: str, icon: str, *views: BaseView) -> DropDown:
    return DropDown(label, icon=icon, views=[*views], always_open=True)


def _mounted(admin: Admin) -> Starlette:
    admin.mount_to(cast("Starlette", Router()))  # any router does: the door mounts the application itself

    async def away(request: Request, error: Exception) -> Response:
        return await admin._render_error(request, HTTPException(503, TOO_SLOW))  # noqa: SLF001

    async def impossible(request: Request, error: Exception) -> Response:
        if isinstance(error, OperationalError):
            return await away(request, error)
        return await admin._render_error(request, HTTPException(400, IMPOSSIBLE))  # noqa: SLF001

    admin.app.add_exception_handler(TransientError, away)
    admin.app.add_exception_handler(DBAPIError, impossible)
    return admin.app


TOO_SLOW = "The database did not answer in time: try again, or narrow the list by a search or a filter."
IMPOSSIBLE = "No row can be what was asked for."
