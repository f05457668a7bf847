"""What the broker does not hear must not keep a worker from asking for more."""

from typing import Any

import pytest
from kombu.transport import redis as kombu_redis
from kombu.transport import virtual

from workers.transport import QoS


class Deaf:
    """A channel whose broker is gone."""

    do_restore = False

    def _restore_at_beginning(self, *_: Any) -> None: ...


def test_a_lost_acknowledgement_frees_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that lost the answers to as many messages as it may hold would stop consuming for ever."""

    def broken(_self: Any, _tag: str) -> None:
        raise ConnectionError("the broker is gone")

    monkeypatch.setattr(kombu_redis.QoS, "ack", broken)
    qos = QoS(Deaf(), prefetch_count=1)
    virtual.QoS.append(qos, object(), "tag")
    assert not qos.can_consume()
    with pytest.raises(ConnectionError):
        qos.ack("tag")
    assert qos.can_consume()
