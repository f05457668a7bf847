"""Everything that is drawn by lot: identifiers, and the dice of faults and deliveries."""

import random
import secrets
import string

_ALPHABET = (string.digits + string.ascii_letters).encode()


def new_id(prefix: str, length: int = 24) -> str:
    return f"{prefix}_{_letters(length)}"


def new_client_secret(intent_id: str) -> str:
    return f"{intent_id}_secret_{_letters(25)}"


def _letters(length: int) -> str:
    return bytes(_ALPHABET[byte % len(_ALPHABET)] for byte in secrets.token_bytes(length)).decode()


class Dice:
    """The same seed throws the same numbers, so that a run with bad luck can be repeated."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)  # noqa: S311  (luck of a test, not a secret)

    def falls(self, share: float) -> bool:
        return self._random.random() < share

    def seconds(self, at_most: float) -> float:
        return self._random.uniform(0, at_most)
