"""A real Chromium for stories: the system's, driven by Playwright. Imported under the environment ``BROWSER`` only.

A story fails if the page logs an error, breaks its content security policy, throws, or asks another host for anything.
"""

import shutil
from contextlib import contextmanager
from typing import Any, Iterator, List
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
NAMES = ("chromium", "chromium-browser", "google-chrome")


def executable() -> str:
    """Where the system's browser is; ``FileNotFoundError`` that says what to install."""
    for name in NAMES:
        found = shutil.which(name)
        if found:
            return found
    raise FileNotFoundError(f"none of {', '.join(NAMES)} is installed; Debian's package is called chromium")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def clean_page(browser: Browser, **options: Any) -> Iterator[Page]:
    """A page of its own; at the end nothing may have gone wrong in it."""
    context = browser.new_context(viewport={"width": 1280, "height": 860}, **options)
    page = context.new_page()
    wrong: List[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))

    def look(url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("blob", "data") and parts.hostname != "127.0.0.1":
            wrong.append(f"asked {url}")

    page.on("request", lambda request: look(request.url))
    try:
        yield page
        assert not wrong, wrong
    finally:
        context.close()
