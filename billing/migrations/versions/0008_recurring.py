"""Who pays again: customers, cards, subscriptions, and what owners of accounts ask for."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0008"
down_revision: str | None = "0007"

NAMED = (
    """CASE origin WHEN 'purchase' THEN purchase_id IS NOT NULL WHEN 'invoice' THEN true ELSE purchase_id IS NULL END"""
)
WITH_INTENT = (
    "state NOT IN ('completed', 'refunded') OR "
    "(paid_at IS NOT NULL AND student_id IS NOT NULL AND payment_intent_id IS NOT NULL)"
)
WITH_INTENT_OR_INVOICE = (
    "state NOT IN ('completed', 'refunded') OR (paid_at IS NOT NULL AND student_id IS NOT NULL"
    " AND coalesce(payment_intent_id, stripe_invoice_id) IS NOT NULL)"
)
CHECKS_OF_PURCHASES = {
    "topups_have_a_card": "(channel = 'topup') = (payment_method_id IS NOT NULL)",
    "topups_are_packages": "channel <> 'topup' OR plan_type = 'package'",
    "renewals_have_an_invoice": (
        "channel <> 'renewal' OR (subscription_id IS NOT NULL AND stripe_invoice_id IS NOT NULL)"
    ),
    "subscribed_by_its_plan": "subscription_id IS NULL OR plan_type = 'subscription'",
}
STALE = "'refunds', 'dispute'"
MORE_STALE = "'subscription', 'customer'"
OPEN_BEFORE = (
    "student_link",
    "consumption_act",
    "staff_act",
    "sweep_run",
    "notification",
    "refund",
    "stale_mark",
    "receipt",
)
OPEN_NOW = (*OPEN_BEFORE, "account_act", "payment_watch")
DEAD_LETTER = """
CREATE OR REPLACE VIEW dead_letter AS
SELECT 'purchase' AS kind, id::text AS subject, last_error AS reason, attempts, gave_up_at AS at
    FROM purchase WHERE gave_up_at IS NOT NULL
UNION ALL
SELECT 'webhook_event', id::text, last_error, attempts, gave_up_at FROM webhook_event WHERE gave_up_at IS NOT NULL
UNION ALL
{others}
SELECT 'message', id::text, reason, times, last_at FROM unreadable_message;
"""
OTHER = """
SELECT '{table}', id::text, last_error, attempts, gave_up_at FROM {table} WHERE gave_up_at IS NOT NULL
UNION ALL
"""

# A period that was paid is credited once, to the student whose subscription it is.
BROKEN_PERIODS_OF = """
CREATE FUNCTION broken_periods_of(low bigint, high bigint) RETURNS TABLE (rule text, subject text)
LANGUAGE sql STABLE AS $$
SELECT 'renewal without its one credit', purchase.id::text
    FROM purchase LEFT JOIN hour_lot AS lot ON lot.purchase_id = purchase.id
    WHERE purchase.student_id BETWEEN low AND high AND purchase.channel = 'renewal' AND lot.id IS NULL
UNION ALL
SELECT 'purchase of the subscription of somebody else', purchase.id::text
    FROM purchase JOIN subscription ON subscription.id = purchase.subscription_id
    WHERE purchase.student_id BETWEEN low AND high AND purchase.student_id <> subscription.student_id
UNION ALL
SELECT 'hours of a period that its invoice did not pay', lot.id::text
    FROM hour_lot AS lot LEFT JOIN purchase ON purchase.id = lot.purchase_id
    WHERE lot.student_id BETWEEN low AND high AND (lot.origin = 'invoice' OR purchase.plan_type = 'subscription')
        AND (lot.origin = 'invoice' AND purchase.subscription_id IS NOT NULL AND lot.value_cents = purchase.price_cents
            AND starts_with(lot.source, 'invoice\\:' || purchase.stripe_invoice_id || '\\:line\\:')) IS NOT TRUE
