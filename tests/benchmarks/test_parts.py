"""Each part runs from end to end, at a size that measures nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import beside, integrity, kills, overhead, prefix, start
from benchmarks.conditions import conditions
from benchmarks.fleet import fleet
from benchmarks.product import NotStarted, Product, running, running_nodes

pytestmark = [
    pytest.mark.flow,
    pytest.mark.xdist_group("benchmarks"),
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def product() -> Iterator[Product]:
    with running() as started:
        yield started


def test_overhead_compares_both_ways_and_finds_no_stream_wrong(product: Product) -> None:
    size = overhead.Size(rounds=1, requests=((1, 3), (4, 8)), idle=1)
    before = product.memory()

    measured = overhead.measure(product, size)

    assert {key: len(results) for key, results in measured.results.items()} == {
        (1, "direct"): 1,
        (1, "gateway"): 1,
        (4, "direct"): 1,
        (4, "gateway"): 1,
    }
    assert all(len(result.first_token) == 8 for result in measured.results[4, "gateway"])
    assert measured.wrong() == 0
    assert measured.idle is not None
    text = overhead.report(measured, product.memory(), before)
    assert {"web", "node", "valkey", "postgres", "controller", "stub engine"} <= set(before)
    assert all(name in text for name in before)


def test_integrity_counts_every_stream(product: Product) -> None:
    size = integrity.Size(tokens=300, per_stream=50, concurrency=3)

    results = integrity.measure(product, size)

    assert {every: (len(result.duration), result.wrong) for every, result in results.items()} == {0: (6, 0), 5: (6, 0)}
    assert results[5].parts > results[0].parts, "tokens that come one by one are passed on one by one"
    assert "300 tokens in 6 streams" in integrity.report(results, size)


def test_beside_pairs_two_products_round_by_round(product: Product) -> None:
    rounds = beside.measure(product, product, beside.Size(rounds=2, requests=((1, 2),)))

    assert len(rounds[1]) == 2
    assert "here : there" in beside.report(rounds)


def test_prefix_counts_what_real_engines_read_again() -> None:
    size = prefix.Size(1, 1, systems=1, conversations=2, turns=2, system_words=40, question_words=5, answer_tokens=4)
    with running_nodes(1) as real:
        found = prefix.measure(real, size)
    for (read,) in found.values():
        assert len(read.seconds) == 4
        assert 0 < read.again < read.prompt, "the second turn begins as the first did"
    assert "| affinity |" in prefix.report(found, size)


def tree(folder: Path, recipe: str) -> Path:
    """A tree whose `make up` is ``recipe``."""
    folder.mkdir()
    (folder / "Makefile").write_text(f"up:\n\t@{recipe}\ndown:\n\t@rm -f here\n")
    (folder / ".venv").mkdir()
    return folder


def test_start_times_a_fresh_copy_twice_and_leaves_the_tree_alone(tmp_path: Path) -> None:
    source = tree(tmp_path / "tree", "test ! -e .venv && touch here && echo Node ... ready '(1.5 s)'")

    text = start.report(start.measure(source))

    assert "first time" in text
    assert "Node ... ready (1.5 s)" in text
    assert not (source / "here").exists()


def test_start_says_what_make_printed_when_it_fails(tmp_path: Path) -> None:
    with pytest.raises(NotStarted, match="no room"):
        start.measure(tree(tmp_path / "tree", "echo no room; exit 1"))


def test_conditions_name_the_machine_and_the_versions() -> None:
    assert "load average" in conditions()
    assert "uvicorn " in conditions()


def test_kills_are_survived_and_leave_nothing() -> None:
    size = kills.Size(streams=6, rounds=1, tokens=40, nodes=2, slots=8, kinds=("node", "engine"))
    with fleet(nodes=size.nodes, slots=size.slots, gateways=size.gateways, engine=size.engine) as product:
        outcome = kills.measure(product, size)

    both = [kill for found in outcome.kills.values() for kill in found]
    assert [(len(kill.before_first_byte()), len(kill.broken())) for kill in both] == [(0, 0), (0, 0)]
    assert sum(len(kill.went_on()) for kill in both) > 0
    assert (outcome.wrong, outcome.left, outcome.without_record) == (0, {}, 0)
    assert "| engine |" in kills.report(outcome, size)
