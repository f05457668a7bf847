"""Where staff knock."""

from collections.abc import Iterator

from starlette.routing import Route

from web.door import Door
from web.paths import PREFIXES
from web.staff.audit import AuditRoutes
from web.staff.disputes import StaffDisputeRoutes
from web.staff.expiry import StaffExpiryRoutes
from web.staff.invoices import StaffInvoiceRoutes
from web.staff.packages import StaffPackageRoutes
from web.staff.refunds import StaffRefundRoutes


def staff_routes(door: Door) -> Iterator[Route]:
    packages, expiry, audit = StaffPackageRoutes(door), StaffExpiryRoutes(door), AuditRoutes(door)
    refunds, disputes, invoices = StaffRefundRoutes(door), StaffDisputeRoutes(door), StaffInvoiceRoutes(door)
    for prefix in reversed(PREFIXES):
        yield Route(f"{prefix}admin/packages/{{transaction_id}}/extend/", packages.extend, methods=["POST"])
        yield Route(f"{prefix}admin/bulk-extend-packages/", packages.bulk_extend, methods=["POST"])
        yield Route(f"{prefix}admin/process-expired-packages/", expiry.process, methods=["POST"])
        yield Route(f"{prefix}admin/expired-packages/", packages.expired)
        yield Route(f"{prefix}admin/packages-expiring-soon/", packages.expiring_soon)
        yield Route(f"{prefix}admin/payments/audit-log/", audit.listed)
        yield Route(f"{prefix}admin/payments/audit-log/{{act_id:uuid}}/", audit.shown)
        yield Route(f"{prefix}admin/payments/refunds/", refunds.all_of_them, methods=["GET", "POST"])
        yield Route(f"{prefix}admin/payments/refunds/quote/", refunds.quote)
        yield Route(f"{prefix}admin/payments/refunds/{{refund_id:uuid}}/", refunds.shown)
        yield Route(f"{prefix}admin/payments/disputes/", disputes.listed)
        yield Route(f"{prefix}admin/payments/disputes/{{dispute_id:uuid}}/", disputes.shown)
        yield Route(f"{prefix}admin/receipts/{{receipt_id:uuid}}/invoice/", invoices.name, methods=["POST"])
