"""The console in a real browser, against the whole product. One story, told in order: each test goes on from the last."""

from __future__ import annotations

import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
import redis
from playwright.sync_api import Browser, expect

from ollamamax.bus import keys
from ollamamax.contract import AttemptRecord, Route, ScoredNode, UsageRecord, encode_json
from ollamamax.kernel.ids import new_id
from tests.browser import product as products
from tests.browser.conftest import Watched
from tests.browser.pages import PAGES
from tests.browser.product import NODE, SLOTS, Product
from tests.browser.visitor import (
    COLOURS,
    cut_tables,
    held,
    loaded,
    moving,
    too_wide,
    unseen_in_forced_colours,
    violations,
)
from tests.browser.visitor import log_in as _log_in
from tests.browser.visitor import uses as _uses

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900), pytest.mark.xdist_group("browser")]

SHOTS = os.environ.get("OMX_TEST_SCREENSHOTS", "")
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SIZES = ((1440, 900), (390, 900), (768, 900), (2560, 1300), (720, 450))
"""The last is what is left of the first where the page is zoomed to 200 %."""
READ = (1440, 390)
"""The widths at which axe reads the page."""


def test_a_wrong_password_is_refused_in_words(watched: Watched, product: Product) -> None:
    page = watched.page
    page.goto("/keys")
    expect(page).to_have_url(re.compile(r"/login\?next=%2Fkeys$"))
    page.get_by_label("Email address").fill(product.facts["admin_email"])
    page.get_by_label("Password", exact=True).fill("not the password")
    page.get_by_role("button", name="Log in", exact=True).click()
    expect(page.get_by_role("alert")).to_have_text("The email address or the password is wrong.")
    assert violations(page) == []
    # Chromium itself reports the 401; nothing else may be there.
    assert [line for line in watched.complaints if "401" not in line] == []


def test_without_nodes_the_page_says_how_to_join_one(watched: Watched, product: Product) -> None:
    page = watched.page
    _log_in(page, product)
    expect(page.get_by_text("No node has joined yet")).to_be_visible()
    expect(page.get_by_text(f"ollamamax-node join {product.url}")).to_be_visible()
    expect(page.get_by_text("No request yet")).to_be_visible()
    expect(page.get_by_text("No data yet").first).to_be_visible()
    steps = page.get_by_role("region", name="First steps").get_by_role("listitem")
    expect(steps.filter(has_text="Join a node")).to_contain_text("(open)")
    # The installation's first start made one.
    expect(steps.filter(has_text="Make an API key")).to_contain_text("(done)")
    expect(steps.filter(has_text="Get the first answer")).to_contain_text("(open)")
    assert violations(page) == []
    assert watched.complaints == []


def test_a_node_and_a_request_appear_live(watched: Watched, product: Product) -> None:
    page = watched.page
    _log_in(page, product)
    page.get_by_role("link", name="Join a node", exact=True).click()
    page.get_by_label("Name of the node").fill(NODE)
    page.get_by_role("button", name="Make the join command").click()
    command = page.get_by_label("Join the node", exact=True)
    expect(command).to_contain_text(f"ollamamax-node join {product.url}")
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / "join.png")
    assert violations(page) == []
    products.join_node(product, token=command.inner_text().split("--token ")[1].split()[0])
    expect(page.get_by_text(f"{NODE} is there and reports.")).to_be_visible()
    page.get_by_role("link", name="Show it").click()
    node = page.get_by_role("article", name=NODE)
    expect(page.get_by_text("Healthy", exact=True).first).to_be_visible()
    expect(node.get_by_role("meter", name="Memory")).to_be_visible()
    expect(page.get_by_text("It runs no request of yours.")).to_be_visible()
    page.get_by_role("link", name="Overview").first.click()
    expect(page.get_by_text("All is well")).to_be_visible()
    expect(page.get_by_role("link", name=f"{NODE}: Healthy")).to_be_visible()

    model = products.model_of(product)
    with held(product, model):
        expect(page.get_by_label("Table of the requests running now").get_by_text(model)).to_be_visible()
    row = page.get_by_label("Table of the last requests").get_by_role("row").nth(1)
    expect(row).to_contain_text(model)
    expect(row).to_contain_text(NODE)
    expect(row).to_contain_text("/v1/chat/completions")
    expect(row.locator('[data-label="Tokens out"]')).to_have_text(re.compile(r"^\d+$"))
    expect(row).to_contain_text("ok")
    expect(page.get_by_text("No request is running.")).to_be_visible()
    guide = page.get_by_role("region", name="All is set up")
    expect(guide.get_by_text("(done)")).to_have_count(4)
    assert violations(page) == []
    guide.get_by_role("button", name="Put away").click()
    expect(guide).to_be_hidden()
    assert watched.complaints == []


