"""A queue that keeps what it is given, or loses it."""

from billing.messages import Message


class KeptHints:
    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.taken_kinds: list[type[Message]] = []

    def send(self, message: Message) -> None:
        self.sent.append(message)

    def taken(self, kind: type[Message]) -> None:
        self.taken_kinds.append(kind)
