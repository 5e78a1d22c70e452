"""Headless Chromium over a report: a context as a reader has it, and everything it was asked."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)

# Without these it asks its maker's servers for this and that, which is no request of the page's.
QUIET = """
--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --disable-default-apps
""".split()


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser with a profile of its own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        try:
            yield browser
        finally:
            browser.close()


class Reader:
    """Somebody who opens a report: the tab, what its console said, what it asked the network."""

    def __init__(self, browser: Any, **options: Any) -> None:
        given = {
            "viewport": {"width": 1280, "height": 900},
            "timezone_id": "Europe/Berlin",
            "locale": "en-GB",
            "color_scheme": "light",
            "reduced_motion": "reduce",
        }
        self.context = browser.new_context(**{**given, **options})
        self.said: list[str] = []
        self.asked: list[str] = []
        self.tab = self.context.new_page()
        self.tab.set_default_timeout(15_000)
        self.tab.on("console", lambda message: self.said.append(message.text))
        self.tab.on("pageerror", lambda error: self.said.append(str(error)))
        self.context.on("request", lambda request: self.asked.append(request.url))

    def open(self, file: Path) -> Any:
        """The tab, with the page drawn."""
        self.tab.goto(file.as_uri())
        return self.tab

    def until(self, condition: str) -> None:
        """Wait for a JavaScript condition.

        Playwright's own `wait_for_function` compiles text, which the page's policy forbids.
        """
        held = self.tab.evaluate(
            f"""async () => {{
                const end = performance.now() + 15000;
                while (!({condition})) {{
                    if (performance.now() > end) return false;
                    await new Promise(requestAnimationFrame);
                }}
                return true;
            }}"""
        )
        assert held, f"{condition}: not after 15 s"

    def close(self) -> None:
        self.context.close()