def test_a_request_that_waits_is_shown_and_its_way_is_told_to_the_end(watched: Watched, product: Product) -> None:
    page = watched.page
    _log_in(page, product)
    expect(page.get_by_text("No request is waiting.")).to_be_visible()
    model = products.model_of(product)
    with held(product, model, SLOTS + 2):
        waiting = page.get_by_label("Table of the requests that wait")
        rows = waiting.locator("tbody tr")
        expect(rows).to_have_count(2)
        expect(rows.locator('[data-label="Place in line"]')).to_have_text(["1", "2"])
        expect(rows.first).to_contain_text("normal")
        expect(page.get_by_label("Totals now")).to_contain_text("Requests waiting2")
        assert violations(page) == []

        rows.nth(1).click()
        expect(page).to_have_url(re.compile(r"/requests/[0-9a-f]{32}$"))
        request = page.url.rpartition("/")[2]
        expect(page.get_by_role("heading", name=model)).to_be_visible()
        expect(page.get_by_text("Place in line")).to_be_visible()
        expect(page.get_by_text(f"It waits for a free slot; {NODE} was full.")).to_be_visible()
        assert violations(page) == []
    tries = page.get_by_label("Table of the tries").locator("tbody tr")
    expect(tries).to_have_count(1)
    expect(tries).to_contain_text(NODE)
    expect(tries).to_contain_text("its answer")
    candidates = page.get_by_label("Table of the candidates").locator("tbody tr")
    expect(candidates).to_have_count(1)
    expect(candidates).to_contain_text("given it")
    times = page.get_by_label("Times and tokens")
    expect(times).to_contain_text("in line")
    expect(times).to_contain_text(re.compile(r"Tokens out\d"))
    assert violations(page) == []

    expect(page.get_by_text(f"{NODE} had the first free slot.")).to_be_visible()
    page.get_by_role("link", name="Overview").first.click()
    expect(page.get_by_text("No request is waiting.")).to_be_visible()
    page.get_by_role("link", name=f"{model}, request {request[-8:]}").click()
    expect(page).to_have_url(re.compile(f"/requests/{request}$"))
    assert watched.complaints == []


def test_a_request_that_had_to_be_tried_again_tells_every_try_and_every_node(
    watched: Watched, product: Product, tmp_path: Path
) -> None:
    nodes = {name: f"{number:032x}" for number, name in enumerate(("berlin-1", "berlin-2", "paris-1"), 1)}
    at = time.time() - 5
    record = UsageRecord(
        request=new_id(),
        tenant=product.get("/api/v1/tenant")["id"].replace("-", ""),
        key=new_id(),
        model="told-elsewhere",
        version="sha256:" + "0" * 64,
        node=nodes["berlin-2"],
        node_name="berlin-2",
        api="/v1/chat/completions",
        trace="0" * 32,
        received_at=at,
        prompt_tokens=7,
        completion_tokens=32,
        queue_ms=12.0,
        first_token_ms=None,
        duration_ms=2345.0,
        outcome="ok",
        attempts=2,
        route=Route(
            strategy="balanced",
            candidates=[
                ScoredNode(
                    nodes["berlin-2"], "berlin-2", "region", 0.5, {"loaded": 1.0, "wait_ms": 0.0, "region": 1.0}
                ),
                ScoredNode(
                    nodes["paris-1"], "paris-1", "last", 0.25, {"loaded": 0.0, "load_ms": 2500.0, "region": 0.0}
                ),
            ],
            ruled_out={"berlin-1": "tried", "oslo-1": "memory"},
            attempts=[
                AttemptRecord(nodes["berlin-1"], "berlin-1", "idle", at + 0.1, at + 0.2, "node_lost"),
                AttemptRecord(nodes["berlin-2"], "berlin-2", "region", at + 1.1, at + 1.2),
            ],
        ),
    )
    with redis.Redis.from_url(product.servers[1].url) as bus:
        bus.xadd(keys.USAGE, {"r": encode_json(record)})
    page = watched.page
    _log_in(page, product)
    products.until(lambda: product.answers(f"/api/v1/requests/{record.request}", key=True), product)
    page.goto(f"/requests/{record.request}")

    tries = page.get_by_label("Table of the tries").locator("tbody tr")
    expect(tries).to_have_count(2)
    expect(tries.nth(0)).to_contain_text("berlin-1more room")
    expect(tries.nth(0)).to_contain_text("node_lost")
    expect(tries.nth(1)).to_contain_text("berlin-2in the gateway's region")
    expect(tries.nth(1)).to_contain_text("its answer")
    candidates = page.get_by_label("Table of the candidates").locator("tbody tr")
    expect(candidates).to_have_count(2)
    expect(candidates.nth(0)).to_contain_text("given it")
    expect(candidates.nth(1)).to_contain_text("paris-1")
    expect(candidates.nth(1).locator('[data-label="Load"]')).to_have_text("2.50 s")
    # What was told of one candidate only is missing for the other, and not 0.
    expect(candidates.nth(0).locator('[data-label="Load"]')).to_have_text("no data")
    ruled_out = page.locator("dl", has_text="oslo-1")
    expect(ruled_out).to_contain_text("It failed with this request.")
    expect(ruled_out).to_contain_text("The model does not fit into its memory.")
    expect(page.get_by_label("Times and tokens")).to_contain_text("no data")
    for scheme in SCHEMES:
        for width in READ:
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.set_viewport_size({"width": width, "height": 900})
            page.screenshot(path=Path(SHOTS or tmp_path) / f"tries-{scheme}-{width}.png", full_page=True)
            assert violations(page) == []
            assert too_wide(page) == []
    assert watched.complaints == []


