"""Whatever tenants, models, nodes and codes there are, or are made up, the series stay few, and the page can be read."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster import fleet_series
from cluster.dispatch.request import Request, Submission
from cluster.fleet_series import SeenFleet
from cluster.health.judge import judge
from cluster.health.memory import Memory
from cluster.health.snapshot import SeenModel, SeenNode, Snapshot
from ollamamax.contract import AttemptRecord, Final, Gpu, Inference
from ollamamax.contract.tables import Registered
from ollamamax.gateway import measuring
from ollamamax.observability import instruments
from ollamamax.observability.exposition import Page
from ollamamax.observability.table import OTHER
from tests.health.fleet import vitals
from tests.observability.scraped import OPENMETRICS, Scraped

MOST = 5
HOSTILE = ('a"b', "a\\", "a\nb", '{x="y"} 1', "# EOF", "", "ü" * 500, "\ud800", "\x00\x7f", "a,b=c", "nan", OTHER)
texts = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=200))


@pytest.fixture(autouse=True)
def few() -> Iterator[None]:
    """As a process that begins with nothing counted, and tells few values apart."""
    kept = (instruments.TENANTS, instruments.MODELS)
    before = [each.most for each in kept]
    for each in kept:
        each.forget()
        each.most = MOST
    yield
    for bound in (measuring._apis, measuring._reasons):
        bound.forget()
    for each, most in zip(kept, before, strict=True):
        each.forget()
        each.most = most


def scrape(accept: str = "text/plain") -> Scraped:
    return Scraped.of(*Page("gateway", "1").render(accept))


def request(tenant: str, model: str, reason: str, codes: list[str]) -> Request:
    asked = Submission(
        tenant=tenant, key="k", model=model, version="v", api="/v1/chat/completions", traceparent="", trace="",
        received_at=time.time() - 1, deadline=time.time() + 9, allowed=10, inference=Inference("chat"),
    )  # fmt: skip
    made = Request.of("r", asked)
    made.admitted_at = made.given_at = made.first_token_at = time.time()
    made.prompt_tokens, made.completion_tokens = 7, 3
    made.route.attempts = [AttemptRecord("n", "n", reason, time.time(), error=code) for code in [*codes, ""]]
    made.final = Final(load_ms=1.0, prompt_ms=2.0, eval_ms=3.0, cached_tokens=1)
    made.end("ok", "", 200)
    return made


@pytest.mark.no_cover
@settings(max_examples=40)
@given(
    st.lists(st.tuples(texts, texts, texts, texts, texts, st.integers(-5, 2000)), min_size=20, max_size=60, unique=True)
)
def test_no_request_makes_more_series_than_the_setting_lets_it(
    asked: list[tuple[str, str, str, str, str, int]],
) -> None:
    for tenant, model, reason, code, api, status in asked:
        measuring.ended(api, tenant, [request(tenant, model, reason, [code])], time.time(), "failed", code, status)
    for accept in ("text/plain", OPENMETRICS):
        page = scrape(accept)
        # The registry is the process's: values of former examples are there, as of a process that went on; within one
        # each bound holds, and what it lets through is counted under `other`.
        assert len(page.values("ollamamax_request_errors_total", "code")) < 60
        assert len(page.values("ollamamax_requests_total", "api")) <= 65
        assert len(page.values("ollamamax_routed_total", "reason")) <= 33
        assert page.values("ollamamax_requests_total", "status") <= {"2xx", "3xx", "4xx", "5xx", OTHER}
    assert len(instruments.TENANTS._known) <= MOST
    assert len(instruments.MODELS._known) <= MOST


def test_what_is_beyond_the_bound_is_counted_as_other() -> None:
    before = scrape()
    for number in range(1000):
        tenant, model = f"{number:032x}", f"model-{number}"
        measuring.ended("/api/chat", tenant, [request(tenant, model, "idle", [])], time.time(), "ok", "", 200)
    after = scrape()
    new = after.values("ollamamax_tenant_requests_total", "tenant") - before.values(
        "ollamamax_tenant_requests_total", "tenant"
    )
    assert len(new - {OTHER}) == MOST
    for name, each in (("ollamamax_tenant_requests_total", 1), ("ollamamax_tokens_total", 11)):
        assert after.sum(name) - before.sum(name) == 1000 * each
    grown = after.sum("ollamamax_tokens_total", model=OTHER) - before.sum("ollamamax_tokens_total", model=OTHER)
    assert grown == (1000 - MOST) * 11


@settings(max_examples=40)
@given(st.lists(st.tuples(texts, texts, texts, texts), min_size=1, max_size=30))
def test_whatever_nodes_are_called_the_fleet_can_be_read_in_both_forms(named: list[tuple[str, str, str, str]]) -> None:
    nodes, models = [], []
    for number, (name, region, gpu, model) in enumerate(named):
        node = f"{number:032x}"
        tenant = f"{number % 9:032x}"
        said = vitals(node, 3, agent_version=region[:50], gpus=[Gpu(0, gpu), Gpu(0, gpu), Gpu(1, gpu)])
        nodes.append(SeenNode(node, Registered(tenant, name, region=region), said if number % 3 else None))
        models.append(SeenModel(tenant, model, "v"))
    snapshot = Snapshot(now=100.0, version="1", nodes=nodes, models=models, queued={f"{n:032x}": 1 for n in range(9)})
    fleet = SeenFleet("", snapshot, judge(snapshot, Memory()))
    for form in (False, True):
        text = fleet_series.write([fleet], 100.0, openmetrics=form).encode()
        page = Scraped.of(text + b"# EOF\n" * form, "openmetrics" if form else "text/plain")
        assert page.values("ollamamax_node_up", "node") == {node.id for node in nodes}
        assert page.sum("ollamamax_nodes") == len(nodes)
        assert len(page.values("ollamamax_tenant_queue_length", "tenant") - {OTHER}) <= MOST
        assert page.sum("ollamamax_queue_length") == 9


def test_a_node_is_told_once_though_every_region_knows_it_and_no_more_when_nobody_looks() -> None:
    node = f"{1:032x}"
    here = SeenNode(node, Registered("t" * 32, "n"), vitals(node, 3))
    there = SeenNode(node, Registered("t" * 32, "n"), None)
    fleets = [
        SeenFleet(region, snapshot, judge(snapshot, Memory()))
        for region, seen in (("eu", there), ("us", here))
        for snapshot in [Snapshot(now=100.0, version="1", nodes=[seen])]
    ]
    page = Scraped.of(fleet_series.write(fleets, 101.0, openmetrics=False).encode())
    assert page.samples["ollamamax_node_up", (("node", node),)] == 1
    assert fleet_series.write(fleets, 200.0, openmetrics=False) == ""
