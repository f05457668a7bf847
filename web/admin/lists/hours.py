"""Hours: what came, what moved, what lessons took, and the sweeps of what expired."""

from billing.states import ConsumptionMode, ConsumptionState, EntryKind, LotOrigin, SweepState, SweepTrigger
from web.admin.lists.fields import At, Euros, Flag, Hours, Id, Link, Name, Number, Text, word
from web.admin.lists.rows import RowList


class LotList(RowList):
    key, menu_label, display_name, icon = "lot", "Lots", "Lot", "fa fa-layer-group"
    fields = (
        Number("id", label="Number"),
        Link("student_id", label="Student", to="student"),
        Link("purchase_id", label="Transaction", to="purchase"),
        word("origin", LotOrigin),
        Hours("minutes_granted", label="Hours"),
        Hours("minutes_left", label="Left"),
        Hours("minutes_consumed", label="Used"),
        Hours("minutes_held", label="Held"),
        Hours("minutes_expired", label="Expired"),
        Hours("minutes_refunded", label="Given back", exclude_from_list=True),
        Hours("minutes_frozen", label="Frozen", exclude_from_list=True),
        Euros("value_cents", label="Paid (€)", exclude_from_list=True),
        At("starts_at", label="From"),
        At("expires_at", label="Until"),
        Number("times_expired", label="Swept", exclude_from_list=True),
        Text("source", exclude_from_list=True),
    )
    sortable_fields = ("id", "expires_at")
    fields_default_sort = (("id", True),)


class EntryList(RowList):
    key, menu_label, display_name, icon = "entry", "Entries", "Entry", "fa fa-list-ol"
    fields = (
        Number("id", label="Number"),
        Link("student_id", label="Student", to="student"),
        word("kind", EntryKind),
        Hours("minutes", label="Hours"),
        Hours("balance_after", label="Balance after"),
        Link("purchase_id", label="Transaction", to="purchase"),
        Link("consumption_id", label="Lesson", to="consumption", exclude_from_list=True),
        Link("sweep_run_id", label="Sweep", to="sweep", exclude_from_list=True),
        Name("source"),
        At("at"),
    )
    sortable_fields = ("id",)
    fields_default_sort = (("id", True),)


class ConsumptionList(RowList):
    key, menu_label, display_name, icon = "consumption", "Lessons", "Lesson", "fa fa-chalkboard-user"
    fields = (
        Id("id", exclude_from_list=True),
        Name("session_id", label="Session"),
        Link("student_id", label="Student", to="student"),
        word("state", ConsumptionState),
        word("mode", ConsumptionMode),
        Hours("minutes", label="Hours"),
        Hours("minutes_held", label="Held"),
        Hours("minutes_consumed", label="Used"),
        Hours("minutes_returned", label="Given back"),
        Text("error_type", label="Refused because", exclude_from_list=True),
        Id("group_id", label="Booking", exclude_from_list=True),
        Text("caller_sub", label="Asked by", exclude_from_list=True),
        At("ends_at", label="Lesson ends"),
        At("requested_at", label="Asked for"),
        At("decided_at", label="Decided", exclude_from_list=True),
    )
    sortable_fields = ("requested_at",)
    fields_default_sort = (("requested_at", True),)


class SweepList(RowList):
    key, menu_label, display_name, icon = "sweep", "Sweeps", "Sweep", "fa fa-broom"
    fields = (
        Number("id", label="Number"),
        word("trigger", SweepTrigger),
        word("state", SweepState),
        At("cutoff", label="Expired until"),
        Number("grace_hours", label="Grace (h)"),
        Link("student_id", label="Of", to="student"),
        Number("students"),
        Number("lots"),
        Hours("minutes", label="Hours"),
        Flag("is_told", label="Told by mail", exclude_from_list=True),
        Link("act_id", label="Asked for by", to="act", exclude_from_list=True),
        At("started_at", label="Started"),
        At("finished_at", label="Finished"),
        At("undone_at", label="Taken back", exclude_from_list=True),
        Text("last_error", label="Last error", exclude_from_list=True),
    )
    sortable_fields = ("id", "started_at")
    fields_default_sort = (("id", True),)