def test_a_stuck_request_is_found_and_cancelled(watched: Watched, product: Product) -> None:
    page = watched.page
    _log_in(page, product)
    model = products.model_of(product)
    with held(product, model) as asking:
        page.get_by_role("link", name="Requests", exact=True).click()
        # The overview has a part of the same name.
        expect(page.get_by_role("heading", name="Requests", level=1)).to_be_visible()
        running = page.get_by_label("Running now")
        expect(running.get_by_text(model)).to_be_visible()
        assert violations(page) == []
        running.get_by_role("button", name=re.compile(f"^Cancel {re.escape(model)}")).click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel the request").click()
        asking.have_ended()
    expect(page.get_by_text("request_cancelled").first).to_be_visible()
    page.get_by_role("link", name=model).first.click()
    expect(page.get_by_text(f"Cancelled by {product.facts['admin_email']}.")).to_be_visible()
    expect(page.get_by_role("heading", name="Timeline")).to_be_visible()
    assert violations(page) == []
    assert watched.complaints == []


def test_the_queue_is_seen_and_a_request_in_it_is_raised_and_cancelled(watched: Watched, product: Product) -> None:
    page = watched.page
    _log_in(page, product)
    model = products.model_of(product)
    with held(product, model, SLOTS + 2):
        page.get_by_role("link", name="Queue", exact=True).click()
        raising = page.get_by_role("button", name=re.compile(f"^Raise {re.escape(model)}"))
        expect(raising).to_have_count(2)
        expect(page.get_by_text(NODE).first).to_be_visible()
        assert violations(page) == []
        raising.last.click()
        expect(page.get_by_text("The request now has the priority high.")).to_be_visible()
        page.get_by_role("button", name=re.compile(f"^Cancel {re.escape(model)}")).first.click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel the request").click()
        expect(raising).to_have_count(1)
    expect(page.get_by_text("Nobody waits")).to_be_visible()
    assert watched.complaints == []


def test_what_was_used_this_month_is_told_and_taken_as_a_file(watched: Watched, product: Product) -> None:
    page = watched.page
    _log_in(page, product)
    model = products.model_of(product)
    page.get_by_role("link", name="Usage", exact=True).click()
    expect(page.get_by_text(model).first).to_be_visible()
    expect(page.get_by_label("Totals")).to_contain_text("Requests")
    assert violations(page) == []
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as CSV").click()
    assert model in Path(download.value.path()).read_text()
    assert watched.complaints == []


def test_a_request_that_is_not_there_is_said_so(watched: Watched, product: Product) -> None:
    page = watched.page
    _log_in(page, product)
    page.goto("/requests/" + "0" * 32)
    expect(page.get_by_role("alert")).to_have_text("There is no such request.")
    assert violations(page) == []
    # Chromium itself reports the 404; nothing else may be there.
    assert [line for line in watched.complaints if "404" not in line] == []


