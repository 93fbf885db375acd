"""The simulation keeps its own rules: work is neither lost nor made, and one seed is one run."""

from __future__ import annotations

import pytest

from benchmarks.routing import SETTINGS, WAYS, Size, latencies, report
from benchmarks.simulation import Job, Node, Run, Setting, make_nodes

OURS = WAYS["balanced, as admitted"]
SMALL = Setting(0.8, requests=200, nodes=5)


def node(**changes: object) -> Node:
    given = {"name": "n", "speed": 10.0, "crowding": 0.5, "slots": 2, "load_rate": 1e9, "room": 8e9, "disk": (0, 3)}
    return Node(**{**given, **changes})  # type: ignore[arg-type]


def job(model: int = 0, answer: int = 10) -> Job:
    return Job(0, model, 0, answer, 0.0, 0)


@pytest.mark.parametrize("way", list(WAYS))
@pytest.mark.parametrize("title", list(SETTINGS))
def test_every_request_ends_after_it_came(way: str, title: str) -> None:
    setting = SETTINGS[title]
    small = Setting(0.9, setting.models, setting.gateways, 120, 8)
    for each in Run(small, WAYS[way].make(1), queued=WAYS[way].queued).finish():
        assert each.arrived <= each.begun <= each.loaded <= each.first <= each.ended


def test_one_seed_is_one_run() -> None:
    assert latencies(SMALL, OURS) == latencies(SMALL, OURS)


def test_all_ways_meet_the_same_requests_on_the_same_nodes() -> None:
    one, other = (Run(SMALL, WAYS[way].make(1), queued=False).finish() for way in ("round robin", "random"))
    assert [(a.arrived, a.prompt, a.answer) for a in one] == [(b.arrived, b.prompt, b.answer) for b in other]
    assert make_nodes(SMALL) == make_nodes(SMALL)


def test_a_stream_alone_takes_its_tokens_at_the_nodes_speed() -> None:
    one = node(memory={0: 0.0})
    one.queue.append(job())
    one.start_waiting()
    assert one.next_change() == pytest.approx(1.0 + 0.03)


def test_two_streams_share_and_a_third_waits() -> None:
    one = node(memory={0: 0.0})
    one.queue += [job(), job(), job()]
    one.start_waiting()
    assert (len(one.running), len(one.queue)) == (2, 1)
    assert one.next_change() == pytest.approx(1.5 * (1.0 + 0.03))


def test_a_model_is_loaded_once_nothing_else_needs_its_memory() -> None:
    one = node(memory={0: 0.0})
    one.queue += [job(0), job(3)]
    one.start_waiting()
    assert len(one.running) == 1, "8 GB do not fit beside what runs"
    one.advance(one.next_change())
    one.running.clear()
    one.start_waiting()
    assert set(one.memory) == {3}
    assert one.running[0].loaded == pytest.approx(one.at + 8.5)


def test_the_report_has_a_line_for_each_way(capsys: pytest.CaptureFixture[str]) -> None:
    text = report(Size(requests=30, seeds=1))
    assert all(text.count(f"| {way} |") == len(SETTINGS) for way in WAYS)
    assert capsys.readouterr().out
