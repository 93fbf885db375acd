"""Properties of the judge: nothing flaps, nothing absurd stops it, a healthy fleet never alarms, the worst comes first."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.health.memory import HeldSign
from cluster.health.sign import Sign, above
from cluster.health.snapshot import SeenNode
from cluster.health.steady import condition, steady
from ollamamax.contract import Engine, Gpu, Silence, Throttle, decode_vitals
from ollamamax.contract.health import encode_health
from ollamamax.contract.measured import Ended
from tests.contract.samples import NODE
from tests.health.fleet import GIB, TENANT, Looks, ended, node_id, seen

THROTTLED: list[list[Throttle] | None] = [None, [], ["power_limit"]]
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@QUICK
@given(st.lists(st.booleans(), min_size=20, max_size=200), st.floats(0, 30), st.floats(0, 30))
def test_a_finding_changes_no_more_often_than_its_times_allow(there: list[bool], hold: float, clear: float) -> None:
    held: dict[str, HeldSign] = {}
    sign = Sign("x", "warning", "X.", hold=hold, clear=clear)
    now, looked, shown, changes, last_change = 0.0, 0.0, False, 0, -1e9
    for each in there:
        now += 5.0
        found = bool(steady(held, [sign] if each else [], now, looked))
        looked = now
        if found != shown:
            shown, changes = found, changes + 1
            if not found:
                assert now - last_change >= clear, "what was found stays for as long as it takes to clear"
            last_change = now
    assert changes <= len(there) * 5.0 / max(5.0, hold, clear) + 2


@QUICK
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=100))
def test_a_value_around_a_line_does_not_flip(values: list[float]) -> None:
    known: Any = None
    for value in [90 + (value % 3 if value == value and abs(value) < 1e9 else 0) for value in values]:
        now = above(value, 91.0, 99.0, 4.0, known)
        assert not (known is not None and now is None), "within the margin what was bad stays so"
        known = now
    assert above(float("nan"), 1, 2, 1, None) is None


@QUICK
@given(st.data())
def test_no_report_that_a_node_can_write_stops_the_judge(data: st.DataObject) -> None:
    """Numbers at the bounds of what is decoded, in any place, from one look to the next."""
    edge = st.sampled_from([0.0, -1e15, 1e15, 0.5, 99.9, 3e9])
    count = st.sampled_from([0, 1, (1 << 63) - 1, 1 << 40])
    few = st.sampled_from([0, 1, 1_000_000])
    maybe = st.none() | edge
    looks = Looks()
    for _ in range(4):
        gpus = [
            Gpu(
                data.draw(few),
                "x",
                data.draw(maybe),
                data.draw(st.none() | count),
                data.draw(st.none() | count),
                data.draw(maybe),
                data.draw(maybe),
                data.draw(st.none() | count),
                slowdown_celsius=data.draw(maybe),
                throttled=data.draw(st.sampled_from(THROTTLED)),
                xid=data.draw(st.none() | few),
                xid_seconds=data.draw(maybe),
            )
            for _ in range(data.draw(st.integers(0, 3)))
        ]
        node = seen(
            1,
            data.draw(count),
            boot=data.draw(st.sampled_from(["a", "b"])),
            capacity=1,
            running=data.draw(few),
            waiting=data.draw(few),
            tokens_per_second=data.draw(edge),
            memory_used=data.draw(count),
            memory_total=data.draw(count),
            disk_used=data.draw(count),
            disk_total=data.draw(count),
            clock_skew_seconds=data.draw(maybe),
            tokens_total=data.draw(st.none() | count),
            silence=data.draw(st.none() | st.just(Silence(1e15, -1e15, "writing")) | st.just(Silence(0, 0, "loading"))),
            engines=[Engine("ollama", data.draw(st.booleans()), kv_cache_percent=data.draw(maybe))],
            gpus=gpus,
            silent=data.draw(st.booleans()),
        )
        counted = Ended(TENANT, "m:latest", node_id(1), data.draw(few), errors={"x": data.draw(few)})
        counted.written_tokens, counted.written_ms = data.draw(few), data.draw(st.floats(allow_nan=True))
        after = data.draw(st.sampled_from([5.0, 0.0, -3600.0, 86400.0]))
        report = looks.look([node], after=after, ended=[counted], queued={TENANT: data.draw(few)})
        encode_health(report)
        for each in report.nodes.values():
            severities = [("critical", "warning", "notice").index(finding.severity) for finding in each.findings]
            assert severities == sorted(severities), "the worst first"
            assert each.state == condition(each.findings)


@pytest.mark.parametrize("seed", range(2))
def test_a_healthy_fleet_never_alarms(seed: int) -> None:
    """Half an hour of nodes of all kinds whose loads, temperatures and speeds go up and down as they do."""
    rng = random.Random(seed)
    looks = Looks()
    load = 0.5

    def node(number: int, at: float) -> SeenNode:
        running = min(4, int(load * 5 * rng.random()))
        degrees = 45 + 35 * load + rng.uniform(-3, 3)
        return seen(
            number,
            at - rng.choice([0, 0, 0, 1, 2]),
            running=running,
            tokens_total=int(at * 40 * (1 + number)),
            cpu_percent=rng.uniform(0, 100),
            memory_used=int(rng.uniform(0.3, 0.85) * 64 * GIB),
            clock_skew_seconds=rng.gauss(0, 0.3),
            gpus=[
                Gpu(
                    index,
                    "T4",
                    rng.uniform(0, 100),
                    15 * GIB,
                    16 * GIB,
                    degrees,
                    70.0,
                    0,
                    slowdown_celsius=96.0,
                    throttled=rng.choice(THROTTLED[1:]),
                )
                for index in range(number % 3)
            ],
            silence=Silence(rng.expovariate(2), 10.0, "writing", "m") if running else None,
        )

    for _ in range(250):
        load = min(1.0, max(0.0, load + rng.uniform(-0.1, 0.1)))
        count = [
            ended(number, ok=rng.randrange(4), failed=int(rng.random() < 0.01), speed=50.0 * rng.uniform(0.6, 1.4))
            for number in range(6)
        ]
        queued = {TENANT: max(0, int((load - 0.7) * 20))}
        report = looks.look(
            [node(number, looks.now) for number in range(6)], after=rng.uniform(4, 11), ended=count, queued=queued
        )
        assert report.state == "healthy", encode_health(report).decode()


def test_after_a_time_in_which_nobody_looked_nobody_is_dead() -> None:
    """A controller that was away, or a Redis that was: what nodes did meanwhile is not known."""
    looks = Looks()
    looks.last(lambda at: [seen(1, at), seen(2, at)])
    report = looks.look([seen(1, 0, silent=True), seen(2, 0, silent=True)], after=300.0)
    assert (report.state, report.nodes) == ("healthy", {})
    assert looks.last(lambda at: [seen(1, at), seen(2, at)]).state == "healthy"


def test_a_finding_outlives_the_process_that_found_it() -> None:
    """`Looks` passes the memory through its codec at every look: the time of a finding stays that of its first sign."""
    looks = Looks()
    looks.last(lambda at: [seen(1, at)])
    report = looks.last(lambda at: [seen(1, at, silent=True)], 600)
    (finding,) = report.nodes[node_id(1)].findings
    assert 590 <= looks.now - finding.since <= 600
    assert finding.text == "It has said nothing for 10 min."


def test_vitals_are_read_from_the_state_that_a_node_writes() -> None:
    from tests.fakes.state import node_state

    state = node_state(NODE, tokens_total=7, silence=Silence(1.0, 2.0, "reading", "m"))
    vitals = decode_vitals(msgspec.json.encode(state), NODE)
    assert (vitals.tokens_total, vitals.silence, vitals.engines) == (7, state.silence, state.engines)
