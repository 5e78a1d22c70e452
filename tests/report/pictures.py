"""The pictures of docs/report.md: `make report-pictures` takes them of a week of made-up work."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

from . import worlds
from .browser import CHROMIUM, Reader, chromium
from .conftest import page_of

DOCS = ROOT / "docs"


def main() -> None:
    if not CHROMIUM:
        raise SystemExit("pictures: Chromium is not installed (Debian: chromium)")
    if not shutil.which("pngquant"):
        raise SystemExit("pictures: pngquant is not installed (Debian: pngquant)")
    with tempfile.TemporaryDirectory() as top, pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("CLAUDE", "WORKFLOW_STATE", "XDG_", "AI_AGENT")):
                patch.delenv(name)
        world = worlds.World(Path(top) / "harbour", Path(top) / "home", patch)
        file = page_of(worlds.week(world), Path(top) / "report.html")
        with chromium() as browser:
            take(browser, file)
    subprocess.run(
        ["pngquant", "--force", "--ext", ".png", "--strip", *DOCS.glob("report*.png")], check=True
    )


def take(browser: object, file: Path) -> None:
    reader = Reader(browser, viewport={"width": 1280, "height": 1180})
    reader.open(file).screenshot(path=DOCS / "report.png")
    reader.close()
    reader = Reader(browser, color_scheme="dark", viewport={"width": 1280, "height": 900})
    tab = reader.open(file)
    title = tab.get_by_role("button", name="Add sign-in with a passkey.", exact=True)
    title.click()
    title.evaluate("e => e.closest('.session').scrollIntoView({block: 'start'})")
    tab.evaluate("scrollBy(0, -20)")
    tab.screenshot(path=DOCS / "report-session.png")
    reader.close()
    phone = {"width": 390, "height": 844}
    reader = Reader(browser, viewport=phone, is_mobile=True, device_scale_factor=1.5)
    tab = reader.open(file)
    tab.locator("#timeline-title").evaluate("e => e.scrollIntoView({block: 'start'})")
    tab.screenshot(path=DOCS / "report-phone.png")
    reader.close()


if __name__ == "__main__":
    main()
