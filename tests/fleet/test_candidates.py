"""What is kept of candidates from one state to the next is what the last state alone would make of them."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.fleet.candidates import Candidates
from cluster.scheduling.candidate import Candidate
from ollamamax.contract import Engine, Gpu, ModelState, NodeState, NodeStates, encode_json
from ollamamax.contract.tables import Registered

NODE = "ab" * 16
VERSIONS = ["sha256:" + digit * 64 for digit in "abc"]

models = st.lists(
    st.builds(
        ModelState,
        st.sampled_from(VERSIONS),
        st.just("m"),
        st.sampled_from(["present", "ready", "loaded", "failed"]),
        st.sampled_from(["llamacpp", "ollama", "openai"]),
        size=st.sampled_from([None, 1, 5, 9]),
        memory=st.sampled_from([None, 5]),
        context_length=st.sampled_from([None, 4096]),
    ),
    max_size=4,
)
engines = st.builds(
    Engine,
    st.sampled_from(["llamacpp", "ollama", "openai"]),
    st.booleans(),
    quarantined=st.sampled_from([None, [], VERSIONS[:1]]),
    running=st.integers(0, 2),
)
states = st.fixed_dictionaries(
    {
        "models": models,
        "engines": st.lists(engines, max_size=2),
        "capacity": st.integers(1, 2),
        "running": st.integers(0, 2),
        "memory_used": st.integers(0, 10),
        "gpus": st.sampled_from([[], [Gpu(0, "G")], [Gpu(0, "G", memory_used=1, memory_total=3)]]),
        "draining": st.booleans(),
    }
)
registrations = st.builds(
    Registered, st.just("ee" * 16), st.just("n"), schedulable=st.booleans(), access=st.sampled_from([[], ["*"]])
)


def said(**changes: Any) -> bytes:
    given: dict[str, Any] = {"waiting": 0, "memory_total": 10}
    return encode_json(
        NodeState(
            node=NODE, tenant="ee" * 16, boot="b", seq=1, at=0.0, agent_version="1", tokens_per_second=0.0, cpu_percent=0.0, cpu_count=1,
            disk_used=0, disk_total=1, network_received_per_second=0.0, network_sent_per_second=0.0, **given, **changes,
        )
    )  # fmt: skip


def known(candidates: Candidates) -> dict[str, Candidate]:
    return {version: found for version in VERSIONS if (found := candidates.find(NODE, version)) is not None}


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(states, registrations), min_size=2, max_size=6), st.data())
def test_what_is_kept_of_a_node_is_what_its_last_state_alone_says(
    history: list[tuple[dict[str, Any], Registered]], data: st.DataObject
) -> None:
    kept, read = Candidates(), NodeStates()
    for state, registered in history:
        # Often only a part is another one than before: then the rest is not described anew.
        last = state if data.draw(st.booleans()) else history[0][0] | {"memory_used": state["memory_used"]}
        kept.take(read.decode(said(**last), NODE), registered, 1.0)
        alone = Candidates()
        alone.take(msgspec.json.decode(said(**last), type=NodeState), registered, 1.0)
        assert known(kept) == known(alone)
        assert {each.node for version in VERSIONS for each in kept.having(version)} == (
            {NODE} if known(alone) else set()
        )
