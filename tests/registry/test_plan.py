"""Which fetches are asked for, and the canonical form of a manifest."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models_registry import manifest
from models_registry.replication.plan import Fetch, WantedReplica, missing, pause_after
from ollamamax.contract import Engine, ModelState, NodeState
from ollamamax.kernel.errors import InvalidRequest


def state(node: str, *models: ModelState, hosts_blobs: bool = True) -> NodeState:
    return NodeState(
        node=node, tenant="lies", boot="b", seq=1, at=0.0, agent_version="1",
        engines=[Engine("llamacpp" if hosts_blobs else "ollama", True, hosts_blobs=hosts_blobs)],
        capacity=1, running=0, waiting=0, tokens_per_second=0.0, models=list(models), cpu_percent=0.0, cpu_count=1,
        memory_used=0, memory_total=1, disk_used=0, disk_total=1,
        network_received_per_second=0.0, network_sent_per_second=0.0,
    )  # fmt: skip


def held(version: str, how: str) -> ModelState:
    return ModelState(version, "m", how, "llamacpp")  # type: ignore[arg-type]


WANTED = [WantedReplica("t1", "v1"), WantedReplica("t2", "v2")]


def test_a_node_is_asked_for_the_versions_of_its_tenant_only() -> None:
    states = {"a": state("a"), "b": state("b")}
    assert missing(WANTED, {"a": "t1", "b": "t2"}, states) == [Fetch("a", "v1"), Fetch("b", "v2")]


@pytest.mark.parametrize("how", ["fetching", "ready", "loading", "loaded"])
def test_what_is_there_or_under_way_is_not_asked_for(how: str) -> None:
    assert missing(WANTED, {"a": "t1"}, {"a": state("a", held("v1", how))}) == []


def test_what_failed_is_asked_for_again() -> None:
    assert missing(WANTED, {"a": "t1"}, {"a": state("a", held("v1", "failed"))}) == [Fetch("a", "v1", failed=True)]
    assert [pause_after(failures) for failures in (0, 1, 2, 3, 100)] == [15, 15, 30, 60, 600]


def test_engines_that_keep_their_own_models_and_unknown_nodes_are_not_asked() -> None:
    assert missing(WANTED, {"a": "t1"}, {"a": state("a", hosts_blobs=False), "x": state("x")}) == []


def test_the_digest_does_not_depend_on_the_order_of_fields() -> None:
    assert manifest.digest_of({"a": 1, "b": [1, 2]}) == manifest.digest_of({"b": [1, 2], "a": 1})
    assert manifest.digest_of({"a": 1}) != manifest.digest_of({"a": 2})


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("smollm2", ("smollm2", "latest")),
        ("smollm2:135m", ("smollm2", "135m")),
        ("org/m-1.5:q4_K_M", ("org/m-1.5", "q4_K_M")),
        ("/data/models/My-Model", ("/data/models/My-Model", "latest")),
    ],
)
def test_names_are_split_as_ollama_does(text: str, split: tuple[str, str]) -> None:
    assert manifest.split_name(text) == split


@given(st.text(max_size=30))
@example("0\n")
def test_any_text_is_a_name_or_refused(text: str) -> None:
    try:
        model, channel = manifest.split_name(text)
    except InvalidRequest:
        return
    assert text in {model, f"{model}:{channel}"}
