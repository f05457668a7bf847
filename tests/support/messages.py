"""A message of every kind."""

from billing.ids import new_id
from billing.messages import (
    AskStripe,
    AuditBalances,
    CloseAbandoned,
    EventsWaiting,
    HoursWaiting,
    LapseHolds,
    LinkStudent,
    Message,
    PerformStaffAct,
    PreparePayment,
    ReceiptsWaiting,
    SendNotification,
    SendRefund,
    StartLateSweep,
    StartNightlySweep,
    SweepLots,
    WarnStudents,
    WatchDisputes,
)

SAMPLES: dict[type[Message], Message] = {
    PreparePayment: PreparePayment(purchase_id=new_id()),
    EventsWaiting: EventsWaiting(),
    LinkStudent: LinkStudent(link_id=new_id()),
    HoursWaiting: HoursWaiting(),
    LapseHolds: LapseHolds(),
    PerformStaffAct: PerformStaffAct(act_id=new_id()),
    StartNightlySweep: StartNightlySweep(),
    StartLateSweep: StartLateSweep(),
    SweepLots: SweepLots(run_id=1),
    WarnStudents: WarnStudents(),
    SendNotification: SendNotification(notification_id=new_id()),
    SendRefund: SendRefund(refund_id=new_id()),
    AskStripe: AskStripe(mark_id=1),
    ReceiptsWaiting: ReceiptsWaiting(),
    CloseAbandoned: CloseAbandoned(),
    WatchDisputes: WatchDisputes(),
    AuditBalances: AuditBalances(),
}
