"""The release before this one, as it was deployed: `0007.tar.xz` holds the code that was written for revision 0007.

A migration runs while the old code is still there, so a test runs that code against the new schema. When a release
ends, its archive replaces this one: of `billing`, `web` and `workers`, without the sandbox, `billing/local`,
`billing/bench` and fonts, which no deployed process needs for this.
"""

import tarfile
from pathlib import Path

ARCHIVE = Path(__file__).with_name("0007.tar.xz")
REVISION = "0007"


def unpacked(folder: Path) -> Path:
    """The folder from which the old release's processes run."""
    with tarfile.open(ARCHIVE) as archive:
        if hasattr(tarfile, "data_filter"):  # not in every Python 3.11; the archive is our own anyway
            archive.extraction_filter = tarfile.data_filter
        archive.extractall(folder)  # noqa: S202
    return folder
