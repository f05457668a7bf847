"""Workers for money that goes back: they do what the door accepted last, and tell who waits."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

import redis
from sqlmodel import col, select

from billing.messages import Change, FollowUp, SendRefund
from billing.models import StaffAct
from billing.refunds.send import send_refund
from tests.support.office import Returns
from tests.support.staff import StaffRoom


@dataclass
class Cashier:
    """`returns` is what happens at Stripe and to the hours, `room` what staff asked for."""

    returns: Returns
    room: StaffRoom
    valkey_url: str

    def work(self) -> None:
        """The act, and then the refund that it made."""
        for message in self.hold():
            if isinstance(message, SendRefund):
                self.send(message.refund_id)

    def hold(self) -> list[FollowUp]:
        """Only the act."""
        follow_ups = self.room.perform(self.newest())
        self.tell(follow_ups)
        return follow_ups

    def send(self, refund_id: UUID) -> None:
        self.tell(send_refund(self.returns.desk, SendRefund(refund_id=refund_id)))

    def newest(self) -> UUID:
        with self.room.begin() as session:
            return session.exec(select(StaffAct.id).order_by(col(StaffAct.requested_at).desc())).all()[0]

    def tell(self, follow_ups: Iterable[FollowUp]) -> None:
        changes = [told for told in follow_ups if isinstance(told, Change)]
        with redis.Redis.from_url(self.valkey_url) as client:
            if changes:
                client.publish(Change.channel, Change.together(changes))
