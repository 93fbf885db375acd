"""The console in a real browser: what it costs the browser, and how soon it shows what happened."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from benchmarks.lively_fleet import LivelyFleet, kind_of, names
from benchmarks.product import MODEL, Product, ask
from ollamamax.embedded.environment import of_running
from ollamamax.embedded.home import Home

CHROMIUM = Path("/usr/bin/chromium")
_PAINT = """new Promise((resolve) => new PerformanceObserver((list) => resolve(list.getEntries().at(-1).startTime))
    .observe({ type: 'largest-contentful-paint', buffered: true }))"""
_WATCH_ENDS = """() => {
    globalThis.seen = {}
    const look = () => {
        const at = Date.now()
        for (const link of document.querySelectorAll('a[href^="/requests/"]')) globalThis.seen[link.pathname.slice(10)] ??= at
    }
    look()
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true })
}"""
_WATCH_REPORTS = """() => {
    globalThis.told = {}
    const look = () => {
        const found = /Received\\s*([\\d.,]+) kB\\/s/.exec(document.querySelector('main').textContent)
        if (found) globalThis.told[Math.round(Number(found[1].replace(',', '')))] ??= Date.now()
    }
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true })
}"""


@dataclass(frozen=True)
class Size:
    nodes: int = 1000
    seconds: float = 60.0
    """For which the page of many nodes is watched."""
    idle_seconds: float = 20.0
    requests: int = 20


@dataclass
class Found:
    """Shares are of one core of the browser's page, by its own count of the time in tasks. Seconds, and bytes as they were sent."""

    script_bytes: int = 0
    paint_ms: float = 0.0
    idle: float = 0.0
    busy: float = 0.0
    heap: list[int] = field(default_factory=list)
    """After collection of garbage, at the beginning, in the middle and at the end."""
    ends: list[float] = field(default_factory=list)
    reports: list[float] = field(default_factory=list)


def measure(product: Product, size: Size) -> Found:
    found = Found()
    redis_url = of_running(Home(product.home))["REDIS_URL"]
    facts = json.loads((product.home / "bootstrap.json").read_text())
    who = {"email": facts["admin_email"], "password": facts["admin_password"]}
    with _browser() as browser:
        page = browser.new_context(base_url=product.url, viewport={"width": 1440, "height": 1000}).new_page()
        cdp = page.context.new_cdp_session(page)
        _first_page(page, cdp, found)
        _log_in(page, who)
        found.idle = _share(cdp, size.idle_seconds)
        _ends(page, product, size, found)
        fleet = LivelyFleet(product.url, product.key, redis_url)
        fleet.join(names(size.nodes), [kind_of(number) for number in range(size.nodes)])
        fleet.start()
        try:
            _reports(page, fleet, found)
            page.goto("/nodes")
            page.get_by_text(f"{size.nodes - 1:,}"[:2]).first.wait_for(timeout=60_000)
            time.sleep(5)
            found.heap.append(_heap(cdp))
            found.busy = _share(cdp, size.seconds / 2)
            found.heap.append(_heap(cdp))
            found.busy = (found.busy + _share(cdp, size.seconds / 2)) / 2
            found.heap.append(_heap(cdp))
        finally:
            fleet.close()
    return found


@contextlib.contextmanager
def _browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


def _first_page(page: Page, cdp: CDPSession, found: Found) -> None:
    """The log-in page with the processor throttled four times, and all script that it loads."""
    sent: dict[str, int] = {}
    scripts: set[str] = set()

    def answered(event: dict[str, Any]) -> None:
        if event["type"] == "Script":
            scripts.add(event["requestId"])

    def loaded(event: dict[str, Any]) -> None:
        sent[event["requestId"]] = int(event["encodedDataLength"])

    cdp.on("Network.responseReceived", answered)
    cdp.on("Network.loadingFinished", loaded)
    cdp.send("Network.enable")
    cdp.send("Emulation.setCPUThrottlingRate", {"rate": 4})
    page.goto("/login")
    page.get_by_role("button", name="Log in").wait_for()
    found.paint_ms = float(page.evaluate(_PAINT))
    cdp.send("Emulation.setCPUThrottlingRate", {"rate": 1})
    cdp.send("Network.disable")
    found.script_bytes = sum(sent.get(each, 0) for each in scripts)


def _log_in(page: Page, who: dict[str, str]) -> None:
    page.get_by_label("Email address").fill(who["email"])
    page.get_by_label("Password", exact=True).fill(who["password"])
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("status").filter(has_text=re.compile("^Live$")).wait_for(timeout=60_000)


def _ends(page: Page, product: Product, size: Size, found: Found) -> None:
    """From the last byte of an answer until the request stands in the overview's list."""
    page.evaluate(_WATCH_ENDS)
    ends: dict[str, float] = {}

    def ask_all() -> None:
        body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
        for _ in range(size.requests):
            answer = ask(f"{product.url}/v1/chat/completions", product.key, body)
            ends[str(answer["id"]).rpartition("-")[2]] = time.time()
            time.sleep(0.3)

    thread = threading.Thread(target=ask_all)
    thread.start()
    while thread.is_alive():
        page.wait_for_timeout(100)
    page.wait_for_timeout(2000)
    seen: dict[str, float] = page.evaluate("globalThis.seen")
    found.ends = [max(0.0, seen[request] / 1000 - at) for request, at in ends.items() if request in seen]


def _reports(page: Page, fleet: LivelyFleet, found: Found) -> None:
    """From a host's report until its number stands on the host's page."""
    page.goto(f"/nodes/{fleet.nodes[0]}")
    page.get_by_text("Received").first.wait_for(timeout=60_000)
    page.evaluate(_WATCH_REPORTS)
    page.wait_for_timeout(20_000)
    told: dict[str, float] = page.evaluate("globalThis.told")
    found.reports = [told[str(seq)] / 1000 - at for seq, at in fleet.told.items() if str(seq) in told]


def _share(cdp: CDPSession, seconds: float) -> float:
    cdp.send("Performance.enable")
    before, began = _metric(cdp, "TaskDuration"), time.monotonic()
    time.sleep(seconds)
    return (_metric(cdp, "TaskDuration") - before) / (time.monotonic() - began)


def _heap(cdp: CDPSession) -> int:
    cdp.send("HeapProfiler.collectGarbage")
    return int(_metric(cdp, "JSHeapUsedSize"))


def _metric(cdp: CDPSession, name: str) -> float:
    found: dict[str, float] = {each["name"]: each["value"] for each in cdp.send("Performance.getMetrics")["metrics"]}
    return found[name]


def _of(values: list[float], share: float) -> str:
    ordered = sorted(values)
    return f"{ordered[min(len(ordered) - 1, int(len(ordered) * share))]:.2f} s" if ordered else "not seen"


def report(found: Found, size: Size) -> str:
    heap = ", ".join(f"{each / 1e6:.1f}" for each in found.heap)
    return "\n".join(
        [
            f"  script of the first page              {found.script_bytes / 1000:.0f} kB as sent",
            f"  largest contentful paint, throttled 4x {found.paint_ms / 1000:.2f} s",
            f"  idle overview                         {found.idle:.1%} of a core",
            f"  {size.nodes} nodes changing each second       {found.busy:.1%} of a core; heap {heap} MB in {size.seconds:.0f} s",
            f"  a request's end to the list           p50 {_of(found.ends, 0.5)}, p95 {_of(found.ends, 0.95)} ({len(found.ends)} times)",
            f"  a host's report to its page           p50 {_of(found.reports, 0.5)}, p95 {_of(found.reports, 0.95)} ({len(found.reports)} times)",
        ]
    )
