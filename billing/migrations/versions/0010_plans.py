"""Plans that people of the business change: acts that make them, edit them, and say where they are shown."""

from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"

ACTIONS = (
    "'extend', 'bulk_extend', 'grant', 'correct', 'process_expired', 'undo_sweep', 'refund', 'set_invoice', "
    "'replay', 'park', 'discard', 'close_finding', 'close_case'"
)
MORE_ACTIONS = "'create_plan', 'edit_plan', 'set_plans'"


def allow(actions: str) -> None:
    name = op.f("ck_staff_act_staffaction")
    op.drop_constraint(name, "staff_act", type_="check")
    op.create_check_constraint(name, "staff_act", f"action IN ({actions})")


def upgrade() -> None:
    allow(f"{ACTIONS}, {MORE_ACTIONS}")


def downgrade() -> None:
    allow(ACTIONS)
