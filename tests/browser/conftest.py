"""The whole product and a real Chromium, once for each module: Playwright's event loop must not outlive its tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser import product as products
from tests.browser.product import ROOT, Product
from tests.servers import short_folder

CHROMIUM = Path("/usr/bin/chromium")
AXE = ROOT / "frontend" / "node_modules" / "axe-core" / "axe.min.js"


# A machine that runs everything else at once is slow; nothing waits longer than it must.
expect.set_options(timeout=60_000)


@pytest.fixture(scope="module")
def product() -> Iterator[Product]:
    if not (ROOT / "frontend" / "dist" / "index.html").exists():
        pytest.fail("The console is not built: run npm ci && npm run build in frontend/.")
    # Not below pytest's own folder, which PostgreSQL's user may not enter.
    folder = short_folder("browser")
    started = products.start(folder)
    yield started
    started.end()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"There is no {CHROMIUM}: apt install chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield opened
        opened.close()


class Watched:
    """A page that remembers what its console complained of: errors, and violations of the security policy."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "console",
            lambda message: self.complaints.append(message.text) if message.type in {"error", "warning"} else None,
        )


@pytest.fixture
def watched(browser: Browser, product: Product) -> Iterator[Watched]:
    context = browser.new_context(base_url=product.url, viewport={"width": 1440, "height": 1000})
    yield Watched(context.new_page())
    context.close()