def test_a_node_is_drained_resumed_and_removed(watched: Watched, product: Product) -> None:
    page = watched.page
    _log_in(page, product)
    page.get_by_role("link", name="Nodes", exact=True).click()
    page.get_by_role("link", name=NODE, exact=True).first.click()
    expect(page.get_by_role("button", name="Drain")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Drain").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("No new requests come.")
    assert violations(page) == []
    dialog.get_by_role("button", name="Drain").click()
    expect(page.get_by_text("Drained: it runs nothing.")).to_be_visible()
    page.get_by_role("button", name="Take requests again").click()
    expect(page.get_by_text("Drained: it runs nothing.")).to_be_hidden()
    page.get_by_role("button", name="Remove").click()
    expect(dialog).to_contain_text("Its credentials stop working at once")
    dialog.get_by_role("button", name="Cancel").click()
    assert watched.complaints == []


def test_it_reconnects_by_itself_and_says_meanwhile_that_it_is_stale(watched: Watched, product: Product) -> None:
    page = watched.page
    _log_in(page, product)
    expect(page.get_by_role("link", name=re.compile(NODE)).first).to_be_visible()
    product.stop("web")
    expect(page.get_by_role("status").filter(has_text="Reconnecting")).to_be_visible()
    expect(page.get_by_role("link", name=re.compile(NODE)).first).to_be_visible()
    expect(page.get_by_text(re.compile("last data .* ago"))).to_be_visible()
    product.web()
    expect(page.get_by_role("status").filter(has_text=re.compile("^Live$"))).to_be_visible()


def test_it_says_that_data_is_stale_while_nothing_publishes_it(watched: Watched, product: Product) -> None:
    page = watched.page
    _log_in(page, product)
    product.stop("controller")
    expect(page.get_by_role("status").filter(has_text="Stale")).to_be_visible()
    product.start("controller", "manage.py", "controller")
    expect(page.get_by_role("status").filter(has_text=re.compile("^Live$"))).to_be_visible()
    assert watched.complaints == []


def test_a_key_is_made_shown_once_used_and_revoked(watched: Watched, product: Product) -> None:
    page = watched.page
    _log_in(page, product)
    page.get_by_role("link", name="API keys").click()
    page.get_by_role("button", name="Create a key").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("a test's key")
    dialog.get_by_label("Requests a minute").fill("60")
    assert violations(page) == []
    dialog.get_by_role("button", name="Create", exact=True).click()
    secret = dialog.get_by_label("The new API key", exact=True).inner_text()
    assert secret.startswith("omx_")
    assert violations(page) == []
    # What is shown this once is not lost by a key that closes dialogs.
    page.keyboard.press("Escape")
    expect(dialog.get_by_label("The new API key", exact=True)).to_have_text(secret)
    assert _uses(product, secret)
    dialog.get_by_role("button", name="Done").click()
    row = page.get_by_role("row").filter(has_text="a test's key")
    expect(row).to_contain_text("active")
    expect(row).to_contain_text("60 requests/min")
    assert secret not in page.content()

    page.get_by_role("button", name="Actions for a test's key").click()
    page.get_by_role("menuitem", name="Rotate").click()
    dialog.get_by_role("button", name="Rotate").click()
    rotated = dialog.get_by_label("The key's new secret", exact=True).inner_text()
    assert violations(page) == []
    dialog.get_by_role("button", name="Done").click()
    assert _uses(product, secret)
    assert _uses(product, rotated)

    page.get_by_role("button", name="Revoke a test's key").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(row).to_contain_text("revoked")
    assert not _uses(product, secret)
    assert not _uses(product, rotated)
    assert watched.complaints == []


def test_logging_out_in_one_tab_ends_the_live_page_of_the_other(watched: Watched, product: Product) -> None:
    page = watched.page
    _log_in(page, product)
    other = page.context.new_page()
    other.goto("/")
    other.get_by_role("button", name=re.compile("^Account")).click()
    other.get_by_role("menuitem", name="Log out").click()
    expect(other).to_have_url(re.compile("/login$"))
    expect(page).to_have_url(re.compile("/login$"))
    assert watched.complaints == []


def test_the_files_of_the_build_are_compressed_and_kept_for_good_and_the_page_is_not(product: Product) -> None:
    with urllib.request.urlopen(urllib.request.Request(product.url + "/", headers={"Accept": "text/html"})) as answer:
        page = answer.read().decode()
        assert answer.headers["Cache-Control"] == "no-store"
        assert "'unsafe" not in answer.headers["Content-Security-Policy"]
    files = re.findall(r"/static/console/assets/[^\"]+", page)
    assert {file.rpartition(".")[2] for file in files} == {"js", "css"}
    for file in files:
        for encoding in ("gzip", "br"):
            asked = urllib.request.Request(product.url + file, headers={"Accept-Encoding": encoding})
            with urllib.request.urlopen(asked) as answer:
                # What grows by it, as a file of a few bytes, is sent as it is.
                assert answer.headers["Content-Encoding"] == encoding or int(answer.headers["Content-Length"]) < 1000
                assert "immutable" in answer.headers["Cache-Control"]


def test_a_webhook_is_made_and_its_log_shows_what_came_of_a_test_event(watched: Watched, product: Product) -> None:
    page = watched.page
    _log_in(page, product)
    page.get_by_role("link", name="Webhooks", exact=True).click()
    expect(page.get_by_text("No webhook yet")).to_be_visible()
    page.get_by_role("button", name="Create a webhook").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Address").fill("https://10.0.0.1/hook")
    dialog.get_by_label("Events", exact=True).first.click()
    page.get_by_role("option", name="key.*").click()
    page.keyboard.press("Escape")
    dialog.get_by_role("button", name="Create", exact=True).click()
    expect(dialog.get_by_text("not a public one")).to_be_visible()
    dialog.get_by_label("Address").fill("https://hooks.invalid/omx")
    dialog.get_by_role("button", name="Create", exact=True).click()
    expect(page.get_by_label("Signing secret", exact=True)).to_contain_text("whsec_")
    assert violations(page) == []
    page.get_by_role("button", name="Done").click()
    page.get_by_role("link", name="https://hooks.invalid/omx").click()
    page.get_by_role("button", name="Send a test event").click()
    expect(page.get_by_text("It could not be reached").first).to_be_visible()
    page.get_by_role("button", name="Show the delivery of webhook.test").click()
    expect(page.get_by_label("Body")).to_contain_text("A test event, asked for by")
    assert violations(page) == []
    assert [line for line in watched.complaints if "400" not in line] == []


def test_somebody_is_invited_and_comes_in_by_the_link(watched: Watched, product: Product, browser: Browser) -> None:
    page = watched.page
    _log_in(page, product)
    page.get_by_role("link", name="Members", exact=True).click()
    page.get_by_role("button", name="Invite somebody").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Email address").fill("ada@example.com")
    expect(dialog.get_by_text("sends no mail")).to_be_visible()
    dialog.get_by_role("button", name="Invite", exact=True).click()
    link = page.get_by_label("Link of the invitation", exact=True).inner_text().strip()
    page.get_by_role("button", name="Done").click()
    context = browser.new_context()
    hers = Watched(context.new_page())
    hers.page.goto(link)
    expect(hers.page.get_by_role("heading", name="Join")).to_be_visible()
    assert violations(hers.page) == []
    hers.page.get_by_label("Your name").fill("Ada Lovelace")
    hers.page.get_by_label("New password", exact=True).fill("a fine and long password")
    hers.page.get_by_role("button", name="Accept the invitation").click()
    expect(hers.page.get_by_role("link", name="Overview").first).to_be_visible()
    assert hers.complaints == []
    context.close()
    page.reload()
    expect(page.get_by_role("row").filter(has_text="ada@example.com").first).to_contain_text("Ada Lovelace")
    expect(page.get_by_text("Accepted")).to_be_visible()
    assert violations(page) == []
    assert watched.complaints == []


def test_a_role_a_team_and_a_program_are_made_and_it_is_told_what_the_program_may_and_why(
    watched: Watched, product: Product
) -> None:
    page = watched.page
    _log_in(page, product)
    page.get_by_role("link", name="Roles", exact=True).click()
    page.get_by_role("button", name="New role").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name", exact=True).fill("Night shift")
    dialog.get_by_label("What it permits").click()
    page.get_by_role("option", name="See usage").click()
    page.keyboard.press("Tab")  # closes the list
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_role("row").filter(has_text="Night shift")).to_contain_text("See usage")

    page.get_by_role("link", name="Service accounts", exact=True).click()
    page.get_by_role("button", name="New service account").first.click()
    dialog.get_by_label("Name", exact=True).fill("robot")
    dialog.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="robot").click()
    page.get_by_role("button", name="New key").click()
    dialog.get_by_role("button", name="Create").click()
    secret = page.get_by_label("Key", exact=True).inner_text().strip()
    page.get_by_role("button", name="Done").click()
    assert _uses(product, secret)
    expect(page.get_by_role("row").filter(has_text="omx_")).to_contain_text("Active")

    page.get_by_role("link", name="Teams", exact=True).click()
    page.get_by_role("button", name="New team").first.click()
    dialog.get_by_label("Name", exact=True).fill("Nights")
    dialog.get_by_label("Role", exact=True).click()
    page.get_by_role("option", name="Night shift").click()
    dialog.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="Nights").click()
    page.get_by_role("button", name="Add a member").click()
    dialog.get_by_label("Member", exact=True).click()
    page.get_by_role("option", name="robot").click()
    dialog.get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("link", name="robot").click()
    expect(page.get_by_role("row").filter(has_text="Team nights, role night-shift")).to_contain_text("See usage")

    page.get_by_role("link", name="Access", exact=True).click()
    expect(page.get_by_role("row").filter(has_text="robot").first).to_contain_text("Role member")
    assert violations(page) == []
    assert watched.complaints == []


