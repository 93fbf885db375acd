"""What a person does in the browser, and what programs beside it ask of the product meanwhile."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyotp
from playwright.sync_api import Page, expect

from tests.browser.conftest import AXE
from tests.browser.product import Product
from tests.patience import LONG


def log_in(page: Page, product: Product) -> None:
    page.goto("/")
    page.get_by_label("Email address").fill(product.facts["admin_email"])
    page.get_by_label("Password", exact=True).fill(product.facts["admin_password"])
    page.get_by_role("button", name="Log in", exact=True).click()
    expect(page.get_by_role("status").filter(has_text=re.compile("^Live$"))).to_be_visible()


def loaded(page: Page) -> None:
    """Waits until the page's heading is there and nothing of the page is still on its way."""
    expect(page.get_by_role("heading", level=1).first).to_be_visible()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)


def add_factors(page: Page) -> None:
    """Adds an authenticator program and a passkey to the account of who is logged in; the browser is given something that keeps passkeys."""
    keep_passkeys(page)
    page.goto("/account")
    page.get_by_role("button", name="Add an authenticator").click()
    dialog = page.get_by_role("dialog")
    secret = dialog.get_by_label("Secret", exact=True).inner_text().strip()
    dialog.get_by_label("Name", exact=True).fill("Phone")
    dialog.get_by_label("Code", exact=True).fill(pyotp.TOTP(secret).now())
    dialog.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("dialog", name="Recovery codes")).to_be_visible()
    page.get_by_role("dialog").get_by_role("button", name="Done").click()
    add_passkey(page, "Laptop")


def keep_passkeys(page: Page) -> None:
    """Gives the browser something that keeps passkeys, and confirms each time that its person is there and is who they are."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    keeper = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    session.send(
        "WebAuthn.addVirtualAuthenticator",
        {"options": {**keeper, "isUserVerified": True, "automaticPresenceSimulation": True}},
    )


def add_passkey(page: Page, name: str) -> None:
    """On the page of the account, of which there is something that keeps passkeys."""
    page.get_by_role("button", name="Add a passkey").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name", exact=True).fill(name)
    dialog.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("listitem").filter(has_text=name)).to_be_visible()


def ask(product: Product, model: str, *, pace: str = "") -> threading.Thread:
    """A streamed request that takes some seconds, from another program."""
    body = {"model": model, "messages": [{"role": "user", "content": f"Hello {pace}"}], "stream": True}
    request = urllib.request.Request(
        product.url + "/v1/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {product.facts['api_key']}", "Content-Type": "application/json"},
    )

    def read() -> None:
        # One that is cancelled while it waits is answered with an error.
        with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()

    thread = threading.Thread(target=read)
    thread.start()
    return thread


@dataclass
class Held:
    """Streamed requests of other programs that go on until they are let go, however long a check of the page takes."""

    product: Product
    word: str
    asking: list[threading.Thread]

    def let_go(self) -> None:
        engine = self.product.environ["ENGINE_URL"]
        request = urllib.request.Request(engine + "/stub", data=self.word.encode(), method="PUT")
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.status == 204
        self.have_ended()

    def have_ended(self) -> None:
        for each in self.asking:
            each.join(LONG)
            assert not each.is_alive()


@contextlib.contextmanager
def held(product: Product, model: str, count: int = 1) -> Iterator[Held]:
    """``count`` requests that end at the end of the block, or before it by what is yielded."""
    word = secrets.token_hex(8)
    requests = Held(product, word, [ask(product, model, pace=f"every 80 ms until {word}") for _ in range(count)])
    try:
        yield requests
    finally:
        requests.let_go()


def uses(product: Product, key: str) -> bool:
    """Whether the gateway takes the key."""
    request = urllib.request.Request(product.url + "/v1/models", headers={"Authorization": f"Bearer {key}"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        return error.code != 401


COLOURS = ("color-contrast", "link-in-text-block")
"""The rules of axe that the colour scheme decides."""


def violations(page: Page, rules: Sequence[str] = ()) -> list[str]:
    """What axe finds against WCAG 2.2 AA and its own best practices, or against these rules alone, once the page is there and what fades in or out
    is at rest."""
    loaded(page)
    page.evaluate(
        "async () => { await Promise.all(document.getAnimations()"
        ".filter((one) => one.playState === 'running' && one.effect.getComputedTiming().iterations !== Infinity)"
        ".map((one) => one.finished.catch(() => null))) }"
    )
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE.read_text() + "; undefined")
    found: list[str] = page.evaluate(
        "async (options) => (await axe.run(options)).violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target).join(', ')}`)",
        {"resultTypes": ["violations"]} | ({"runOnly": list(rules)} if rules else {}),
    )
    return found


_PAINTED = """() => [...document.querySelectorAll('[role=meter] > span, li[data-phase] [data-open], [data-painted]')]
    .filter((one) => one.getClientRects().length > 0 && one.getBoundingClientRect().width > 1)
    .filter((one) => getComputedStyle(one).backgroundColor === getComputedStyle(one.parentElement).backgroundColor)
    .map((one) => one.outerHTML.slice(0, 120))"""


def unseen_in_forced_colours(page: Page) -> list[str]:
    """What tells something by its painted area alone, and has the colour of what is behind it where the system chooses the colours."""
    page.emulate_media(forced_colors="active")
    found: list[str] = page.evaluate(_PAINTED)
    page.emulate_media(forced_colors="none")
    return found


def moving(page: Page) -> int:
    """How many animations go on for ever; none may, of what asks for reduced motion."""
    found: int = page.evaluate(
        "document.getAnimations().filter((one) => one.playState === 'running' && "
        "one.effect.getComputedTiming().iterations === Infinity).length"
    )
    return found


_TOO_WIDE = """() => {
    const width = document.documentElement.clientWidth
    if (document.documentElement.scrollWidth <= width) return []
    const clipped = (one) => {
        for (let at = one.parentElement; at && at !== document.body; at = at.parentElement)
            if (getComputedStyle(at).overflowX !== 'visible') return true
        return false
    }
    const wide = [...document.body.querySelectorAll('*')]
        .map((one) => [Math.round(one.getBoundingClientRect().right), one])
        .filter(([right, one]) => right > width && !clipped(one))
        .sort(([left], [right]) => right - left)
    return [`${document.documentElement.scrollWidth} > ${width}`,
        ...wide.slice(0, 5).map(([right, one]) => `${right}: ${one.outerHTML.slice(0, 160)}`)]
}"""


def too_wide(page: Page) -> list[str]:
    """What makes the page scroll sideways: its width beside the window's, then the elements that reach furthest to the right."""
    found: list[str] = page.evaluate(_TOO_WIDE)
    return found


_CUT_TABLES = """() => [...document.querySelectorAll('table')].flatMap((table) => {
    let box = table.parentElement
    while (box && getComputedStyle(box).overflowX === 'visible') box = box.parentElement
    if (!box || box.scrollWidth <= box.clientWidth) return []
    return [`${box.getAttribute('aria-label') ?? table.outerHTML.slice(0, 160)}: ${box.scrollWidth} > ${box.clientWidth}`]
})"""


def cut_tables(page: Page) -> list[str]:
    """Tables that are wider than the box in which they scroll: by their names, with both widths in pixels."""
    found: list[str] = page.evaluate(_CUT_TABLES)
    return found
