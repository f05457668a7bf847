"""Students, and what they were told."""

from billing.states import NotificationKind, NotificationState
from web.admin.lists.fields import At, Facts, Flag, Id, Link, Number, Text, word
from web.admin.lists.links import ActingList, leads_to
from web.admin.lists.rows import RowList


class StudentList(ActingList):
    """The page of a student is one of its own, not the plain one of a row."""

    key, menu_label, display_name, icon = "student", "Students", "Student", "fa fa-user-graduate"
    fields = (
        Number("id", label="Number"),
        Text("email", label="E-mail"),
        Text("name"),
        Text("external_id", label="Platform's id"),
        Flag("email_verified", label="Proven"),
        Flag("is_warned", label="Wants mail"),
        At("created_at", label="Since"),
    )
    sortable_fields = ("id", "email")
    fields_default_sort = (("id", True),)
    row_actions = ("view", "grant", "correct")
    for_admins = frozenset({"grant", "correct"})
    grant = leads_to("grant", "Grant hours", "fa fa-gift")
    correct = leads_to("correct", "Take hours back", "fa fa-eraser")


class MailList(RowList):
    key, menu_label, display_name, icon = "mail", "Mails", "Mail", "fa fa-envelope"
    fields = (
        Id("id", exclude_from_list=True),
        word("topic", NotificationKind),
        Link("student_id", label="Student", to="student"),
        word("state", NotificationState),
        Text("subject", label="Fact", exclude_from_list=True),
        Facts("facts"),
        At("created_at", label="Written"),
        At("decided_at", label="Sent or skipped"),
        Text("last_error", label="Last error", exclude_from_list=True),
    )
    sortable_fields = ("created_at",)
    fields_default_sort = (("created_at", True),)
