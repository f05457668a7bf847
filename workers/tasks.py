"""One function for each message, one statement each: the use case it stands for."""

from collections.abc import Sequence

from billing import ledger, student_links
from billing.accounts.perform import perform_account_act
from billing.consumptions.drain import drain as drain_hours
from billing.consumptions.lapse import lapse_holds
from billing.disputes.watch import watch_disputes
from billing.expiry import sweep
from billing.exports.write import write_export
from billing.messages import (
    AskAboutPayment,
    AskStripe,
    AuditBalances,
    CloseAbandoned,
    CompareLedgers,
    DropOldRows,
    EraseShortLived,
    EventsWaiting,
    FollowUp,
    HoursWaiting,
    LapseHolds,
    LinkStudent,
    Message,
    PerformAccountAct,
    PerformStaffAct,
    PreparePayment,
    ReadEvents,
    ReceiptsWaiting,
    SendNotification,
    SendRefund,
    StartLateSweep,
    StartNightlySweep,
    SweepLots,
    WarnStudents,
    WatchDisputes,
    WriteExport,
)
from billing.notifications.send import send_notification
from billing.notifications.warn import warn_of_expiry
from billing.purchases import payment
from billing.purchases.abandon import close_abandoned
from billing.purchases.asking import ask_about_payment
from billing.receipts.drain import drain as drain_receipts
from billing.reconciliation.compare import compare_ledgers
from billing.reconciliation.events import read_events
from billing.refunds.send import send_refund
from billing.retention import drop_old_rows, erase_short_lived
from billing.staff.perform import perform_act
from billing.staff.refunds import policy_of
from billing.stale.ask import ask_stripe
from billing.states import SweepTrigger
from billing.webhooks import drain as webhooks
from workers.runtime import Runtime
from workers.task import task


@task(PreparePayment)
def prepare_payment(message: PreparePayment, runtime: Runtime) -> Sequence[FollowUp]:
    return payment.prepare_payment(runtime.desk(), message)


@task(AskAboutPayment)
def ask_about(message: AskAboutPayment, runtime: Runtime) -> Sequence[FollowUp]:
    return ask_about_payment(runtime.desk(), message)


@task(EventsWaiting)
def drain(_message: EventsWaiting, runtime: Runtime) -> Sequence[Message]:
    return webhooks.drain(
        runtime.begin, runtime.leases, runtime.hints, deployment=runtime.deployment, now=runtime.now()
    )


@task(LinkStudent)
def link_student(message: LinkStudent, runtime: Runtime) -> Sequence[Message]:
    return student_links.follow_link(runtime.begin, runtime.leases, message, now=runtime.now())


@task(HoursWaiting)
def work_hours(_message: HoursWaiting, runtime: Runtime) -> Sequence[FollowUp]:
    return drain_hours(runtime.begin, runtime.leases, runtime.hints, now=runtime.now())


@task(LapseHolds)
def lapse(_message: LapseHolds, runtime: Runtime) -> Sequence[FollowUp]:
    return lapse_holds(runtime.begin, now=runtime.now())


@task(PerformStaffAct)
def perform_staff_act(message: PerformStaffAct, runtime: Runtime) -> Sequence[FollowUp]:
    return perform_act(
        runtime.begin,
        runtime.leases,
        message,
        zone=runtime.settings.zone,
        refunds=policy_of(runtime.settings),
        now=runtime.now(),
    )


@task(StartNightlySweep)
def start_nightly_sweep(_message: StartNightlySweep, runtime: Runtime) -> Sequence[Message]:
    return sweep.start_sweep(
        runtime.begin, SweepTrigger.NIGHTLY, grace_hours=runtime.settings.expiry_grace_hours, now=runtime.now()
    )


@task(StartLateSweep)
def start_late_sweep(_message: StartLateSweep, runtime: Runtime) -> Sequence[Message]:
    return sweep.start_sweep(
        runtime.begin, SweepTrigger.LATE, grace_hours=runtime.settings.expiry_grace_hours, now=runtime.now()
    )


@task(SweepLots)
def sweep_lots(message: SweepLots, runtime: Runtime) -> Sequence[FollowUp]:
    return sweep.sweep_lots(runtime.begin, runtime.leases.terms, message, now=runtime.now())


@task(WarnStudents)
def warn_students(_message: WarnStudents, runtime: Runtime) -> Sequence[Message]:
    return warn_of_expiry(runtime.begin, now=runtime.now())


@task(SendNotification)
def notify_student(message: SendNotification, runtime: Runtime) -> Sequence[Message]:
    return send_notification(
        runtime.begin, runtime.leases, runtime.post, message, zone=runtime.settings.zone, now=runtime.now()
    )


@task(AuditBalances)
def audit(_message: AuditBalances, runtime: Runtime) -> Sequence[Message]:
    return ledger.audit(runtime.begin, now=runtime.now())


@task(SendRefund)
def send(message: SendRefund, runtime: Runtime) -> Sequence[FollowUp]:
    return send_refund(runtime.desk(), message)


@task(PerformAccountAct)
def perform_for_owner(message: PerformAccountAct, runtime: Runtime) -> Sequence[FollowUp]:
    return perform_account_act(runtime.desk(), message)


@task(AskStripe)
def ask(message: AskStripe, runtime: Runtime) -> Sequence[FollowUp]:
    return ask_stripe(runtime.desk(), message)


@task(ReceiptsWaiting)
def issue_receipts(_message: ReceiptsWaiting, runtime: Runtime) -> Sequence[FollowUp]:
    return drain_receipts(runtime.begin, runtime.leases, runtime.hints, settings=runtime.settings, now=runtime.now())


@task(WriteExport)
def write_list(message: WriteExport, runtime: Runtime) -> Sequence[FollowUp]:
    return write_export(runtime.begin, runtime.leases, message, now=runtime.now())


@task(CloseAbandoned)
def abandon(_message: CloseAbandoned, runtime: Runtime) -> Sequence[FollowUp]:
    return close_abandoned(runtime.begin, now=runtime.now())


@task(WatchDisputes)
def watch(_message: WatchDisputes, runtime: Runtime) -> Sequence[FollowUp]:
    return watch_disputes(runtime.begin, now=runtime.now())


@task(ReadEvents)
def read_stripe_events(_message: ReadEvents, runtime: Runtime) -> Sequence[FollowUp]:
    return read_events(runtime.desk())


@task(CompareLedgers)
def compare(_message: CompareLedgers, runtime: Runtime) -> Sequence[FollowUp]:
    return compare_ledgers(runtime.desk())


@task(DropOldRows)
def drop(_message: DropOldRows, runtime: Runtime) -> Sequence[FollowUp]:
    return drop_old_rows(runtime.begin, now=runtime.now())


@task(EraseShortLived)
def erase(_message: EraseShortLived, runtime: Runtime) -> Sequence[FollowUp]:
    return erase_short_lived(runtime.begin, now=runtime.now())
