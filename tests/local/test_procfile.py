from pathlib import Path

import pytest

from billing.errors import ConfigurationError
from billing.local.child import Program
from billing.local.procfile import Celery, Command, Web, read_procfile, service_of

CHECKOUT = Path(__file__).parents[2]


def program(name: str, command: str) -> Program:
    return Program(name, ("/bin/sh", "-c", command), {})


def test_commands_come_in_order(tmp_path: Path) -> None:
    """Comments and empty lines are for readers."""
    (tmp_path / "Procfile").write_text("# two\n\nweb: exec serve --port ${PORT:-8000}\nbeat:exec tick\n")
    assert list(read_procfile(tmp_path).items()) == [("web", "exec serve --port ${PORT:-8000}"), ("beat", "exec tick")]


def test_what_is_optional_runs_where_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("web: exec serve\n# optional flower: exec look\n# optional tea\n")
    assert list(read_procfile(tmp_path)) == ["web"]
    assert read_procfile(tmp_path, ["flower"])["flower"] == "exec look"
    with pytest.raises(ConfigurationError, match="no process tea"):
        read_procfile(tmp_path, ["tea"])


@pytest.mark.parametrize("content", ["web exec serve", "web: a\nweb: b", "web:"])
def test_an_unreadable_line_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "Procfile").write_text(f"# first\n{content}\n")
    with pytest.raises(ConfigurationError, match=r"Procfile: line \d"):
        read_procfile(tmp_path)


def test_ours_gives_way_to_its_processes() -> None:
    """Without `exec` a signal would reach the shell and not the process."""
    commands = read_procfile(CHECKOUT)
    assert all(command.startswith("exec ") for command in commands.values())
    kinds = {name: type(service_of(program(name, command), "", 0)) for name, command in commands.items()}
    assert kinds["web"] is Web
    assert type(service_of(program("mail", "exec mail"), "", 0)) is Command
    assert kinds["payments"] is kinds["webhooks"] is kinds["hours"] is kinds["maintenance"] is kinds["beat"] is Celery


@pytest.mark.parametrize(
    ("line", "is_ready"),
    [
        ('{"level": "info", "event": "worker_ready", "worker": "payments@host"}', True),
        ('{"level": "info", "event": "beat_ready", "entries": []}', True),
        ("12:00:00 [info] worker_ready queues=['hours']", True),
        ("database not ready", False),
        ("connected to redis://:**@127.0.0.1/0", False),
    ],
)
def test_a_worker_is_ready_when_it_says_so(line: str, is_ready: bool) -> None:
    """Whatever the log looks like around it; and each start begins anew."""
    worker = Celery(program("payments", "celery worker"))
    worker.hear(line)
    worker.hear("something else")
    assert worker.is_ready(1) is is_ready
    worker.prepare()
    assert not worker.is_ready(1)
