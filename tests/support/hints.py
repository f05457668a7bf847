"""A queue that keeps what it is given, or loses it."""

from collections.abc import Sequence

from billing.messages import Change, Message


class KeptHints:
    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.taken_kinds: list[type[Message]] = []
        self.notified: list[Change] = []

    def send(self, message: Message) -> None:
        self.sent.append(message)

    def taken(self, kind: type[Message]) -> None:
        self.taken_kinds.append(kind)

    def notify(self, changes: Sequence[Change]) -> None:
        self.notified.extend(changes)
