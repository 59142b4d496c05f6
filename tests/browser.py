"""A real browser, where the machine has one: pages that tell what went wrong in them."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
SERIOUS = {"serious", "critical"}
PATIENCE_MS = 60_000  # on a busy machine
expect.set_options(timeout=PATIENCE_MS)


class Watched:
    """A page, with what its console complained of and which addresses it asked for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", self._note_message)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def _note_message(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def find_barriers(self) -> list[str]:
        """Return what axe finds serious or critical, each as rule, help and first element."""
        return [
            f"{found['id']}: {found['help']}: {found['nodes'][0]['html']}"
            for found in Axe().run(self.page).response["violations"]
            if found["impact"] in SERIOUS
        ]


@contextmanager
def open_browser(
    *, width: int = 1280, height: int = 900, scheme: Literal["light", "dark"] = "light"
) -> Iterator[Watched]:
    """Open headless Chromium with one page of this size and colour scheme."""
    with sync_playwright() as playwright:
        # The sandbox of Chromium does not start as root, as which continuous integration runs.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme
        )
        context.set_default_timeout(PATIENCE_MS)
        yield Watched(context.new_page())
        browser.close()