$$;
"""
EVERYTHING = """
CREATE OR REPLACE VIEW violation AS
SELECT rule, subject FROM violations_of(0, 9223372036854775807)
UNION ALL
SELECT rule, subject FROM broken_returns_of(0, 9223372036854775807)
UNION ALL
SELECT rule, subject FROM broken_periods_of(0, 9223372036854775807);
"""
WITHOUT_PERIODS = """
CREATE OR REPLACE VIEW violation AS
SELECT rule, subject FROM violations_of(0, 9223372036854775807)
UNION ALL
SELECT rule, subject FROM broken_returns_of(0, 9223372036854775807);
"""


def dead_letter(tables: tuple[str, ...]) -> str:
    return DEAD_LETTER.format(others="".join(OTHER.format(table=table) for table in tables))


def replace_check(table: str, name: str, condition: str) -> None:
    op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")
    op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, condition)


def upgrade() -> None:
    op.create_table(
        "payment_watch",
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hint_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hints", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("deferrals", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_token", sa.Uuid(), nullable=True),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.Column("gave_up_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("asks", sa.SmallInteger(), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(due_at IS NULL) = (hint_at IS NULL)", name=op.f("ck_payment_watch_open_is_hinted")),
        sa.CheckConstraint(
            "(lease_token IS NULL) = (lease_until IS NULL)", name=op.f("ck_payment_watch_lease_is_whole")
        ),
        sa.CheckConstraint("asks >= 0", name=op.f("ck_payment_watch_asks_count")),
        sa.CheckConstraint("attempts >= deferrals AND deferrals >= 0", name=op.f("ck_payment_watch_attempts_count")),
        sa.CheckConstraint("gave_up_at IS NULL OR due_at IS NULL", name=op.f("ck_payment_watch_given_up_is_closed")),
        sa.CheckConstraint(
            "lease_token IS NULL OR due_at IS NOT NULL", name=op.f("ck_payment_watch_lease_is_of_open_work")
        ),
        sa.ForeignKeyConstraint(["id"], ["purchase.id"], name=op.f("fk_payment_watch_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment_watch")),
    )
    for name, columns, which in (
        ("due", ["due_at", "id"], "due_at"),
        ("gave_up", ["gave_up_at"], "gave_up_at"),
        ("hint", ["hint_at"], "due_at"),
        ("lease", ["lease_token"], "lease_token"),
    ):
        op.create_index(
            f"ix_payment_watch_{name}", "payment_watch", columns, postgresql_where=sa.text(f"{which} IS NOT NULL")
        )
    op.create_table(
        "account_act",
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hint_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hints", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("deferrals", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_token", sa.Uuid(), nullable=True),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.Column("gave_up_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("serial", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "action",
            sa.Enum(
                "add_card",
                "attach_card",
                "default_card",
                "remove_card",
                "cancel",
                "resume",
                "pause",
                "change_plan",
                "pay",
                name="accountaction",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("parameters", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("caller_sub", sa.String(length=255), nullable=False),
        sa.Column("caller_email", sa.String(length=254), nullable=True),
        sa.Column("caller_email_verified", sa.Boolean(), nullable=False),
        sa.Column("caller_name", sa.String(length=150), nullable=True),
        sa.Column("student_id", sa.BigInteger(), nullable=True),
        sa.Column("idempotency_key", sa.String(length=255), nullable=True),
        sa.Column("body_hash", sa.LargeBinary(), nullable=True),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "requested", "done", "refused", name="actstate", native_enum=False, create_constraint=True, length=20
            ),
            nullable=False,
        ),
        sa.Column("error_type", sa.String(length=40), nullable=True),
        sa.Column("error_message", sa.String(length=500), nullable=True),
        sa.Column("result", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("client_secret", sa.LargeBinary(), nullable=True),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'refused') = (error_type IS NOT NULL)", name=op.f("ck_account_act_refusal_says_why")
        ),
        sa.CheckConstraint("(state = 'requested') = (decided_at IS NULL)", name=op.f("ck_account_act_decided_once")),
        sa.CheckConstraint(
            "state <> 'requested' OR due_at IS NOT NULL OR gave_up_at IS NOT NULL",
            name=op.f("ck_account_act_requested_is_open"),
        ),
        sa.CheckConstraint("state = 'requested' OR due_at IS NULL", name=op.f("ck_account_act_decided_is_closed")),
        sa.CheckConstraint("(due_at IS NULL) = (hint_at IS NULL)", name=op.f("ck_account_act_open_is_hinted")),
        sa.CheckConstraint("(idempotency_key IS NULL) = (body_hash IS NULL)", name=op.f("ck_account_act_key_has_body")),
        sa.CheckConstraint("(lease_token IS NULL) = (lease_until IS NULL)", name=op.f("ck_account_act_lease_is_whole")),
        sa.CheckConstraint("attempts >= deferrals AND deferrals >= 0", name=op.f("ck_account_act_attempts_count")),
        sa.CheckConstraint("gave_up_at IS NULL OR due_at IS NULL", name=op.f("ck_account_act_given_up_is_closed")),
        sa.CheckConstraint(
            "lease_token IS NULL OR due_at IS NOT NULL", name=op.f("ck_account_act_lease_is_of_open_work")
        ),
        sa.ForeignKeyConstraint(["student_id"], ["student.id"], name=op.f("fk_account_act_student_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_act")),
        sa.UniqueConstraint("serial", name=op.f("uq_account_act_serial")),
    )
    op.create_index(
        "ix_account_act_due",
        "account_act",
        ["due_at", "id"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "ix_account_act_gave_up",
        "account_act",
        ["gave_up_at"],
        unique=False,
        postgresql_where=sa.text("gave_up_at IS NOT NULL"),
    )
    op.create_index(
        "ix_account_act_hint", "account_act", ["hint_at"], unique=False, postgresql_where=sa.text("due_at IS NOT NULL")
    )
    op.create_index(
        "ix_account_act_lease",
        "account_act",
        ["lease_token"],
        unique=False,
        postgresql_where=sa.text("lease_token IS NOT NULL"),
    )
    op.create_index(
        "ix_account_act_waiting",
        "account_act",
        ["caller_sub", "serial"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "uq_account_act_key",
        "account_act",
        ["caller_sub", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("state <> 'refused'"),
    )
    op.create_table(
        "payment_method",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("stripe_payment_method_id", sa.String(length=255), nullable=False),
        sa.Column("student_id", sa.BigInteger(), nullable=False),
        sa.Column("brand", sa.String(length=40), nullable=False),
        sa.Column("last4", sa.String(length=4), nullable=False),
        sa.Column("exp_month", sa.Integer(), nullable=False),
        sa.Column("exp_year", sa.Integer(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("attached_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("detached_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("last4 ~ '^[0-9]{4}$'", name=op.f("ck_payment_method_four_digits")),
        sa.CheckConstraint("NOT is_default OR detached_at IS NULL", name=op.f("ck_payment_method_default_is_attached")),
        sa.CheckConstraint("exp_month BETWEEN 1 AND 12", name=op.f("ck_payment_method_expiry_month")),
        sa.CheckConstraint("exp_year BETWEEN 2000 AND 2200", name=op.f("ck_payment_method_expiry_year")),
        sa.ForeignKeyConstraint(["student_id"], ["student.id"], name=op.f("fk_payment_method_student_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment_method")),
        sa.UniqueConstraint("stripe_payment_method_id", name=op.f("uq_payment_method_stripe_payment_method_id")),
    )
    op.create_index(
        "ix_payment_method_student",
        "payment_method",
        ["student_id", "attached_at"],
        unique=False,
        postgresql_where=sa.text("detached_at IS NULL"),
    )
    op.create_index(
        "uq_payment_method_default",
        "payment_method",
        ["student_id"],
        unique=True,
        postgresql_where=sa.text("is_default"),
    )
    op.create_table(
        "stripe_customer",
        sa.Column("student_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("stripe_customer_id", sa.String(length=255), nullable=True),
        sa.Column("prepared_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(stripe_customer_id IS NULL) = (made_at IS NULL)", name=op.f("ck_stripe_customer_made_once")
        ),
        sa.CheckConstraint("attempt > 0", name=op.f("ck_stripe_customer_attempt_counts")),
        sa.ForeignKeyConstraint(["student_id"], ["student.id"], name=op.f("fk_stripe_customer_student_id")),
        sa.PrimaryKeyConstraint("student_id", name=op.f("pk_stripe_customer")),
        sa.UniqueConstraint("id", name=op.f("uq_stripe_customer_id")),
        sa.UniqueConstraint("stripe_customer_id", name=op.f("uq_stripe_customer_stripe_customer_id")),
    )
    op.create_table(
        "stripe_price",
        sa.Column("plan_version_id", sa.Integer(), nullable=False),
        sa.Column("stripe_product_id", sa.String(length=255), nullable=False),
        sa.Column("stripe_price_id", sa.String(length=255), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["plan_version_id"], ["pricing_plan_version.id"], name=op.f("fk_stripe_price_plan_version_id")
        ),
        sa.PrimaryKeyConstraint("plan_version_id", name=op.f("pk_stripe_price")),
        sa.UniqueConstraint("stripe_price_id", name=op.f("uq_stripe_price_stripe_price_id")),
    )
    op.create_table(
        "subscription",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("student_id", sa.BigInteger(), nullable=False),
        sa.Column("stripe_subscription_id", sa.String(length=255), nullable=False),
        sa.Column("stripe_customer_id", sa.String(length=255), nullable=False),
        sa.Column("plan_version_id", sa.Integer(), nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "incomplete",
                "incomplete_expired",
                "trialing",
                "active",
                "past_due",
                "canceled",
                "unpaid",
                "paused",
                name="subscriptionstatus",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("period_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cancel_at_period_end", sa.Boolean(), nullable=False),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("is_paused", sa.Boolean(), nullable=False),
        sa.Column("invoice_id", sa.String(length=255), nullable=True),
        sa.Column("invoice_cents", sa.Integer(), nullable=True),
        sa.Column("invoice_attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("invoice_secret", sa.LargeBinary(), nullable=True),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(status IN ('canceled', 'incomplete_expired')) = (ended_at IS NOT NULL)",
            name=op.f("ck_subscription_ended_once"),
        ),
        sa.CheckConstraint(
            "(invoice_id IS NULL) = (invoice_cents IS NULL)", name=op.f("ck_subscription_invoice_is_whole")
        ),
        sa.CheckConstraint("invoice_cents > 0", name=op.f("ck_subscription_invoice_positive")),
        sa.CheckConstraint(
            "invoice_id IS NOT NULL OR invoice_secret IS NULL", name=op.f("ck_subscription_secret_is_of_an_invoice")
        ),
        sa.CheckConstraint("period_end > period_start", name=op.f("ck_subscription_period_has_length")),
        sa.ForeignKeyConstraint(
            ["plan_version_id"], ["pricing_plan_version.id"], name=op.f("fk_subscription_plan_version_id")
        ),
        sa.ForeignKeyConstraint(["student_id"], ["student.id"], name=op.f("fk_subscription_student_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscription")),
        sa.UniqueConstraint("stripe_subscription_id", name=op.f("uq_subscription_stripe_subscription_id")),
    )
    op.create_index(
        "ix_subscription_live",
        "subscription",
        ["student_id"],
        unique=False,
        postgresql_where=sa.text("status IN ('active', 'past_due', 'paused', 'trialing', 'unpaid')"),
    )
    op.create_index("ix_subscription_student", "subscription", ["student_id", "began_at"], unique=False)
    op.add_column("pricing_plan_version", sa.Column("rollover_minutes", sa.Integer(), nullable=True))
    op.add_column(
        "purchase",
        sa.Column(
            "channel",
            sa.Enum(
                "checkout",
                "topup",
                "renewal",
                name="purchasechannel",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            server_default=sa.text("'checkout'"),
            nullable=False,
        ),
    )
    op.add_column("purchase", sa.Column("payment_method_id", sa.String(length=255), nullable=True))
    op.add_column("purchase", sa.Column("subscription_id", sa.Uuid(), nullable=True))
    op.add_column("purchase", sa.Column("stripe_invoice_id", sa.String(length=255), nullable=True))
    op.create_index(
        "ix_purchase_subscription",
        "purchase",
        ["subscription_id"],
        unique=False,
        postgresql_where=sa.text("subscription_id IS NOT NULL"),
    )
    op.create_index(
        "uq_purchase_first_of_subscription",
        "purchase",
        ["subscription_id"],
        unique=True,
        postgresql_where=sa.text("channel = 'checkout'"),
    )
    op.create_unique_constraint(op.f("uq_purchase_stripe_invoice_id"), "purchase", ["stripe_invoice_id"])
    op.create_foreign_key(op.f("fk_purchase_subscription_id"), "purchase", "subscription", ["subscription_id"], ["id"])
    for name, condition in CHECKS_OF_PURCHASES.items():
        op.create_check_constraint(op.f(f"ck_purchase_{name}"), "purchase", condition)
    op.create_check_constraint(
        op.f("ck_pricing_plan_version_periods_roll_over"),
        "pricing_plan_version",
        "rollover_minutes IS NULL OR (rollover_minutes > 0 AND plan_type = 'subscription')",
    )
    replace_check("purchase", "completed_is_paid", WITH_INTENT_OR_INVOICE)
    replace_check("hour_lot", "purchases_are_named", NAMED)
    replace_check("stale_mark", "stalekind", f"subject IN ({STALE}, {MORE_STALE})")
    op.execute(dead_letter(OPEN_NOW))
    op.execute(BROKEN_PERIODS_OF)
    op.execute(EVERYTHING)


def downgrade() -> None:
    op.execute(WITHOUT_PERIODS)
    op.execute("DROP FUNCTION broken_periods_of(bigint, bigint)")
    op.execute(dead_letter(OPEN_BEFORE))
    replace_check("stale_mark", "stalekind", f"subject IN ({STALE})")
    replace_check("hour_lot", "purchases_are_named", "(origin = 'purchase') = (purchase_id IS NOT NULL)")
    replace_check("purchase", "completed_is_paid", WITH_INTENT)
    op.drop_constraint(op.f("ck_pricing_plan_version_periods_roll_over"), "pricing_plan_version", type_="check")
    for name in CHECKS_OF_PURCHASES:
        op.drop_constraint(op.f(f"ck_purchase_{name}"), "purchase", type_="check")
    op.drop_constraint(op.f("fk_purchase_subscription_id"), "purchase", type_="foreignkey")
    op.drop_constraint(op.f("uq_purchase_stripe_invoice_id"), "purchase", type_="unique")
    op.drop_index("uq_purchase_first_of_subscription", "purchase")
    op.drop_index("ix_purchase_subscription", "purchase")
    op.drop_table("payment_watch")
    op.drop_column("purchase", "stripe_invoice_id")
    op.drop_column("purchase", "subscription_id")
    op.drop_column("purchase", "payment_method_id")
    op.drop_column("purchase", "channel")
    op.drop_column("pricing_plan_version", "rollover_minutes")
    op.drop_table("subscription")
    op.drop_table("stripe_price")
    op.drop_table("stripe_customer")
    op.drop_table("payment_method")
    op.drop_table("account_act")
