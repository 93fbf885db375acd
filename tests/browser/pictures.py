"""Pictures of every page, light and dark, from a running installation: ``make pictures`` writes them to docs/console.

A node with a stand-in engine does real requests; 59 more hosts with 8 GPUs each are simulated, and so are most ended requests.
OMX_PICTURES names another folder, into which whole pages go as PNG, at widths from 390 to 2560 pixels, the first with nothing on them:
``make pages``. Nothing of a page may be cut at its right edge, no table at the usual width, and axe finds nothing at the narrowest and at the usual width.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, CDPSession, Page, expect, sync_playwright

from benchmarks.product import ask as ask_api
from tests.browser import product as products
from tests.browser.conftest import CHROMIUM
from tests.browser.furnish import furnished
from tests.browser.pages import PAGES
from tests.browser.product import NODE, ROOT, SLOTS, Product
from tests.browser.visitor import add_factors, cut_tables, held, loaded, log_in, too_wide, violations

FOLDER = ROOT / "docs" / "console"
WHOLE = os.environ.get("OMX_PICTURES", "")
ONLY = set(filter(None, os.environ.get("OMX_PICTURES_ONLY", "").split(",")))
SIZE = (1360, 850)
WIDTHS = (1440, 390, 768, 2560, 720)
"""Pixels; 720 is what a window of 1440 has left at 200 % zoom."""
CHECKED = WIDTHS[:2]
USUAL = WIDTHS[0]
QUALITY = 60
MOST_BYTES = 5_000_000
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
HOSTS = 59
ENDED = 600
EMPTY = "without-nodes-"


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="omx-pictures-"))
    product = products.start(folder)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
            faults = _take_all(browser, product)
            browser.close()
    finally:
        product.end()
        shutil.rmtree(folder, ignore_errors=True)
    if faults:
        raise SystemExit("\n".join(faults))
    if WHOLE:
        return
    pictures = sorted(FOLDER.glob("*.webp"))
    total = sum(each.stat().st_size for each in pictures)
    assert total < MOST_BYTES, f"{total} bytes are more than {MOST_BYTES}"
    _write_index(sorted({each.stem.rpartition("-")[0] for each in pictures}))
    sys.stdout.write(f"{len(pictures)} pictures, {total / 1e6:.1f} MB\n")


def _take_all(browser: Browser, product: Product) -> list[str]:
    """What is wrong with pages, where they are looked at whole."""
    faults: list[str] = []
    context = browser.new_context(
        # By this name, and not by the address: passkeys need a name.
        base_url=product.url.replace("127.0.0.1", "localhost"),
        viewport={"width": SIZE[0], "height": SIZE[1]},
        reduced_motion="reduce",
        locale="en-GB",
    )
    page = context.new_page()
    page.goto("/login")
    loaded(page)
    _take(page, faults, "log-in")
    log_in(page, product)
    _take(page, faults, "first-steps")
    if WHOLE:
        for name, address in PAGES.items():
            _visit(page, faults, EMPTY + name, address)
    token = ask_api(f"{product.url}/api/v1/nodes/tokens", product.facts["api_key"], {"expires_in": 3600, "max_uses": 1})
    products.join_node(product, token=token["token"])
    model = products.model_of(product)
    with furnished(product, hosts=HOSTS, ended=ENDED) as whole:
        add_factors(page)
        with held(product, model, SLOTS + 2):
            for name, address in (PAGES | whole.addresses | _single(product)).items():
                _visit(page, faults, name, address)
            if not ONLY or ONLY & {"node", "node-log", "node-drain"}:
                _take_node(page, faults, product)
            _take_dialogs(page, faults)
    context.close()
    return faults


def _single(product: Product) -> dict[str, str]:
    """Addresses of single things that are there already."""
    ended = str(product.get("/api/v1/requests?limit=1")["results"][0]["request"])
    return {
        "webhook": "/webhooks/" + str(product.get("/api/v1/webhooks")["results"][0]["id"]),
        "request": "/requests/" + ended.replace("-", ""),
    }


def _take_node(page: Page, faults: list[str], product: Product) -> None:
    node = product.get(f"/api/v1/nodes?name={NODE}")["results"][0]["id"]
    page.goto(f"/nodes/{node}")
    loaded(page)
    _take(page, faults, "node")
    page.get_by_role("button", name="Show the log").click()
    page.get_by_role("button", name="Show the log").wait_for(state="hidden")
    page.get_by_label("Search in the log").scroll_into_view_if_needed()
    _take(page, faults, "node-log")
    page.goto(f"/nodes/{node}")
    page.get_by_role("button", name="Drain").click()
    page.get_by_role("dialog").get_by_role("button", name="Drain").click()
    expect(page.get_by_text("Draining").first).to_be_visible()
    _take(page, faults, "node-drain")
    # Those that wait go on.
    page.get_by_role("button", name="Take requests again").click()
    expect(page.get_by_text("Draining").first).to_be_hidden()


def _take_dialogs(page: Page, faults: list[str]) -> None:
    page.goto("/keys")
    loaded(page)
    page.get_by_role("button", name="Create a key").click()
    page.get_by_role("dialog").get_by_label("Name").fill("branch office")
    _take(page, faults, "key-limits")
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    page.get_by_role("button", name="Actions for billing service").click()
    page.get_by_role("menuitem", name="Bind").click()
    page.get_by_role("dialog").wait_for()
    _take(page, faults, "key-reach")


def _visit(page: Page, faults: list[str], name: str, address: str) -> None:
    if ONLY and name not in ONLY:
        return
    page.goto(address)
    loaded(page)
    if name.startswith("rollout-"):
        page.get_by_role("heading", name=re.compile("^Rollouts")).scroll_into_view_if_needed()
    if name == "account":
        page.get_by_role("heading", name="Second factors").scroll_into_view_if_needed()
    _take(page, faults, name)


def _take(page: Page, faults: list[str], name: str) -> None:
    """In both schemes, as WebP, which Playwright does not write itself."""
    if ONLY and name not in ONLY:
        return
    session = page.context.new_cdp_session(page)
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.wait_for_timeout(150)  # what is painted by canvas follows a frame later
        if WHOLE:
            faults += _take_whole(page, name, scheme)
        else:
            _write_webp(session, FOLDER / f"{name}-{scheme}.webp")
    session.detach()


def _take_whole(page: Page, name: str, scheme: str) -> list[str]:
    faults: list[str] = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(250)
        page.screenshot(path=Path(WHOLE) / f"{name}-{scheme}-{width}.png", full_page=True)
        found = too_wide(page) + (violations(page) if width in CHECKED else [])
        if width == USUAL:
            found += cut_tables(page)
        faults += [f"{name} {scheme} {width}: {each}" for each in found]
    page.set_viewport_size({"width": SIZE[0], "height": SIZE[1]})
    return faults


def _write_webp(session: CDPSession, file: Path) -> None:
    shot = session.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
    file.write_bytes(base64.b64decode(shot["data"]))


def _write_index(found: list[str]) -> None:
    rows = "\n".join(
        f"| {name.replace('-', ' ')} | ![light]({name}-light.webp) | ![dark]({name}-dark.webp) |" for name in found
    )
    (FOLDER / "README.md").write_text(f"""# The console in pictures

Taken by `make pictures` from a running installation: web, controller, and one node with a stand-in engine, whose requests are real. The other {HOSTS} hosts
come from a simulator (`benchmarks/lively_fleet.py`): they join and report as nodes do, but their telemetry, GPUs, models and most of the ended requests are made up.
[What everyday tasks take](tasks.md) is counted by a test.

| page | light | dark |
|---|---|---|
{rows}
""")


if __name__ == "__main__":
    main()
