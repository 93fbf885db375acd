"""Gateways that never talk agree on the home of a prompt, and homes are spread evenly."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from cluster.scheduling.rendezvous import distances, salt

NODES = [f"node-{number}" for number in range(7)]


def home(prompt: int, nodes: list[str]) -> str:
    far = distances(prompt, [salt(node) for node in nodes])
    return nodes[far.index(min(far))]


@given(st.integers(0, 2**64 - 1), st.permutations(NODES))
def test_the_home_does_not_depend_on_the_order(prompt: int, nodes: list[str]) -> None:
    assert home(prompt, nodes) == home(prompt, NODES)


@given(st.integers(0, 2**64 - 1), st.sampled_from(NODES))
def test_a_node_that_leaves_moves_only_its_own_prompts(prompt: int, gone: str) -> None:
    before = home(prompt, NODES)
    after = home(prompt, [node for node in NODES if node != gone])
    assert after == before or before == gone


@given(st.integers(0, 2**64 - 1))
def test_distances_lie_between_0_and_1(prompt: int) -> None:
    assert all(0 <= distance < 1 for distance in distances(prompt, map(salt, NODES)))


def test_homes_are_spread_evenly() -> None:
    for prompts in (range(7000), [salt(f"prompt {number}") for number in range(7000)]):
        counts = Counter(home(prompt, NODES) for prompt in prompts)
        assert all(850 < counts[node] < 1150 for node in NODES)


def test_another_process_agrees() -> None:
    script = "from tests.scheduling.test_rendezvous import *; print([home(n, NODES) for n in range(50)])"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.strip() == str([home(number, NODES) for number in range(50)])
