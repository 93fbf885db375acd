"""What control loops read of each node: the brief that it writes beside its state, and of older nodes their states."""

from __future__ import annotations

import redis

from cluster.telemetry import Briefs
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
    assert Briefs().read(valkey, [new, old, dead, liar, large]) == {
        new: StateBrief(new, "0.2", "new"),
        old: StateBrief(old, "0.1", "old", node_state(old).boot),
        liar: StateBrief(liar, "0.1", "old", node_state(liar).boot),
    }


def test_briefs_are_the_same_object_until_one_node_says_something_else(valkey: redis.Redis) -> None:
    nodes = [new_id() for _ in range(450)]
    with valkey.pipeline() as pipe:
        for node in nodes:
            pipe.set(keys.node_brief(node), encode_json(StateBrief(node, "1", "same")))
        pipe.execute()
    briefs = Briefs()
    before = briefs.read(valkey, nodes)
    assert before == {node: StateBrief(node, "1", "same") for node in nodes}
    assert briefs.read(valkey, nodes) is before
    for changed in (nodes[0], nodes[-1]):
        valkey.set(keys.node_brief(changed), encode_json(StateBrief(changed, "1", "other")))
        assert briefs.read(valkey, nodes)[changed].models_digest == "other"
        assert before[changed].models_digest == "same", "what was read stays as it was"
        before = briefs.read(valkey, nodes)
    valkey.delete(keys.node_brief(nodes[300]))
    assert set(briefs.read(valkey, nodes)) == set(nodes) - {nodes[300]}, "it fell silent"
    assert set(briefs.read(valkey, nodes[:5])) == set(nodes[:5])


def test_two_briefs_do_not_look_like_one(valkey: redis.Redis) -> None:
    one, other = new_id(), new_id()
    briefs = Briefs()
    whole = encode_json(StateBrief(one, "1", "a"))
    valkey.set(keys.node_brief(one), whole)
    valkey.set(keys.node_brief(other), b"")
    assert set(briefs.read(valkey, [one, other])) == {one}
    valkey.set(keys.node_brief(one), b"")
    valkey.set(keys.node_brief(other), whole)
    assert set(briefs.read(valkey, [one, other])) == set()
