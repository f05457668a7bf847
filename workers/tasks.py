"""One function for each message, one statement each: the use case it stands for."""

from collections.abc import Sequence

from billing import ledger, student_links
from billing.messages import AuditBalances, EventsWaiting, FollowUp, LinkStudent, Message, PreparePayment
from billing.purchases import payment
from billing.webhooks import drain as webhooks
from workers.runtime import Runtime
from workers.task import task


@task(PreparePayment)
def prepare_payment(message: PreparePayment, runtime: Runtime) -> Sequence[FollowUp]:
    return payment.prepare_payment(runtime.desk(), message)


@task(EventsWaiting)
def drain(_message: EventsWaiting, runtime: Runtime) -> Sequence[Message]:
    return webhooks.drain(
        runtime.begin, runtime.leases, runtime.hints, deployment=runtime.deployment, now=runtime.now()
    )


@task(LinkStudent)
def link_student(message: LinkStudent, runtime: Runtime) -> Sequence[Message]:
    return student_links.follow_link(runtime.begin, runtime.leases, message, now=runtime.now())


@task(AuditBalances)
def audit(_message: AuditBalances, runtime: Runtime) -> Sequence[Message]:
    return ledger.audit(runtime.begin)