@dataclass
class Furnished:
    """A page of somebody who is logged in, with the addresses of what is there once others ask and wait."""

    watched: Watched
    addresses: dict[str, str]


ONE_OF = {
    "team": ("/teams/", "/api/v1/teams"),
    "service-account": ("/service-accounts/", "/api/v1/service-accounts"),
    "member-access": ("/access/members/", "/api/v1/members"),
    "model": ("/models/", "/api/v1/models"),
    "webhook": ("/webhooks/", "/api/v1/webhooks"),
}


@pytest.fixture(scope="module")
def furnished(browser: Browser, product: Product) -> Iterator[Furnished]:
    context = browser.new_context(base_url=product.url, reduced_motion="reduce")
    watched = Watched(context.new_page())
    page = watched.page
    _log_in(page, product)
    with held(product, products.model_of(product), SLOTS + 2):
        waits = page.get_by_label("Table of the requests that wait").get_by_role("link").first
        waits.wait_for()
        ended = page.get_by_label("Table of the last requests").get_by_role("link").first
        addresses = {"waits": str(waits.get_attribute("href")), "request": str(ended.get_attribute("href"))}
        for name, (address, listed) in ONE_OF.items():
            addresses[name] = address + str(product.get(listed)["results"][0]["id"])
        yield Furnished(watched, PAGES | addresses)
    context.close()


