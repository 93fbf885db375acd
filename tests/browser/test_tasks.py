"""The seventeen everyday tasks, each done in a real browser from the page that it begins on, with the presses that it takes counted.

`docs/console/tasks.md` tells the counts, and the last test compares. ``OMX_TEST_TASKS=write`` writes the table anew.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from benchmarks.lively_fleet import Kind, LivelyFleet
from benchmarks.product import ask as ask_api
from tests.browser import product as products
from tests.browser.conftest import Watched
from tests.browser.product import NODE, ROOT, SLOTS, Product
from tests.browser.visitor import ask, held, log_in, uses
from tests.fakes.ollama_server import OllamaServer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900), pytest.mark.xdist_group("browser")]

DOCUMENT = ROOT / "docs" / "console" / "tasks.md"
HOT = "berlin-hot"
ADA = "ada@example.com"
SECOND = """
from ollamamax.identity.actions.member import add_member
from ollamamax.identity.actions.tenant import create_tenant
from ollamamax.identity.queries.member import find_user
from ollamamax.kernel.principal import system
acting = system("test")
tenant = create_tenant(acting=acting, slug="second", name="Second organisation")
add_member(acting=acting, tenant=tenant, user=find_user("{email}"), role="owner")
"""
COUNTS = "document.addEventListener('pointerdown', (event) => event.isTrusted && countPress(), true)"


@dataclass
class Desk:
    """One person at one browser, logged in, before one installation."""

    page: Page
    watched: Watched
    product: Product
    model: str
    presses: int = 0
    done: dict[str, int] = field(default_factory=dict)

    def at(self, path: str) -> None:
        self.page.goto(self.product.url + path)
        if path != "/login":
            expect(self.page.get_by_role("status").filter(has_text=re.compile("^Live$"))).to_be_visible()

    def press(self, on: str, name: str | re.Pattern[str], *, within: Locator | None = None) -> None:
        place = self.page if within is None else within
        place.get_by_role(on, name=name, exact=isinstance(name, str)).first.click()  # type: ignore[arg-type]

    def area(self, name: str) -> None:
        self.press("link", name, within=self.page.get_by_role("navigation"))

    @property
    def dialog(self) -> Locator:
        return self.page.get_by_role("dialog")

    def follow(self, name: str, way: Callable[[], None]) -> None:
        """Do the task, and note what it took."""
        before = self.presses
        way()
        self.page.evaluate("1")  # what was pressed until now has been told
        self.done[name] = self.presses - before
        assert self.watched.complaints == []


@pytest.fixture(scope="module")
def ollama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OllamaServer]:
    """An engine with a registry behind it; nothing is asked of its model."""
    file = tmp_path_factory.mktemp("ollama") / "model.gguf"
    file.write_bytes(b"GGUF")
    server = OllamaServer(file, "there-already:latest")
    server.registry["tinyllama:latest"] = 1 << 20
    yield server
    server.stop()


@pytest.fixture(scope="module")
def desk(browser: Browser, product: Product, ollama: OllamaServer) -> Iterator[Desk]:
    """A node whose engine answers, one that pulls, one that is too hot, and a second organisation."""
    url, key = product.url, product.facts["api_key"]
    with ThreadPoolExecutor(1) as beside:
        second = beside.submit(product.manage, "shell", "-c", SECOND.format(email=product.facts["admin_email"]))
        token = ask_api(f"{url}/api/v1/nodes/tokens", key, {"expires_in": 3600, "max_uses": 2})["token"]
        products.join_node(product, token=token)
        products.join_node(product, token=token, name="ollama-1", engine="ollama", engine_url=ollama.url)
        second.result()
    fleet = LivelyFleet(url, key, product.servers[1].url)
    fleet.join([HOT], [Kind(gpus=2, fault="hot")])
    fleet.start()
    context = browser.new_context(base_url=url, viewport={"width": 1440, "height": 1000}, reduced_motion="reduce")
    page = context.new_page()
    desk = Desk(page, Watched(page), product, products.model_of(product))

    def pressed(_: object) -> None:
        desk.presses += 1

    context.expose_binding("countPress", pressed)
    context.add_init_script(COUNTS)
    yield desk
    context.close()
    fleet.close()


def test_log_in(desk: Desk) -> None:
    desk.follow("Log in", lambda: log_in(desk.page, desk.product))


def test_say_whether_all_is_well(desk: Desk) -> None:
    desk.at("/")

    def look() -> None:
        problems = desk.page.locator("section", has=desk.page.get_by_role("heading", name="Problems"))
        expect(problems.get_by_text(HOT).first).to_be_visible()

    desk.follow("Say whether all is well", look)


def test_find_which_node_is_slow_and_why(desk: Desk) -> None:
    desk.at("/")

    def find() -> None:
        expect(desk.page.get_by_text("slows itself down: it is too hot").first).to_be_visible()
        desk.press("link", HOT)
        expect(desk.page.get_by_role("heading", name=HOT).first).to_be_visible()
        expect(desk.page.get_by_text("GPU 0 slows itself down: it is too hot.")).to_be_visible()

    desk.follow("Find which node is slow, and why", find)


def test_see_why_a_request_ran_where_it_did(desk: Desk) -> None:
    ask(desk.product, desk.model).join(60)
    desk.at("/")

    def see() -> None:
        desk.area("Requests")
        desk.press("link", re.compile(re.escape(desk.model)))
        why = desk.page.locator("section", has=desk.page.get_by_role("heading", name="Why there"))
        expect(why).to_contain_text(NODE)

    desk.follow("See why a request ran on that host", see)


def test_make_use_and_revoke_a_key(desk: Desk) -> None:
    desk.at("/")

    def all_three() -> None:
        desk.area("API keys")
        desk.press("button", "Create a key")
        desk.dialog.get_by_label("Name").fill("billing service")
        desk.press("button", "Create", within=desk.dialog)
        secret = desk.dialog.get_by_label("The new API key", exact=True).inner_text()
        assert uses(desk.product, secret)
        desk.press("button", "Done", within=desk.dialog)
        desk.press("button", "Revoke billing service")
        desk.press("button", "Revoke", within=desk.dialog)
        expect(desk.page.get_by_role("row").filter(has_text="billing service")).to_contain_text("revoked")
        assert not uses(desk.product, secret)

    desk.follow("Make, use and revoke a key", all_three)


def test_join_a_node(desk: Desk) -> None:
    desk.at("/")

    def join() -> None:
        desk.area("Nodes")
        desk.press("link", "Join a node")
        desk.page.get_by_label("Name of the node").fill("newcomer")
        desk.press("button", "Make the join command")
        command = desk.page.get_by_label("Join the node", exact=True).inner_text()
        products.join_node(desk.product, token=command.split("--token ")[1].split()[0], name="newcomer")
        expect(desk.page.get_by_text("newcomer is there and reports.")).to_be_visible()

    desk.follow("Join a node", join)


def test_drain_resume_and_remove_a_node(desk: Desk) -> None:
    desk.at("/")

    def all_three() -> None:
        desk.area("Nodes")
        desk.press("link", "newcomer", within=desk.page.get_by_role("table"))
        desk.press("button", "Drain")
        desk.press("button", "Drain", within=desk.dialog)
        expect(desk.page.get_by_text("Drained: it runs nothing.")).to_be_visible()
        desk.press("button", "Take requests again")
        expect(desk.page.get_by_text("Drained: it runs nothing.")).to_be_hidden()
        desk.press("button", "Remove")
        desk.press("button", "Remove the node", within=desk.dialog)
        expect(desk.page).to_have_url(re.compile("/nodes$"))
        expect(desk.page.get_by_role("table").get_by_role("link", name="newcomer", exact=True)).to_have_count(0)

    desk.follow("Drain, resume and remove a node", all_three)
    desk.product.stop("node newcomer")


def test_pull_a_model(desk: Desk, ollama: OllamaServer) -> None:
    desk.at("/")

    def pull() -> None:
        desk.area("Models")
        desk.press("button", "New model")
        desk.dialog.get_by_label("Name").fill("tinyllama")
        desk.press("button", "Pull", within=desk.dialog)
        expect(desk.page.get_by_role("table").get_by_role("link", name=re.compile("tinyllama"))).to_be_visible()

    desk.follow("Pull a model", pull)
    products.until(lambda: "tinyllama:latest" in ollama.models, desk.product)


def test_say_what_an_organisation_used_this_month(desk: Desk) -> None:
    desk.at("/")

    def say() -> None:
        desk.area("Usage")
        expect(desk.page.get_by_label("Totals")).to_contain_text("Requests")
        desk.page.get_by_role("combobox", name="Apart by").click()
        desk.page.get_by_role("option", name="Organisation").click()
        rows = desk.page.get_by_role("table").locator("tbody tr")
        expect(rows.filter(has_text=re.compile("[1-9]")).first).to_be_visible()

    desk.follow("Say what an organisation used this month", say)


def test_see_who_changed_something_yesterday(desk: Desk) -> None:
    desk.at("/")

    def see() -> None:
        desk.area("Audit")
        desk.page.get_by_role("combobox", name="Since").click()
        desk.page.get_by_role("option", name="Yesterday").click()
        desk.press("link", "key.revoke", within=desk.page.get_by_role("table"))
        expect(desk.page.get_by_text(desk.product.facts["admin_email"]).first).to_be_visible()

    desk.follow("See who changed something since yesterday", see)


def test_set_a_limit(desk: Desk) -> None:
    desk.at("/")

    def limit() -> None:
        desk.area("Limits")
        desk.press("button", re.compile("^Change the limits of "))
        desk.dialog.get_by_label("Requests a minute").fill("600")
        desk.press("button", "Save", within=desk.dialog)
        expect(desk.page.get_by_text("of 600").first).to_be_visible()

    desk.follow("Set a limit", limit)


def test_invite_a_colleague(desk: Desk) -> None:
    desk.at("/")

    def invite() -> None:
        desk.area("Members")
        desk.press("button", "Invite somebody")
        desk.dialog.get_by_label("Email address").fill(ADA)
        desk.press("button", "Invite", within=desk.dialog)
        expect(desk.page.get_by_label("Link of the invitation", exact=True)).to_contain_text("/invitation")
        desk.press("button", "Done")
        expect(desk.page.get_by_text(ADA).first).to_be_visible()

    desk.follow("Invite a colleague", invite)


def test_see_the_queue(desk: Desk) -> None:
    with held(desk.product, desk.model, SLOTS + 1):
        desk.at("/")

        def see() -> None:
            desk.area("Queue")
            expect(desk.page.get_by_role("button", name=re.compile(f"^Raise {re.escape(desk.model)}"))).to_have_count(1)

        desk.follow("See the queue", see)


def test_cancel_a_stuck_request(desk: Desk) -> None:
    with held(desk.product, desk.model) as asking:
        desk.at("/")

        def cancel() -> None:
            desk.area("Requests")
            running = desk.page.get_by_label("Running now")
            desk.press("button", re.compile(f"^Cancel {re.escape(desk.model)}"), within=running)
            desk.press("button", "Cancel the request", within=desk.dialog)
            asking.have_ended()

        desk.follow("Cancel a stuck request", cancel)


def test_switch_the_organisation_and_back(desk: Desk) -> None:
    desk.at("/")

    def switch() -> None:
        desk.press("button", re.compile("^Organisation: "))
        desk.press("menuitem", "Second organisation")
        expect(desk.page.get_by_role("button", name="Organisation: Second organisation")).to_be_visible()
        expect(desk.page.get_by_text(NODE)).to_have_count(0)

    desk.follow("Switch to another organisation", switch)
    desk.press("button", re.compile("^Organisation: "))
    desk.page.get_by_role("menuitem").first.click()
    expect(desk.page.get_by_role("button", name="Organisation: Second organisation")).to_have_count(0)


def test_change_the_password(desk: Desk) -> None:
    desk.at("/")
    new = "another fine and long password"

    def change() -> None:
        desk.press("button", re.compile("^Account"))
        desk.press("menuitem", "My account")
        # What the page asks for before the password is another, and is answered after, would be refused.
        desk.page.wait_for_load_state("networkidle")
        desk.page.get_by_label("Current password", exact=True).fill(desk.product.facts["admin_password"])
        desk.page.get_by_label("New password", exact=True).fill(new)
        desk.page.get_by_label("New password, again", exact=True).fill(new)
        desk.press("button", "Change the password")
        expect(desk.page.get_by_text("The password is changed.")).to_be_visible()

    desk.follow("Change the password", change)


def test_log_out(desk: Desk) -> None:
    desk.at("/")

    def leave() -> None:
        desk.press("button", re.compile("^Account"))
        desk.press("menuitem", "Log out")
        expect(desk.page).to_have_url(re.compile("/login$"))

    desk.follow("Log out", leave)


def test_the_document_tells_the_same_tasks_and_counts(desk: Desk) -> None:
    if len(desk.done) < 17:
        pytest.skip("Not all tasks ran.")
    table = "\n".join(
        ["| task | presses |", "|---|---|", *(f"| {name} | {presses} |" for name, presses in desk.done.items())]
    )
    begin, end = "<!-- tasks -->\n", "\n<!-- /tasks -->"
    head, _, rest = DOCUMENT.read_text().partition(begin)
    written, _, tail = rest.partition(end)
    if os.environ.get("OMX_TEST_TASKS") == "write":
        DOCUMENT.write_text(head + begin + table + end + tail)
    else:
        assert written == table
