"""What keeps the money right, taken away piece by piece: for each piece the suite has to fail.

`python -m tests.guards` works on a copy of the tree: it removes one guard, runs the tests that promise what the guard
is there for, and expects them to fail. `--list` names the guards, `NAME …` tries some of them.
"""
