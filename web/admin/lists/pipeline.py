"""What came in, what gave up, what differs, and what staff did about it."""

from collections.abc import Mapping
from typing import ClassVar

from starlette.requests import Request

from billing.states import (
    ActState,
    CaseState,
    EventState,
    FindingKind,
    Outcome,
    ReconciliationScope,
    StaffAction,
)
from web.admin.lists.fields import (
    At,
    Euros,
    Facts,
    Id,
    Letter,
    Link,
    Name,
    Number,
    StripeBody,
    Target,
    Text,
    Word,
    Words,
    word,
)
from web.admin.lists.links import ActingList, Fits, leads_to
from web.admin.lists.rows import RowList
from web.admin.sessions import officer_of


class EventList(ActingList):
    key, menu_label, display_name, icon = "event", "Events", "Event", "fa fa-bolt"
    fields = (
        Number("id", label="Number"),
        Name("stripe_event_id", label="Event at Stripe"),
        Text("type"),
        word("state", EventState),
        word("outcome", Outcome),
        Number("attempts"),
        Text("last_error", label="Last error"),
        At("received_at", label="Received"),
        At("processed_at", label="Worked"),
        Text("request_id", label="Request", exclude_from_list=True),
        StripeBody("body"),
    )
    admin_fields = ("body",)
    sortable_fields = ("id",)
    fields_default_sort = (("id", True),)
    row_actions = ("view", "replay")
    for_admins = frozenset({"replay"})
    fits: ClassVar[Mapping[str, Fits]] = {"replay": lambda row: row.state is not EventState.APPLIED}
    replay = leads_to("replay", "Replay", "fa fa-play", lambda pk: f"webhook_event:{pk}")


def _letter(pk: str) -> str:
    """The key of two parts, as dead letters are called everywhere else."""
    kind, _, subject = pk.partition(",")
    return f"{kind}:{subject}"


class LetterList(ActingList):
    key, menu_label, display_name, icon = "letter", "Dead letters", "Dead letter", "fa fa-skull"
    fields = (
        Text("kind"),
        Letter("subject", label="Row", getter=lambda _, row: f"{row.kind}:{row.subject}"),
        Word("state", choices=[(one, one) for one in ("dead", "parked", "discarded")]),
        Text("error_class", label="Error"),
        Text("reason"),
        Number("attempts"),
        At("first_at", label="First tried"),
        At("at", label="Gave up"),
        Text("digest", label="Alike ones", exclude_from_list=True),
    )
    sortable_fields = ("at", "kind")
    fields_default_sort = (("at", True),)
    row_actions = ("view", "replay", "park", "discard")
    for_admins = frozenset({"replay", "park", "discard"})
    replay = leads_to("replay", "Replay", "fa fa-play", _letter)
    park = leads_to("park", "Put aside", "fa fa-circle-pause", _letter)
    discard = leads_to("discard", "Discard", "fa fa-trash", _letter)


class FindingList(ActingList):
    key, menu_label, display_name, icon = "finding", "Findings", "Finding", "fa fa-scale-unbalanced"
    fields = (
        Id("id", exclude_from_list=True),
        word("kind", FindingKind),
        word("state", CaseState),
        Text("source", label="At Stripe, or here"),
        Link("purchase_id", label="Transaction", to="purchase"),
        Text("detail"),
        Euros("ours_cents", label="Here (€)"),
        Euros("theirs_cents", label="There (€)"),
        Text("owner", exclude_from_list=True),
        At("opened_at", label="Opened"),
        At("seen_at", label="Seen last"),
        At("closed_at", label="Closed", exclude_from_list=True),
        Text("closed_by", label="Closed by", exclude_from_list=True),
        Text("note", exclude_from_list=True),
    )
    sortable_fields = ("opened_at", "seen_at")
    fields_default_sort = (("opened_at", True),)
    row_actions = ("view", "close-finding")
    for_admins = frozenset({"close-finding"})
    fits: ClassVar[Mapping[str, Fits]] = {"close-finding": lambda row: row.state is CaseState.OPEN}
    close = leads_to("close-finding", "Close", "fa fa-check")


class CaseList(ActingList):
    key, menu_label, display_name, icon = "case", "Cases", "Case", "fa fa-folder-open"
    fields = (
        Number("id", label="Number"),
        Text("reason"),
        Word("state", choices=[(one.value, one.value) for one in CaseState]),
        Link("purchase_id", label="Transaction", to="purchase"),
        Text("detail"),
        Text("source", exclude_from_list=True),
        At("opened_at", label="Opened"),
        At("closed_at", label="Closed"),
        Text("closed_by", label="Closed by", exclude_from_list=True),
        Text("note", exclude_from_list=True),
    )
    sortable_fields = ("id",)
    fields_default_sort = (("id", True),)
    row_actions = ("view", "close-case")
    for_admins = frozenset({"close-case"})
    fits: ClassVar[Mapping[str, Fits]] = {"close-case": lambda row: row.state == CaseState.OPEN}
    close = leads_to("close-case", "Close", "fa fa-check")


class ActList(RowList):
    """The audit log."""

    key, menu_label, display_name, icon = "act", "Staff acts", "Act", "fa fa-clipboard-list"
    fields = (
        Id("id", exclude_from_list=True),
        word("action", StaffAction),
        Target("target", label="About"),
        word("state", ActState),
        Text("actor", label="By"),
        Text("address", label="From", exclude_from_list=True),
        Text("reason"),
        Text("error_type", label="Refused because", exclude_from_list=True),
        Text("error_message", label="In words", exclude_from_list=True),
        Facts("parameters", label="Asked for"),
        Facts("before"),
        Facts("after"),
        At("requested_at", label="Asked"),
        At("decided_at", label="Decided"),
        Text("last_error", label="Last error of a worker", exclude_from_list=True),
        Text("request_id", label="Request", exclude_from_list=True),
    )
    sortable_fields = ("requested_at",)
    fields_default_sort = (("requested_at", True),)


class SignInList(RowList):
    """Who came in, for administrators: when, as what, and until when."""

    key, menu_label, display_name, icon = "sign-in", "Sign-ins", "Sign-in", "fa fa-right-to-bracket"
    fields = (
        Id("id", exclude_from_list=True),
        Text("sub", label="Who"),
        Text("name"),
        Words("roles"),
        At("signed_in_at", label="From"),
        At("until"),
        At("signed_out_at", label="Signed out"),
    )
    sortable_fields = ("signed_in_at", "until")
    fields_default_sort = (("signed_in_at", True),)

    def is_accessible(self, request: Request) -> bool:
        return officer_of(request).is_admin and super().is_accessible(request)


class ReconciliationList(RowList):
    key, menu_label, display_name, icon = "reconciliation", "Reconciliations", "Reconciliation", "fa fa-scale-balanced"
    fields = (
        Number("id", label="Number"),
        word("scope", ReconciliationScope),
        At("since"),
        At("until"),
        Number("seen"),
        Number("recorded", label="News"),
        Number("found", label="Differences"),
        Text("error"),
        At("started_at", label="Started"),
        At("finished_at", label="Finished"),
    )
    sortable_fields = ("id",)
    fields_default_sort = (("id", True),)
