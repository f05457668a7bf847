"""Pages in a real browser, against the whole pipeline; a page that complains or asks elsewhere fails its test."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

from tests.support.database import TEMPLATE
from tests.support.servers import RunningPostgres, RunningValkey
from tests.support.stack import Stack, running_stack

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SIZES = {"phone": (390, 844), "desktop": (1440, 900)}
SERIOUS = ("serious", "critical")

NewPage = Callable[..., Page]


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where it can be installed it has to be there: `./run test` installs it."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        pytest.fail("Chromium can be installed here and was not")
    if found is None:
        pytest.skip("there is no Chromium, and nobody here may install it")
    return found


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """Of a module: while Playwright runs, an event loop does, and no test beside it could have one of its own."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=list(QUIET))
        yield running
        running.close()


@pytest.fixture(scope="module")
def stack(
    postgres: RunningPostgres,
    valkey: RunningValkey,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Stack]:
    """One running pipeline for the tests of a module."""
    name = f"browser_{request.module.__name__.rsplit('.', 1)[-1]}"
    postgres.create_database(name, template=TEMPLATE)
    folder: Path = tmp_path_factory.mktemp(name)
    processes = ("sandbox", "web", "payments", "webhooks", "hours", "maintenance")
    with running_stack(postgres, valkey, folder, *processes, DATABASE_URL=postgres.url(name)) as running:
        yield running


class Watched:
    """What a page must not do: complain on its console, break, or ask another host."""

    def __init__(self, stack: Stack) -> None:
        self._hosts = (stack.url, stack.sandbox_url)
        self.complaints: list[str] = []

    def watch(self, context: BrowserContext) -> None:
        context.on("request", self._request)
        context.on("console", self._console)
        context.on("weberror", lambda error: self.complaints.append(f"broke: {error.error}"))

    def _request(self, request: Request) -> None:
        if not request.url.startswith((*self._hosts, "data:", "blob:", "about:")):
            self.complaints.append(f"asked {request.url}")

    def _console(self, message: ConsoleMessage) -> None:
        """Chromium itself logs each answer from 400 on; those are the test's to look at."""
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.complaints.append(f"said {message.text}")


@pytest.fixture
def new_page(browser: Browser, stack: Stack) -> Iterator[NewPage]:
    """A page of a visitor of its own: `new_page("phone", dark=True)`."""
    watched, contexts = Watched(stack), list[BrowserContext]()

    def make(size: str = "desktop", *, dark: bool = False) -> Page:
        width, height = SIZES[size]
        context = browser.new_context(
            base_url=stack.url,
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
        )
        context.set_default_timeout(15_000)
        watched.watch(context)
        contexts.append(context)
        return context.new_page()

    yield make
    for context in contexts:
        context.close()
    assert watched.complaints == []


@pytest.fixture
def page(new_page: NewPage) -> Page:
    return new_page()


def hindrances(page: Page) -> list[str]:
    """What keeps people from using the page as it is now (axe-core): violations that are serious or critical."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found if one["impact"] in SERIOUS]
