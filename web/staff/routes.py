"""Where staff knock."""

from collections.abc import Iterator

from starlette.routing import Route

from web.door import Door
from web.paths import PREFIXES
from web.staff.audit import AuditRoutes
from web.staff.dead_letters import DeadLetterRoutes
from web.staff.disputes import StaffDisputeRoutes
from web.staff.expiry import StaffExpiryRoutes
from web.staff.findings import FindingRoutes
from web.staff.invoices import StaffInvoiceRoutes
from web.staff.packages import StaffPackageRoutes
from web.staff.payments import StaffPaymentRoutes
from web.staff.plans import StaffPlanRoutes
from web.staff.refunds import StaffRefundRoutes
from web.staff.webhooks import StaffWebhookRoutes


def staff_routes(door: Door) -> Iterator[Route]:
    packages, expiry, audit = StaffPackageRoutes(door), StaffExpiryRoutes(door), AuditRoutes(door)
    refunds, disputes, invoices = StaffRefundRoutes(door), StaffDisputeRoutes(door), StaffInvoiceRoutes(door)
    payments = StaffPaymentRoutes(door)
    for prefix in reversed(PREFIXES):
        yield Route(f"{prefix}admin/packages/{{transaction_id}}/extend/", packages.extend, methods=["POST"])
        yield Route(f"{prefix}admin/bulk-extend-packages/", packages.bulk_extend, methods=["POST"])
        yield Route(f"{prefix}admin/process-expired-packages/", expiry.process, methods=["POST"])
        yield Route(f"{prefix}admin/expired-packages/", packages.expired)
        yield Route(f"{prefix}admin/packages-expiring-soon/", packages.expiring_soon)
        yield Route(f"{prefix}admin/payments/metrics/", payments.metrics)
        yield Route(f"{prefix}admin/payments/transactions/", payments.transactions)
        yield Route(f"{prefix}admin/payments/audit-log/", audit.listed)
        yield Route(f"{prefix}admin/payments/audit-log/{{act_id:uuid}}/", audit.shown)
        yield Route(f"{prefix}admin/payments/refunds/", refunds.all_of_them, methods=["GET", "POST"])
        yield Route(f"{prefix}admin/payments/refunds/quote/", refunds.quote)
        yield Route(f"{prefix}admin/payments/refunds/{{refund_id:uuid}}/", refunds.shown)
        yield Route(f"{prefix}admin/payments/disputes/", disputes.listed)
        yield Route(f"{prefix}admin/payments/disputes/{{dispute_id:uuid}}/", disputes.shown)
        yield Route(f"{prefix}admin/receipts/{{receipt_id:uuid}}/invoice/", invoices.name, methods=["POST"])
    yield from plan_routes(door)
    yield from recovery_routes(door)


def plan_routes(door: Door) -> Iterator[Route]:
    """What is for sale."""
    plans = StaffPlanRoutes(door)
    for prefix in reversed(PREFIXES):
        yield Route(f"{prefix}admin/plans/", plans.all_of_them, methods=["GET", "POST"])
        yield Route(f"{prefix}admin/plans/bulk/", plans.bulk, methods=["POST"])
        yield Route(f"{prefix}admin/plans/{{plan_id}}/", plans.one_of_them, methods=["GET", "PATCH"])
        yield Route(f"{prefix}admin/plans/{{plan_id}}/preview/", plans.preview)


def recovery_routes(door: Door) -> Iterator[Route]:
    """What failed, and what differs."""
    webhooks, letters, findings = StaffWebhookRoutes(door), DeadLetterRoutes(door), FindingRoutes(door)
    for prefix in reversed(PREFIXES):
        letter = f"{prefix}admin/dead-letters/{{kind}}/{{subject}}/"
        yield Route(f"{prefix}admin/webhooks/status/", webhooks.status)
        yield Route(f"{prefix}admin/webhooks/{{event_id}}/replay/", webhooks.replay, methods=["POST"])
        yield Route(f"{prefix}admin/dead-letters/", letters.listed)
        yield Route(f"{letter}replay/", letters.replay, methods=["POST"])
        yield Route(f"{letter}park/", letters.park, methods=["POST"])
        yield Route(f"{letter}discard/", letters.discard, methods=["POST"])
        yield Route(f"{prefix}admin/findings/", findings.findings)
        yield Route(f"{prefix}admin/findings/{{finding_id:uuid}}/close/", findings.close_finding, methods=["POST"])
        yield Route(f"{prefix}admin/cases/", findings.cases)
        yield Route(f"{prefix}admin/cases/{{case_id}}/close/", findings.close_case, methods=["POST"])
