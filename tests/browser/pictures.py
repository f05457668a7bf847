"""Pictures of the pages: `python -m tests.browser.pictures` takes those of the README.

With a folder behind it every page is taken there too, on a phone and a desk, light and dark, to be looked at.
"""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.buying import DECLINED, GOOD, begin, pay, see_hours
from tests.browser.conftest import NAMES, QUIET, SIZES
from tests.browser.operations_picture import operations_picture
from tests.browser.test_pages import WALK
from tests.rules.sources import ROOT
from tests.support.database import fill_template
from tests.support.servers import running_postgres, running_valkey
from tests.support.stack import Stack, running_stack

TIMELINE = ROOT / "deploy" / "pictures" / "timeline.png"
TIMELINE_SIZE = (1040, 840)
PROCESSES = ("sandbox", "web", "payments", "webhooks", "hours", "maintenance")


def main(folder: str | None = None) -> None:
    with running() as stack, chromium() as browser:
        take_timeline(new_page(browser, stack, TIMELINE_SIZE))
        if folder is not None:
            take_all(browser, stack, Path(folder))
        operations_picture(browser, stack)  # last, for it fills the database with a day


def take_timeline(page: Page) -> None:
    """A card that is declined and another one that pays: the timeline tells both."""
    begin(page, "ana@example.com")
    pay(page, DECLINED)
    expect(page.locator("#timeline")).to_contain_text("Payment did not succeed")
    pay(page, GOOD)
    see_hours(page)
    page.evaluate("scrollTo(0, 0)")
    TIMELINE.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=TIMELINE)


def take_all(browser: Browser, stack: Stack, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for size, shape in SIZES.items():
        for dark in (False, True):
            page = new_page(browser, stack, shape, dark=dark)
            for name, step in WALK.items():
                step(page)
                light = "dark" if dark else "light"
                page.screenshot(path=folder / f"{name.replace(' ', '-')}-{size}-{light}.png", full_page=True)


def new_page(browser: Browser, stack: Stack, shape: tuple[int, int], *, dark: bool = False) -> Page:
    width, height = shape
    return browser.new_page(
        base_url=stack.url,
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
    )


@contextmanager
def running() -> Iterator[Stack]:
    with running_postgres() as postgres, running_valkey() as valkey, TemporaryDirectory() as folder:
        postgres.create_database("pictures")
        url = postgres.url("pictures")
        fill_template(url)
        with running_stack(postgres, valkey, Path(folder), *PROCESSES, DATABASE_URL=url) as stack:
            yield stack


@contextmanager
def chromium() -> Iterator[Browser]:
    path = next(path for name in NAMES if (path := shutil.which(name)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        yield browser
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:2])
