"""Word of the end in time: the server waits for open connections first, and tells the application only then."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def told_of_the_end(act: Callable[[], None]) -> Iterator[None]:
    """Call `act` in this loop as soon as the process is asked to stop, then let the server's own handler stop it.

    Outside of a process's main thread, and where nobody handles a signal, nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    earlier = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(act)
        handler = earlier[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    handled = [number for number, handler in earlier.items() if callable(handler)]
    for number in handled:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, earlier[number])
