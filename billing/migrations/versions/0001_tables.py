"""Tables, constraints and indexes."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | None = None


def upgrade() -> None:
    op.create_table(
        "beat_slot",
        sa.Column("entry", sa.String(length=100), nullable=False),
        sa.Column("slot", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("entry", "slot", name=op.f("pk_beat_slot")),
    )
    op.create_table(
        "installation",
        sa.Column("is_only", sa.Boolean(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("is_only", name=op.f("ck_installation_one_row")),
        sa.PrimaryKeyConstraint("is_only", name=op.f("pk_installation")),
    )
    op.create_table(
        "pricing_plan",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("code", sa.String(length=50), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("is_featured", sa.Boolean(), nullable=False),
        sa.Column("display_order", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pricing_plan")),
        sa.UniqueConstraint("code", name=op.f("uq_pricing_plan_code")),
    )
    op.create_table(
        "student",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("external_id", sa.String(length=255), nullable=True),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("email_verified", sa.Boolean(), nullable=False),
        sa.Column("name", sa.String(length=150), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("email = lower(btrim(email))", name=op.f("ck_student_email_normalised")),
        sa.CheckConstraint(
            "external_id IS NOT NULL OR NOT email_verified", name=op.f("ck_student_guests_are_unverified")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_student")),
        sa.UniqueConstraint("external_id", name=op.f("uq_student_external_id")),
    )
    op.create_index(
        "uq_student_guest_email", "student", ["email"], unique=True, postgresql_where=sa.text("external_id IS NULL")
    )
    op.create_index(
        "uq_student_verified_email", "student", ["email"], unique=True, postgresql_where=sa.text("email_verified")
    )
    op.create_table(
        "unreadable_message",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("queue", sa.String(length=255), nullable=False),
        sa.Column("task", sa.String(length=255), nullable=False),
        sa.Column("reason", sa.String(length=255), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("times > 0", name=op.f("ck_unreadable_message_times_count")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unreadable_message")),
        sa.UniqueConstraint("digest", name=op.f("uq_unreadable_message_digest")),
    )
    op.create_table(
        "webhook_event",
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hint_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hints", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("deferrals", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_token", sa.Uuid(), nullable=True),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.Column("gave_up_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("stripe_event_id", sa.String(length=255), nullable=False),
        sa.Column("type", sa.String(length=255), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "received",
                "asking",
                "applied",
                "ignored",
                "parked",
                "dead",
                name="eventstate",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column(
            "outcome",
            sa.Enum(
                "applied",
                "late",
                "foreign",
                "unhandled",
                "wrong_mode",
                "difference",
                "wait",
                name="outcome",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=True,
        ),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("processed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(due_at IS NOT NULL) = (state IN ('asking', 'received'))", name=op.f("ck_webhook_event_open_states")
        ),
        sa.CheckConstraint(
            "(state = 'applied') = (outcome IS NOT DISTINCT FROM 'applied')",
            name=op.f("ck_webhook_event_applied_is_applied"),
        ),
        sa.CheckConstraint("(due_at IS NULL) = (hint_at IS NULL)", name=op.f("ck_webhook_event_open_is_hinted")),
        sa.CheckConstraint(
            "(lease_token IS NULL) = (lease_until IS NULL)", name=op.f("ck_webhook_event_lease_is_whole")
        ),
        sa.CheckConstraint("attempts >= deferrals AND deferrals >= 0", name=op.f("ck_webhook_event_attempts_count")),
        sa.CheckConstraint("gave_up_at IS NULL OR due_at IS NULL", name=op.f("ck_webhook_event_given_up_is_closed")),
        sa.CheckConstraint(
            "lease_token IS NULL OR due_at IS NOT NULL", name=op.f("ck_webhook_event_lease_is_of_open_work")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_event")),
        sa.UniqueConstraint("stripe_event_id", name=op.f("uq_webhook_event_stripe_event_id")),
    )
    op.create_index(
        "ix_webhook_event_due",
        "webhook_event",
        ["due_at", "id"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "ix_webhook_event_gave_up",
        "webhook_event",
        ["gave_up_at"],
        unique=False,
        postgresql_where=sa.text("gave_up_at IS NOT NULL"),
    )
    op.create_index(
        "ix_webhook_event_hint",
        "webhook_event",
        ["hint_at"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "ix_webhook_event_lease",
        "webhook_event",
        ["lease_token"],
        unique=False,
        postgresql_where=sa.text("lease_token IS NOT NULL"),
    )
    op.create_table(
        "pricing_plan_version",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("plan_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("description", sa.String(length=500), nullable=False),
        sa.Column(
            "plan_type",
            sa.Enum("package", "subscription", name="plantype", native_enum=False, create_constraint=True, length=20),
            nullable=False,
        ),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("price_cents", sa.Integer(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("validity_days", sa.Integer(), nullable=True),
        sa.Column("effective_from", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(validity_days IS NULL) = (plan_type = 'subscription')",
            name=op.f("ck_pricing_plan_version_packages_expire"),
        ),
        sa.CheckConstraint("currency ~ '^[a-z]{3}$'", name=op.f("ck_pricing_plan_version_currency_code")),
        sa.CheckConstraint("minutes > 0", name=op.f("ck_pricing_plan_version_minutes_positive")),
        sa.CheckConstraint("price_cents > 0", name=op.f("ck_pricing_plan_version_price_positive")),
        sa.CheckConstraint("validity_days > 0", name=op.f("ck_pricing_plan_version_validity_positive")),
        sa.CheckConstraint("version > 0", name=op.f("ck_pricing_plan_version_version_counts")),
        sa.ForeignKeyConstraint(["plan_id"], ["pricing_plan.id"], name=op.f("fk_pricing_plan_version_plan_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pricing_plan_version")),
        sa.UniqueConstraint("plan_id", "version", name=op.f("uq_pricing_plan_version_plan_id_version")),
    )
    op.create_index(
        "ix_pricing_plan_version_effective",
        "pricing_plan_version",
        ["plan_id", sa.literal_column("effective_from DESC"), sa.literal_column("version DESC")],
        unique=False,
    )
    op.create_table(
        "student_balance",
        sa.Column("minutes_granted", sa.Integer(), nullable=False),
        sa.Column("minutes_left", sa.Integer(), nullable=False),
        sa.Column("minutes_consumed", sa.Integer(), nullable=False),
        sa.Column("minutes_expired", sa.Integer(), nullable=False),
        sa.Column("minutes_refunded", sa.Integer(), nullable=False),
        sa.Column("minutes_frozen", sa.Integer(), nullable=False),
        sa.Column("minutes_held", sa.Integer(), nullable=False),
        sa.Column("student_id", sa.BigInteger(), nullable=False),
        sa.Column("minutes_owed", sa.Integer(), nullable=False),
        sa.Column("paid_cents", sa.BigInteger(), nullable=False),
        sa.Column("returned_cents", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "minutes_granted = minutes_left + minutes_consumed + minutes_expired + minutes_refunded + minutes_frozen + minutes_held",
            name=op.f("ck_student_balance_minutes_are_conserved"),
        ),
        sa.CheckConstraint(
            "minutes_left >= 0 AND minutes_consumed >= 0 AND minutes_expired >= 0 AND minutes_refunded >= 0 AND minutes_frozen >= 0 AND minutes_held >= 0",
            name=op.f("ck_student_balance_minutes_not_negative"),
        ),
        sa.CheckConstraint("minutes_owed >= 0", name=op.f("ck_student_balance_debt_not_negative")),
        sa.CheckConstraint(
            "returned_cents BETWEEN 0 AND paid_cents", name=op.f("ck_student_balance_returns_within_payments")
        ),
        sa.ForeignKeyConstraint(["student_id"], ["student.id"], name=op.f("fk_student_balance_student_id")),
        sa.PrimaryKeyConstraint("student_id", name=op.f("pk_student_balance")),
    )
    op.create_table(
        "purchase",
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
        sa.Column("transaction_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("scope", sa.String(length=300), nullable=False),
        sa.Column("idempotency_key", sa.String(length=255), nullable=True),
        sa.Column("body_hash", sa.LargeBinary(), nullable=True),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("caller_sub", sa.String(length=255), nullable=True),
        sa.Column("caller_email", sa.String(length=254), nullable=True),
        sa.Column("caller_email_verified", sa.Boolean(), nullable=False),
        sa.Column("buyer_name", sa.String(length=150), nullable=False),
        sa.Column("buyer_email", sa.String(length=254), nullable=False),
        sa.Column("student_id", sa.BigInteger(), nullable=True),
        sa.Column("plan_version_id", sa.Integer(), nullable=False),
        sa.Column(
            "plan_type",
            sa.Enum("package", "subscription", name="plantype", native_enum=False, create_constraint=True, length=20),
            nullable=False,
        ),
        sa.Column("price_cents", sa.Integer(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("validity_days", sa.Integer(), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "queued",
                "pending",
                "processing",
                "completed",
                "failed",
                "cancelled",
                "expired",
                "refunded",
                name="purchasestate",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("error_type", sa.String(length=40), nullable=True),
        sa.Column("error_message", sa.String(length=500), nullable=True),
        sa.Column("payment_intent_id", sa.String(length=255), nullable=True),
        sa.Column("client_secret", sa.LargeBinary(), nullable=True),
        sa.Column("refunded_cents", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("give_up_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("currency ~ '^[a-z]{3}$'", name=op.f("ck_purchase_currency_code")),
        sa.CheckConstraint("state <> 'queued' OR due_at IS NOT NULL", name=op.f("ck_purchase_queued_is_open")),
        sa.CheckConstraint(
            "state NOT IN ('cancelled', 'completed', 'expired', 'refunded') OR client_secret IS NULL",
            name=op.f("ck_purchase_settled_has_no_secret"),
        ),
        sa.CheckConstraint(
            "state NOT IN ('completed', 'refunded') OR (paid_at IS NOT NULL AND student_id IS NOT NULL AND payment_intent_id IS NOT NULL)",
            name=op.f("ck_purchase_completed_is_paid"),
        ),
        sa.CheckConstraint(
            "state NOT IN ('pending', 'processing') OR payment_intent_id IS NOT NULL",
            name=op.f("ck_purchase_has_intent"),
        ),
        sa.CheckConstraint("(due_at IS NULL) = (hint_at IS NULL)", name=op.f("ck_purchase_open_is_hinted")),
        sa.CheckConstraint("(idempotency_key IS NULL) = (body_hash IS NULL)", name=op.f("ck_purchase_key_has_body")),
        sa.CheckConstraint("(lease_token IS NULL) = (lease_until IS NULL)", name=op.f("ck_purchase_lease_is_whole")),
        sa.CheckConstraint("attempts >= deferrals AND deferrals >= 0", name=op.f("ck_purchase_attempts_count")),
        sa.CheckConstraint("gave_up_at IS NULL OR due_at IS NULL", name=op.f("ck_purchase_given_up_is_closed")),
        sa.CheckConstraint("lease_token IS NULL OR due_at IS NOT NULL", name=op.f("ck_purchase_lease_is_of_open_work")),
        sa.CheckConstraint("minutes > 0", name=op.f("ck_purchase_minutes_positive")),
        sa.CheckConstraint("paid_at >= accepted_at", name=op.f("ck_purchase_paid_after_accepted")),
        sa.CheckConstraint("price_cents > 0", name=op.f("ck_purchase_price_positive")),
        sa.CheckConstraint("refunded_cents BETWEEN 0 AND price_cents", name=op.f("ck_purchase_refunds_within_price")),
        sa.ForeignKeyConstraint(
            ["plan_version_id"], ["pricing_plan_version.id"], name=op.f("fk_purchase_plan_version_id")
        ),
        sa.ForeignKeyConstraint(["student_id"], ["student.id"], name=op.f("fk_purchase_student_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_purchase")),
        sa.UniqueConstraint("payment_intent_id", name=op.f("uq_purchase_payment_intent_id")),
        sa.UniqueConstraint("scope", "idempotency_key", name=op.f("uq_purchase_scope_idempotency_key")),
        sa.UniqueConstraint("transaction_id", name=op.f("uq_purchase_transaction_id")),
    )
    op.create_index(
        "ix_purchase_due", "purchase", ["due_at", "id"], unique=False, postgresql_where=sa.text("due_at IS NOT NULL")
    )
    op.create_index(
        "ix_purchase_gave_up",
        "purchase",
        ["gave_up_at"],
        unique=False,
        postgresql_where=sa.text("gave_up_at IS NOT NULL"),
    )
    op.create_index(
        "ix_purchase_hint", "purchase", ["hint_at"], unique=False, postgresql_where=sa.text("due_at IS NOT NULL")
    )
    op.create_index(
        "ix_purchase_lease",
        "purchase",
        ["lease_token"],
        unique=False,
        postgresql_where=sa.text("lease_token IS NOT NULL"),
    )
    op.create_index("ix_purchase_student", "purchase", ["student_id", "transaction_id"], unique=False)
    op.create_table(
        "hour_entry",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("student_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "credit",
                "consume",
                "hold",
                "release",
                "expire",
                "restore",
                "refund",
                "freeze",
                "thaw",
                "transfer",
                name="entrykind",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("balance_after", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(length=255), nullable=False),
        sa.Column("purchase_id", sa.Uuid(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("minutes <> 0", name=op.f("ck_hour_entry_minutes_not_zero")),
        sa.ForeignKeyConstraint(["purchase_id"], ["purchase.id"], name=op.f("fk_hour_entry_purchase_id")),
        sa.ForeignKeyConstraint(["student_id"], ["student.id"], name=op.f("fk_hour_entry_student_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hour_entry")),
        sa.UniqueConstraint("source", name=op.f("uq_hour_entry_source")),
    )
    op.create_index("ix_hour_entry_student", "hour_entry", ["student_id", "id"], unique=False)
    op.create_table(
        "hour_lot",
        sa.Column("minutes_granted", sa.Integer(), nullable=False),
        sa.Column("minutes_left", sa.Integer(), nullable=False),
        sa.Column("minutes_consumed", sa.Integer(), nullable=False),
        sa.Column("minutes_expired", sa.Integer(), nullable=False),
        sa.Column("minutes_refunded", sa.Integer(), nullable=False),
        sa.Column("minutes_frozen", sa.Integer(), nullable=False),
        sa.Column("minutes_held", sa.Integer(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("student_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "origin",
            sa.Enum(
                "purchase",
                "invoice",
                "grant",
                "transfer",
                name="lotorigin",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("source", sa.String(length=255), nullable=False),
        sa.Column("purchase_id", sa.Uuid(), nullable=True),
        sa.Column("value_cents", sa.Integer(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(origin = 'purchase') = (purchase_id IS NOT NULL)", name=op.f("ck_hour_lot_purchases_are_named")
        ),
        sa.CheckConstraint("expires_at > starts_at", name=op.f("ck_hour_lot_expires_after_start")),
        sa.CheckConstraint(
            "minutes_granted = minutes_left + minutes_consumed + minutes_expired + minutes_refunded + minutes_frozen + minutes_held",
            name=op.f("ck_hour_lot_minutes_are_conserved"),
        ),
        sa.CheckConstraint("minutes_granted > 0", name=op.f("ck_hour_lot_minutes_positive")),
        sa.CheckConstraint(
            "minutes_left >= 0 AND minutes_consumed >= 0 AND minutes_expired >= 0 AND minutes_refunded >= 0 AND minutes_frozen >= 0 AND minutes_held >= 0",
            name=op.f("ck_hour_lot_minutes_not_negative"),
        ),
        sa.CheckConstraint("value_cents >= 0", name=op.f("ck_hour_lot_value_not_negative")),
        sa.ForeignKeyConstraint(["purchase_id"], ["purchase.id"], name=op.f("fk_hour_lot_purchase_id")),
        sa.ForeignKeyConstraint(["student_id"], ["student.id"], name=op.f("fk_hour_lot_student_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hour_lot")),
        sa.UniqueConstraint("purchase_id", name=op.f("uq_hour_lot_purchase_id")),
        sa.UniqueConstraint("source", name=op.f("uq_hour_lot_source")),
    )
    op.create_index(
        "ix_hour_lot_expiry",
        "hour_lot",
        ["expires_at", "id"],
        unique=False,
        postgresql_where=sa.text("minutes_left > 0"),
    )
    op.create_index(
        "ix_hour_lot_spendable",
        "hour_lot",
        ["student_id", "expires_at"],
        unique=False,
        postgresql_where=sa.text("minutes_left > 0"),
    )
    op.create_index("ix_hour_lot_student", "hour_lot", ["student_id", "expires_at"], unique=False)
    op.create_table(
        "purchase_transition",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("purchase_id", sa.Uuid(), nullable=False),
        sa.Column(
            "step",
            sa.Enum(
                "accepted",
                "intent_created",
                "action_required",
                "payment_processing",
                "payment_failed",
                "paid",
                "credited",
                "cancelled",
                name="step",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column(
            "state",
            sa.Enum(
                "queued",
                "pending",
                "processing",
                "completed",
                "failed",
                "cancelled",
                "expired",
                "refunded",
                name="purchasestate",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("cause", sa.String(length=255), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["purchase_id"], ["purchase.id"], name=op.f("fk_purchase_transition_purchase_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_purchase_transition")),
    )
    op.create_index("ix_purchase_transition_purchase", "purchase_transition", ["purchase_id", "id"], unique=False)
    op.create_table(
        "staff_case",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("source", sa.String(length=255), nullable=False),
        sa.Column("purchase_id", sa.Uuid(), nullable=True),
        sa.Column("detail", sa.String(length=1000), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('open', 'closed')", name=op.f("ck_staff_case_known_state")),
        sa.ForeignKeyConstraint(["purchase_id"], ["purchase.id"], name=op.f("fk_staff_case_purchase_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff_case")),
        sa.UniqueConstraint("reason", "source", name=op.f("uq_staff_case_reason_source")),
    )
    op.create_table(
        "stripe_call",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("operation", sa.String(length=40), nullable=False),
        sa.Column("purchase_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("idempotency_key", sa.String(length=255), nullable=False),
        sa.Column("parameters", postgresql.JSONB(), nullable=False),
        sa.Column("api_version", sa.String(length=40), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "open",
                "answered",
                "refused",
                "lapsed",
                name="callstate",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("sends", sa.Integer(), nullable=False),
        sa.Column("looks", sa.Integer(), nullable=False),
        sa.Column("object_id", sa.String(length=255), nullable=True),
        sa.Column("error_type", sa.String(length=40), nullable=True),
        sa.Column("prepared_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state <> 'answered' OR object_id IS NOT NULL", name=op.f("ck_stripe_call_answer_names_object")
        ),
        sa.CheckConstraint("attempt > 0", name=op.f("ck_stripe_call_attempt_counts")),
        sa.ForeignKeyConstraint(["purchase_id"], ["purchase.id"], name=op.f("fk_stripe_call_purchase_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stripe_call")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_stripe_call_idempotency_key")),
        sa.UniqueConstraint(
            "purchase_id", "operation", "attempt", name=op.f("uq_stripe_call_purchase_id_operation_attempt")
        ),
    )
    op.create_index(
        "uq_stripe_call_open",
        "stripe_call",
        ["purchase_id", "operation"],
        unique=True,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "hour_allocation",
        sa.Column("entry_id", sa.BigInteger(), nullable=False),
        sa.Column("lot_id", sa.BigInteger(), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.CheckConstraint("minutes <> 0", name=op.f("ck_hour_allocation_minutes_not_zero")),
        sa.ForeignKeyConstraint(["entry_id"], ["hour_entry.id"], name=op.f("fk_hour_allocation_entry_id")),
        sa.ForeignKeyConstraint(["lot_id"], ["hour_lot.id"], name=op.f("fk_hour_allocation_lot_id")),
        sa.PrimaryKeyConstraint("entry_id", "lot_id", name=op.f("pk_hour_allocation")),
    )
    op.create_index("ix_hour_allocation_lot", "hour_allocation", ["lot_id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_hour_allocation_lot", table_name="hour_allocation")
    op.drop_table("hour_allocation")
    op.drop_index("uq_stripe_call_open", table_name="stripe_call", postgresql_where=sa.text("state = 'open'"))
    op.drop_table("stripe_call")
    op.drop_table("staff_case")
    op.drop_index("ix_purchase_transition_purchase", table_name="purchase_transition")
    op.drop_table("purchase_transition")
    op.drop_index("ix_hour_lot_student", table_name="hour_lot")
    op.drop_index("ix_hour_lot_spendable", table_name="hour_lot", postgresql_where=sa.text("minutes_left > 0"))
    op.drop_index("ix_hour_lot_expiry", table_name="hour_lot", postgresql_where=sa.text("minutes_left > 0"))
    op.drop_table("hour_lot")
    op.drop_index("ix_hour_entry_student", table_name="hour_entry")
    op.drop_table("hour_entry")
    op.drop_index("ix_purchase_student", table_name="purchase")
    op.drop_index("ix_purchase_lease", table_name="purchase", postgresql_where=sa.text("lease_token IS NOT NULL"))
    op.drop_index("ix_purchase_hint", table_name="purchase", postgresql_where=sa.text("due_at IS NOT NULL"))
    op.drop_index("ix_purchase_gave_up", table_name="purchase", postgresql_where=sa.text("gave_up_at IS NOT NULL"))
    op.drop_index("ix_purchase_due", table_name="purchase", postgresql_where=sa.text("due_at IS NOT NULL"))
    op.drop_table("purchase")
    op.drop_table("student_balance")
    op.drop_index("ix_pricing_plan_version_effective", table_name="pricing_plan_version")
    op.drop_table("pricing_plan_version")
    op.drop_index(
        "ix_webhook_event_lease", table_name="webhook_event", postgresql_where=sa.text("lease_token IS NOT NULL")
    )
    op.drop_index("ix_webhook_event_hint", table_name="webhook_event", postgresql_where=sa.text("due_at IS NOT NULL"))
    op.drop_index(
        "ix_webhook_event_gave_up", table_name="webhook_event", postgresql_where=sa.text("gave_up_at IS NOT NULL")
    )
    op.drop_index("ix_webhook_event_due", table_name="webhook_event", postgresql_where=sa.text("due_at IS NOT NULL"))
    op.drop_table("webhook_event")
    op.drop_table("unreadable_message")
    op.drop_index("uq_student_verified_email", table_name="student", postgresql_where=sa.text("email_verified"))
    op.drop_index("uq_student_guest_email", table_name="student", postgresql_where=sa.text("external_id IS NULL"))
    op.drop_table("student")
    op.drop_table("pricing_plan")
    op.drop_table("installation")
    op.drop_table("beat_slot")
