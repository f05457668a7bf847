"""The picture of the page of operations: `python -m tests.browser.operations_picture` makes it anew."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, sync_playwright
from sqlalchemy import text

from tests.browser.conftest import NAMES, QUIET
from tests.support.database import TEMPLATE, fill_template
from tests.support.servers import running_postgres, running_valkey
from tests.support.stack import ROOT, Stack, running_stack

PICTURE = ROOT / "deploy" / "pictures" / "operations.png"
SIZE = (1280, 940)
PROCESSES = ("sandbox", "web", "payments", "webhooks", "hours", "maintenance")

# A quiet night, a busy afternoon, and a card now and then that has no money.
A_DAY = """
    SET LOCAL session_replication_role = replica;
    CREATE TEMPORARY TABLE sale ON COMMIT DROP AS
        SELECT gen_random_uuid() AS id, at, row_number() OVER () AS number, random() < 0.08 AS is_declined,
            (ARRAY[300, 600, 600, 1200])[1 + floor(random() * 4)::int] AS minutes
        FROM (
            SELECT quarter + random() * interval '14 minutes' AS at
            FROM generate_series(now() - interval '24 hours', now() - interval '15 minutes', '15 minutes') AS quarter
            CROSS JOIN LATERAL generate_series(
                1, greatest(0, 5 - 7 * cos((extract(epoch FROM quarter)::int % 86400 - 10800) * pi() / 43200)
                    + random() * 4)::int
            )
        ) AS moment ORDER BY at;
    INSERT INTO student (email, email_verified, name, created_at) VALUES ('ana@example.com', false, 'Ana', now());
    INSERT INTO purchase (id, scope, request_id, caller_email_verified, buyer_name, buyer_email, student_id, state,
            plan_version_id, plan_type, price_cents, currency, minutes, payment_intent_id, refunded_cents,
            refunding_cents, accepted_at, give_up_at, paid_at)
        SELECT id, 'guest', 'request', false, 'Ana', 'ana@example.com', 1,
            CASE WHEN is_declined THEN 'failed' ELSE 'completed' END, 2, 'package', 14000, 'eur', minutes,
            'pi_' || number, 0, 0, at, at, CASE WHEN NOT is_declined THEN at END
        FROM sale;
    INSERT INTO purchase_transition (purchase_id, step, state, cause, at)
        SELECT id, CASE WHEN is_declined THEN 'payment_failed' ELSE 'credited' END,
            CASE WHEN is_declined THEN 'failed' ELSE 'completed' END, 'evt', at + interval '30 s' FROM sale;
    INSERT INTO webhook_event (stripe_event_id, type, body, request_id, state, outcome, attempts, deferrals,
            received_at, processed_at)
        SELECT 'evt_' || number || '_' || piece, 'any', '{}', 'request',
            CASE WHEN piece = 1 THEN 'applied' ELSE 'ignored' END,
            (ARRAY['applied', 'unhandled', 'late'])[piece], 1, 0, at,
            at + (0.03 + random() * 0.09 + 0.4 * random() ^ 12) * interval '1 s'
        FROM sale CROSS JOIN generate_series(1, 3) AS piece;
    INSERT INTO hour_entry (student_id, kind, minutes, balance_after, source, at)
        SELECT 1, 'credit', minutes, minutes, 'sale ' || number, at FROM sale WHERE NOT is_declined;
    INSERT INTO ledger_audit (started_at, finished_at, students, violations)
        VALUES (now(), now() - interval '4 minutes', 812, 0);
    INSERT INTO beat_slot (entry, slot)
        SELECT entry, date_bin(every, now(), '2024-01-01Z') + at FROM (VALUES
            ('billing.ledger.audit', interval '15 minutes', interval '0'),
            ('billing.consumptions.lapse', '15 minutes', '0'),
            ('billing.expiry.start_nightly', '1 day', '2.5 hours'), ('billing.expiry.start_late', '1 hour', '0'),
            ('billing.notifications.warn', '1 day', '9 hours'), ('billing.purchases.abandon', '1 hour', '0'),
            ('billing.disputes.watch', '1 day', '8 hours'), ('billing.reconciliation.compare', '1 day', '3.5 hours'),
            ('billing.retention.drop', '7 days', '0')
        ) AS tick (entry, every, at) ON CONFLICT DO NOTHING;
    INSERT INTO staff_case (reason, source, detail, state, opened_at)
        VALUES ('amount_differs', 'evt_1_1', 'any', 'open', now());
"""


def operations_picture(browser: Browser, stack: Stack, path: Path = PICTURE) -> None:
    """Of this pipeline, which is filled with a day for it."""
    with stack.begin() as session:
        for statement in A_DAY.split(";\n"):
            if statement.strip():
                session.execute(text(statement))
    token = stack.bearer("bo@example.com", "bo", "staff")["Authorization"].removeprefix("Bearer ")
    width, height = SIZE
    page = browser.new_page(base_url=stack.url, viewport={"width": width, "height": height})
    page.goto(f"/operations/#token={token}")
    page.locator(".chart svg").nth(3).wait_for()
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path)
    page.close()


def main() -> None:
    chromium = next(found for name in NAMES if (found := shutil.which(name)))
    with running_postgres() as postgres, running_valkey() as valkey, TemporaryDirectory() as folder:
        postgres.create_database(TEMPLATE)
        fill_template(postgres.url(TEMPLATE))
        url = postgres.url(TEMPLATE)
        with (
            running_stack(postgres, valkey, Path(folder), *PROCESSES, DATABASE_URL=url) as stack,
            sync_playwright() as playwright,
        ):
            stack.processes["beat"].start()
            browser = playwright.chromium.launch(executable_path=chromium, args=list(QUIET))
            operations_picture(browser, stack)
            browser.close()


if __name__ == "__main__":
    main()
