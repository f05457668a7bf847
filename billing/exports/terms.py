"""How much an export may be, and for how long it is kept."""

from datetime import timedelta

KEPT = timedelta(hours=24)
"""After it is ready."""

MOST_ROWS = 5_000_000
MOST_UNFINISHED = 3
"""Of one person, at a time."""

SAME_WITHIN = timedelta(seconds=60)
"""Whoever asks for the same rows again so soon has asked once, and pressed twice."""
