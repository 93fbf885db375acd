"""Who has read which prompts is known by the longest prefix, and bounded."""

from __future__ import annotations

import tracemalloc

from cluster.fleet.prefix_affinity import MOST, NODES, PrefixAffinity
from cluster.scheduling.prompt import prefixes
from ollamamax.contract import Inference

SYSTEM = {"role": "system", "content": "You know the whole of our handbook. " * 100}


def said(*texts: str) -> tuple[int, ...]:
    return prefixes(Inference("chat", messages=[SYSTEM, *({"role": "user", "content": text} for text in texts)]))


def test_the_node_of_a_conversation_has_read_nearly_all_of_its_next_turn() -> None:
    warmth = PrefixAffinity()
    warmth.remember(said("hello " * 50), "a", scope=1)
    warmth.remember(said("other " * 50), "b", scope=1)
    warm = warmth.warm(said("hello " * 50, "and then? " * 20), scope=1)
    assert warm["a"] > warm["b"] > 0.8


def test_nobody_has_read_what_nobody_was_given() -> None:
    warmth = PrefixAffinity()
    warmth.remember(said("hello"), "a", scope=1)
    assert warmth.warm(prefixes(Inference("completion", prompt="something else")), scope=1) == {}
    assert warmth.warm((), scope=1) == {}


def test_scopes_know_nothing_of_each_other() -> None:
    warmth = PrefixAffinity()
    warmth.remember(said("hello"), "a", scope=1)
    assert warmth.warm(said("hello"), scope=2) == {}


def test_only_the_last_nodes_are_kept() -> None:
    warmth = PrefixAffinity()
    for node in "abcdefg":
        warmth.remember(said("hello"), node, scope=1)
    assert set(warmth.warm(said("hello"), scope=1)) == set("defg")
    assert NODES == 4


def test_the_longest_unused_is_forgotten() -> None:
    warmth = PrefixAffinity(most=3)
    for prefix in (1, 2, 3, 1, 4):
        warmth.remember((prefix << 24 | 9,), f"n{prefix}", scope=0)
    assert len(warmth) == 3
    assert warmth.warm((2 << 24 | 9,), scope=0) == {}
    assert set(warmth.warm((1 << 24 | 9,), scope=0)) == {"n1"}


def test_its_memory_is_bounded() -> None:
    tracemalloc.start()
    warmth = PrefixAffinity()
    for number in range(MOST + 1000):
        warmth.remember(((number * 0x9E3779B97F4A7C15) % 2**64,), f"node-{number % 50}", scope=0)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(warmth) == MOST
    assert used < 20e6