@pytest.mark.parametrize("name", [*PAGES, "waits", "request", *ONE_OF])
def test_a_page_is_accessible_in_every_width_and_scheme(name: str, furnished: Furnished) -> None:
    """`make pages` reads each by all of axe's rules in both schemes; here the rules that colours decide are read in the second one, where it is wide.

    Set OMX_TEST_SCREENSHOTS to a folder to keep what it looked like."""
    page, address = furnished.watched.page, furnished.addresses[name]
    page.set_viewport_size({"width": READ[0], "height": 900})
    page.goto(address)
    expect(page.get_by_role("status").filter(has_text=re.compile("^Live$"))).to_be_visible()
    loaded(page)
    if address.startswith("/requests/"):
        expect(page.get_by_role("heading", name=re.compile("Route|Candidates"))).to_be_visible()
    if name in {"queue", "requests", "usage"}:
        expect(page.get_by_text(re.compile(r"^\d+ rows?")).first).to_be_visible()
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        for scheme in SCHEMES if SHOTS or width == READ[0] else SCHEMES[:1]:
            page.emulate_media(color_scheme=scheme)
            if SHOTS:
                page.screenshot(path=Path(SHOTS) / f"{name}-{scheme}-{width}.png", full_page=True)
            if width in READ:
                assert violations(page, () if scheme == SCHEMES[0] else COLOURS) == [], (width, scheme)
        assert too_wide(page) == [], width
        if width == READ[0]:
            assert cut_tables(page) == []
    assert moving(page) == 0
    assert unseen_in_forced_colours(page) == []
    complaints, furnished.watched.complaints = furnished.watched.complaints, []
    assert complaints == []
