"""Every guard, and the tests that miss it."""

from tests.guards.removal import Edit, Guard

TABLES = "billing/migrations/versions/0001_tables.py"

GUARDS: tuple[Guard, ...] = (
    Guard(
        "event unique key",
        (
            Edit(TABLES, 'sa.UniqueConstraint("stripe_event_id", name=op.f("uq_webhook_event_stripe_event_id")),', ""),
            Edit("billing/webhooks/accept.py", "ON CONFLICT (stripe_event_id) DO NOTHING", ""),
        ),
        ("tests/billing/test_accept_events.py",),
    ),
    Guard(
        "purchase key scope",
        (Edit("web/idempotency.py", 'f"user:{identity.sub}"', '"user"'),),
        ("tests/web/test_purchases.py",),
    ),
    Guard(
        "ledger source unique key",
        (
            Edit(TABLES, 'sa.UniqueConstraint("source", name=op.f("uq_hour_entry_source")),', ""),
            Edit(TABLES, 'sa.UniqueConstraint("source", name=op.f("uq_hour_lot_source")),', ""),
            Edit(TABLES, 'sa.UniqueConstraint("purchase_id", name=op.f("uq_hour_lot_purchase_id")),', ""),
        ),
        ("tests/billing/test_ledger.py",),
    ),
    Guard(
        "purchase lock",
        (
            Edit(
                "billing/purchases/completion.py",
                "WHERE payment_intent_id = ANY(CAST(:intents AS text[])) ORDER BY id FOR UPDATE",
                "WHERE payment_intent_id = ANY(CAST(:intents AS text[])) ORDER BY id",
            ),
        ),
        ("tests/billing/test_drain.py",),
    ),
    Guard(
        "balance lock",
        (
            Edit(
                "billing/ledger/balances.py", "ORDER BY student_id FOR UPDATE OF student_balance", "ORDER BY student_id"
            ),
        ),
        ("tests/billing/test_ledger.py", "tests/billing/test_consumptions.py"),
    ),
    Guard(
        "lease token in finish",
        (
            Edit(
                "billing/work/claims.py",
                "mine = select(model).where(col(model.lease_token) == taken.token).order_by(_id(model))",
                "mine = select(model).where(_id(model).in_([row.id for row in taken.rows])).order_by(_id(model))"
                "  # type: ignore[attr-defined]",
            ),
        ),
        ("tests/billing/test_claims.py",),
    ),
    Guard(
        "attempts committed before work",
        (Edit("billing/work/claims.py", "attempts=model.attempts + 1, lease_token", "lease_token"),),
        ("tests/billing/test_claims.py",),
    ),
    Guard(
        "second attempt alone",
        (
            Edit(
                "billing/work/claims.py",
                "_take_first(model, limit, terms, col(model.attempts) == 0)",
                "_take_first(model, limit, terms, col(model.attempts) >= 0)",
            ),
        ),
        ("tests/billing/test_claims.py", "tests/billing/test_drain.py"),
    ),
    Guard(
        "hint key deleted before select",
        (Edit("billing/batches.py", "        hints.taken(type(self.hint))\n", ""),),
        ("tests/billing/test_drain.py",),
    ),
    Guard(
        "hint_at pushed before hint",
        (
            Edit(
                "billing/work/overdue.py",
                "hint_at = clock_timestamp() + least(60, power(2, least(work.hints + 1, 6))) * interval '1 second'",
                "hint_at = work.hint_at",
            ),
        ),
        ("tests/billing/test_overdue.py",),
    ),
    Guard(
        "sweeper",
        (
            Edit(
                "workers/sweeper.py",
                "    messages = work.take_overdue(begin, limit=MOST_AT_ONCE)\n",
                "    messages: list = []\n",
            ),
        ),
        ("tests/workers/test_sweeper.py",),
    ),
    Guard(
        "reconciliation",
        (Edit("billing/reconciliation/events.py", "            self._take(page.rows)\n", ""),),
        ("tests/billing/test_reconciliation_events.py",),
    ),
    Guard(
        "cursor overlap",
        (Edit("billing/reconciliation/events.py", "OVERLAP = timedelta(minutes=10)", "OVERLAP = timedelta()"),),
        ("tests/billing/test_reconciliation_events.py",),
    ),
    Guard(
        "derived Stripe key",
        (
            Edit(
                "billing/ids.py",
                'return f"{installation}:{operation}:{subject}:{attempt}"',
                'return f"{installation}:{operation}:{new_id()}:{attempt}"',
            ),
        ),
        ("tests/billing/test_cancel.py", "tests/billing/test_payment.py", "tests/billing/test_customers.py"),
    ),
    Guard(
        "stored parameters on resend",
        (
            Edit(
                "billing/purchases/calls.py",
                "return StoredCall(call.parameters, call.idempotency_key, call.api_version)",
                'return StoredCall({**call.parameters, "description": "new"}, call.idempotency_key, call.api_version)',
            ),
        ),
        ("tests/billing/test_payment.py",),
    ),
    Guard(
        "unknown never re-created",
        (Edit("billing/purchases/calls.py", "return call.sends > 0 and (is_too_old", "return False and (is_too_old"),),
        ("tests/billing/test_payment.py",),
    ),
    Guard(
        "amount, currency and mode checks",
        (Edit("billing/reads/written.py", "    if paid == sold:\n", "    if True:\n"),),
        ("tests/billing/test_drain.py",),
    ),
    Guard(
        "owner check",
        (
            Edit(
                "web/purchase_resource.py",
                "if purchase is None or not self._may_follow(request, identity, purchase):",
                "if purchase is None:",
            ),
        ),
        ("tests/web/test_purchase_status.py",),
    ),
    Guard(
        "monotone states",
        (Edit("billing/purchases/lifecycle.py", "return target in PURCHASE_MOVES[current]", "return True"),),
        ("tests/billing/test_drain.py",),
    ),
    Guard(
        "cancel stores the intent",
        (
            Edit(
                "billing/purchases/payment.py",
                "if purchase.cancel_requested_at is not None and (call is None or call.sends == 0):",
                "if purchase.cancel_requested_at is not None:",
            ),
        ),
        ("tests/billing/test_cancel.py",),
    ),
    Guard(
        "own-refund mark",
        (
            Edit(
                "billing/refunds/found.py", "ours = marked_subject(deployment.installation, there.mark)", "ours = None"
            ),
        ),
        ("tests/billing/test_refunds_found.py", "tests/billing/test_refunds_send.py"),
    ),
    Guard(
        "refund cap",
        (
            Edit(
                "billing/refunds/found.py",
                "there.currency == purchase.currency and there.amount_cents <= open_cents",
                "there.currency == purchase.currency",
            ),
        ),
        ("tests/billing/test_refunds_found.py",),
    ),
    Guard(
        "earliest-expiry order",
        (
            Edit(
                "billing/ledger/accounts.py",
                "return (self.expires_at or NEVER, self.value_cents > 0, self.starts_at, self.id)",
                "return (NEVER, self.value_cents > 0, self.starts_at, -self.id)",
            ),
        ),
        ("tests/billing/test_consumptions_decisions.py",),
    ),
    Guard(
        "expired lots unspendable",
        (
            Edit(
                "billing/ledger/accounts.py",
                "return self.expires_at is None or self.expires_at > now",
                "return True",
            ),
        ),
        ("tests/billing/test_consumptions_decisions.py", "tests/billing/test_consumptions.py"),
    ),
    Guard(
        "signature",
        (Edit("billing/stripe_events.py", "    if not any(matches):\n", "    if False:\n"),),
        ("tests/billing/test_stripe_events.py",),
    ),
    Guard(
        "past tolerance",
        (Edit("billing/stripe_events.py", "age_seconds <= PAST_TOLERANCE.total_seconds():", "age_seconds:"),),
        ("tests/billing/test_stripe_events.py",),
    ),
    Guard(
        "future tolerance",
        (
            Edit(
                "billing/stripe_events.py",
                "-FUTURE_TOLERANCE.total_seconds() <= age_seconds",
                "age_seconds",
            ),
        ),
        ("tests/billing/test_stripe_events.py",),
    ),
    Guard(
        "entries trigger",
        (
            Edit(
                "billing/migrations/versions/0002_guards_and_views.py",
                "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON hour_entry\n",
                "CREATE TRIGGER append_only BEFORE TRUNCATE ON hour_entry\n",
            ),
        ),
        ("tests/billing/test_ledger.py",),
    ),
)
