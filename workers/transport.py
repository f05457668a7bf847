"""Redis as kombu speaks it, except that an element which is no message does not end the worker that took it."""

from typing import Any

from kombu.transport import redis as kombu_redis
from redis import Redis

from billing.failures import UnreadableFacts
from workers.envelope import complaint_about_item
from workers.unreadable import note

TAKE = "BRPOP"


class Client(Redis):
    def parse_response(self, connection: Any, command_name: str, **options: Any) -> Any:
        """As if the queue had been empty where what was taken is unreadable: kombu would raise out of its loop."""
        reply = super().parse_response(connection, command_name, **options)  # type: ignore[no-untyped-call]
        if command_name != TAKE or not reply:
            return reply
        queue, item = reply
        reason = complaint_about_item(item)
        if reason is None:
            return reply
        note(UnreadableFacts.of(queue=queue.decode(errors="replace"), task="", reason=reason, body=item))
        return None


class QoS(kombu_redis.QoS):
    def ack(self, delivery_tag: str) -> None:
        """Also where the broker did not hear it, a message that is over takes up no place any more.

        Kombu frees the place once the broker has answered: a worker that lost the answers to as many messages as it may
        hold would never ask for another.
        """
        try:
            super().ack(delivery_tag)
        except BaseException:
            self._quick_ack(delivery_tag)  # type: ignore[attr-defined]
            raise


class Channel(kombu_redis.Channel):
    QoS = QoS

    def _get_client(self) -> type[Redis]:
        return Client


class Transport(kombu_redis.Transport):
    Channel = Channel
