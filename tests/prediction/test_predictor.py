"""What is predicted of nodes by their readings: the disk that fills, and nothing of who says nothing; a node that lies moves its own prediction alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from cluster.health.judge import judge
from cluster.health.memory import Memory
from cluster.health.sign import Sign
from cluster.health.snapshot import SeenNode, Snapshot
from cluster.prediction.predictor import NEVER_READ, Predictor
from cluster.prediction.reading import MOST_GPUS, MOST_MODELS
from cluster.prediction.series import EVERY, MOST_READINGS, NodeSeries
from ollamamax.contract import Gpu
from ollamamax.contract.measured import Ended
from tests.health.fleet import GIB, TENANT, node_id, seen

START = 1_000_000.0
Nodes = Callable[[int], Sequence[SeenNode]]


class Watch:
    def __init__(self) -> None:
        self.predictor = Predictor()
        self.minute = 0
        self.signs: Mapping[str, list[Sign]] = {}

    def last(self, minutes: int, nodes: Nodes, ended: Sequence[Ended] = ()) -> Mapping[str, list[Sign]]:
        for _ in range(minutes):
            self.minute += 1
            now = START + EVERY * self.minute
            self.signs = self.predictor.look(Snapshot(now, "", nodes(self.minute), ended=ended))
        return self.signs


def disk(minute: int, gib_a_minute: float, most: float = 490) -> int:
    return int(min(most, 200 + gib_a_minute * minute) * GIB)


def warm(minute: int, number: int, more: float = 0.0) -> Gpu:
    """A card under a load that goes up and down, which is ``more`` degrees warmer than its power explains."""
    watts = 300.0 + 150 * ((minute * 7 + number * 3) % 10) / 10
    return Gpu(0, "NVIDIA H100", None, 8 * GIB, 80 * GIB, 25 + 0.1 * watts + more, watts, slowdown_celsius=90.0)


def test_a_disk_that_fills_is_told_with_the_time_left_and_the_reasons_until_it_is_freed() -> None:
    watch = Watch()
    found = watch.last(60, lambda minute: [seen(1, minute, disk_used=disk(minute, 4))])
    [told] = found[node_id(1)]
    assert (told.code, told.severity) == ("predicted_disk_full", "warning")
    assert 5 <= told.values["within_minutes"] <= 60  # type: ignore[operator]
    assert told.values["percent_an_hour"] == pytest.approx(48, abs=3)
    assert "likely to be full within" in told.text
    assert watch.last(40, lambda minute: [seen(1, minute, disk_used=100 * GIB)])[node_id(1)] == []


@pytest.mark.parametrize(
    "used",
    [
        lambda minute: 200 * GIB,
        lambda minute: disk(minute, 0.05),
        lambda minute: (200 + 60 * (minute > 30)) * GIB,
        lambda minute: (200 + minute % 40) * GIB,
    ],
    ids=["constant", "slowly", "a model that was fetched", "logs that are rotated"],
)
def test_what_only_looks_like_a_disk_that_fills_is_not_told(used: Callable[[int], int]) -> None:
    watch = Watch()
    for _ in range(120):
        assert watch.last(1, lambda minute: [seen(1, minute, disk_used=used(minute))]).get(node_id(1), []) == []


def test_of_a_node_that_says_nothing_nothing_is_predicted_and_what_was_goes() -> None:
    watch = Watch()
    assert (
        watch.last(60, lambda minute: [seen(1, minute, disk_used=disk(minute, 4)), seen(2, minute, silent=True)]) != {}
    )
    assert [bool(watch.signs[node_id(number)]) for number in (1, 2)] == [True, False]
    gone = watch.last(10, lambda minute: [seen(1, minute, silent=True), seen(2, minute, silent=True)])
    assert gone[node_id(1)] == []
    fresh = Watch()
    assert fresh.last(5, lambda minute: [seen(1, minute, silent=True)]) == {}, "it is not said to be well, either"
    assert fresh.last(int(NEVER_READ / EVERY) + 2, lambda minute: [seen(1, minute, silent=True)]) == {node_id(1): []}


def test_after_a_restart_what_was_predicted_stands_until_enough_is_known_again() -> None:
    watch, memory = Watch(), Memory()
    nodes = [seen(1, 1, disk_used=200 * GIB)]
    signs = watch.last(60, lambda minute: [seen(1, minute, disk_used=disk(minute, 4))])

    def codes(predicted: Mapping[str, list[Sign]], at: float) -> set[str]:
        report = judge(Snapshot(at, "0.2.0", nodes), memory, predicted)[TENANT]
        found = report.nodes.get(node_id(1))
        return set() if found is None else {each.code for each in found.findings}

    assert "predicted_disk_full" in codes(signs, START)
    assert "predicted_disk_full" in codes(Watch().last(2, lambda minute: nodes), START + 5)
    assert "predicted_disk_full" not in codes(Watch().last(30, lambda minute: nodes), START + 10)


def test_a_card_whose_cooling_fails_is_told_apart_from_a_hot_day() -> None:
    watch, fails = Watch(), 240

    def nodes(minute: int) -> list[SeenNode]:
        day = min(12.0, max(0, minute - fails) * 0.2)
        own = max(0, minute - fails) * 0.35
        return [
            seen(number, minute, gpus=[warm(minute, number, day + (own if number == 1 else 0))])
            for number in range(1, 6)
        ]

    found = watch.last(fails + 60, nodes)
    assert [each.code for each in found[node_id(1)]] == ["predicted_gpu_hot"]
    assert [found[node_id(number)] for number in range(2, 6)] == [[], [], [], []]


def test_a_node_that_lies_moves_its_own_prediction_alone() -> None:
    lies: list[Callable[[int], dict[str, Any]]] = [
        lambda minute: {
            "gpus": [Gpu(0, "NVIDIA H100", None, 0, 1, 1e11 * (minute % 2), 1e-9, ecc_corrected=10**12 * (minute % 3))]
        },
        lambda minute: {"disk_used": minute * 10**15, "disk_total": 10**15, "memory_used": 10**17, "memory_total": 1},
        lambda minute: {"clock_skew_seconds": (-1e11) ** (minute % 4), "gpus": [warm(minute, 1, -minute * 3.0)]},
    ]

    def nodes(liars: bool) -> Nodes:
        def made(minute: int) -> list[SeenNode]:
            honest = [
                seen(number, minute, gpus=[warm(minute, number, max(0, minute - 200) * 0.4 * (number == 1))])
                for number in range(1, 6)
            ]
            return honest + [seen(6 + each, minute, **lie(minute)) for each, lie in enumerate(lies) if liars]

        return made

    alone, among = Watch(), Watch()
    for _ in range(25):
        alone.last(10, nodes(False))
        among.last(10, nodes(True))
        for number in range(1, 6):
            found, wanted = among.signs.get(node_id(number), []), alone.signs.get(node_id(number), [])
            assert [each.code for each in found] == [each.code for each in wanted]
    assert [each.code for each in among.signs[node_id(1)]] == ["predicted_gpu_hot"]


def test_what_is_kept_of_a_node_is_bounded_whatever_it_says() -> None:
    watch = Watch()
    cards = [Gpu(index, "NVIDIA H100", None, 1, 2, 60.0, 300.0) for index in range(256)]
    many = [
        Ended(TENANT, f"m{number}", node_id(1), ok=1, written_tokens=5000, written_ms=1000.0) for number in range(200)
    ]
    watch.last(2 * MOST_READINGS + 20, lambda minute: [seen(1, minute, gpus=cards)], ended=many)
    held: NodeSeries = watch.predictor._nodes[node_id(1)].series
    assert (len(held.gpus), len(held.times)) == (MOST_GPUS, MOST_READINGS)
    assert len(held.speeds) <= MOST_MODELS
    assert len(held.disk) < 2 * MOST_READINGS
    watch.last(1, lambda minute: [])
    assert watch.predictor._nodes == {}
    assert watch.predictor._peers == {}
