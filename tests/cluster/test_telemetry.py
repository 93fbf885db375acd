"""What control loops read of each node: the brief that it writes beside its state, and of older nodes their states."""

from __future__ import annotations

import redis

from cluster.telemetry import read_briefs
from ollamamax.bus import keys
from ollamamax.contract import StateBrief, encode_json
from ollamamax.contract.bounds import MOST_BRIEF_BYTES
from ollamamax.kernel.ids import new_id
from tests.fakes.state import node_state


def test_a_brief_is_read_where_there_is_one_and_else_the_state_and_nonsense_hides_nobody_else(
    valkey: redis.Redis,
) -> None:
    new, old, dead, liar, large = (new_id() for _ in range(5))
    for node in (new, old, liar):
        valkey.set(keys.node_state(node), encode_json(node_state(node, agent_version="0.1", models_digest="old")))
    valkey.set(keys.node_brief(new), encode_json(StateBrief(new, "0.2", "new")))
    valkey.set(keys.node_brief(liar), encode_json(StateBrief(new, "0.2", "new")))
    valkey.set(keys.node_brief(large), b" " * MOST_BRIEF_BYTES + encode_json(StateBrief(large, "0.2", "new")))
    assert read_briefs(valkey, [new, old, dead, liar, large]) == {
        new: StateBrief(new, "0.2", "new"),
        old: StateBrief(old, "0.1", "old"),
        liar: StateBrief(liar, "0.1", "old"),
    }
