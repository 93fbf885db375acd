"""A gateway's candidates: up to 128 of a version are all ranked, of more a few that are kept in order as nodes report."""

from __future__ import annotations

import random

from cluster.fleet.candidates import Candidates
from cluster.fleet.shortlists import Shortlists
from cluster.scheduling.candidate import Candidate, Wanted
from cluster.scheduling.rendezvous import salt
from cluster.scheduling.shortlist import EXACT
from ollamamax.contract import Engine, ModelState, NodeState
from ollamamax.contract.profile import Profile
from ollamamax.contract.tables import Registered

VERSION, TENANT = "sha256:" + "a" * 64, "ee" * 16


def _say(candidates: Candidates, number: int, running: int = 0, registered: Registered | None = None) -> str:
    node = f"{number:032x}"
    state = NodeState(
        node=node, tenant=TENANT, boot="b", seq=1, at=0.0, agent_version="1", tokens_per_second=0.0, cpu_percent=0.0, cpu_count=1,
        disk_used=0, disk_total=1, network_received_per_second=0.0, network_sent_per_second=0.0, waiting=0, memory_used=0, memory_total=10,
        capacity=4, running=running, engines=[Engine("llamacpp", True)], models=[ModelState(VERSION, "m", "loaded", "llamacpp")],
    )  # fmt: skip
    candidates.take(state, registered or Registered(TENANT, "n"), 0.0)
    return node


def _listed(candidates: Candidates, wanted: Wanted, turn: int = 0) -> set[str]:
    found, _, _ = candidates.listed(wanted, lambda _: True, turn=turn)
    return {each.node for each in found}


def test_few_are_all_listed_and_of_more_no_more_than_a_few() -> None:
    candidates, wanted = Candidates(), Wanted(TENANT, VERSION)
    nodes = {_say(candidates, number) for number in range(EXACT)}
    assert _listed(candidates, wanted) == nodes
    for number in range(EXACT, 400):
        _say(candidates, number)
    assert 0 < len(_listed(candidates, wanted)) <= EXACT
    reached = set().union(*(_listed(candidates, wanted, turn) for turn in range(200)))
    assert len(reached) == 400


def test_reports_what_was_given_and_departures_are_followed() -> None:
    candidates, wanted, rng = Candidates(), Wanted(TENANT, VERSION), random.Random(1)
    for number in range(300):
        _say(candidates, number, running=4)
    assert candidates.listed(wanted, lambda _: True)[0]
    [idle, given, gone] = rng.sample(range(300), 3)
    name = _say(candidates, idle, running=1)
    assert name in _listed(candidates, wanted)
    candidates.given(name, 3)
    full = candidates.listed(wanted, lambda _: True)[0]
    assert all(each.in_flight >= each.capacity for each in full)
    _say(candidates, given, running=0)
    candidates.drop(f"{given:032x}")
    candidates.drop(f"{gone:032x}")
    assert not {f"{given:032x}", f"{gone:032x}"} & _listed(candidates, wanted)


def test_a_tenant_that_no_node_names_is_served_as_any_other_and_one_that_comes_to_be_named_by_its_own() -> None:
    candidates = Candidates()
    shared, other = Registered(TENANT, "n", shared=True), "dd" * 16
    for number in range(200):
        _say(candidates, number, registered=shared)
    stranger = Wanted(other, VERSION)
    assert _listed(candidates, stranger)
    own = _say(candidates, 999, running=3, registered=Registered(other, "own"))
    assert own in _listed(candidates, stranger)
    assert own not in _listed(candidates, Wanted("cc" * 16, VERSION))


def test_a_request_that_only_few_can_run_finds_them_among_thousands() -> None:
    candidates = Candidates()
    for number in range(500):
        _say(candidates, number, registered=Registered(TENANT, "n", labels={"host": str(number)}))
    for number in (7, 333):
        assert _listed(candidates, Wanted(TENANT, VERSION, Profile(labels={"host": str(number)}))) == {f"{number:032x}"}


def test_what_is_kept_is_bounded_and_what_was_not_asked_for_longest_goes() -> None:
    having = {name: Candidate(name, TENANT, "loaded", 4, salt=salt(name)) for name in map(str, range(200))}
    kept = Shortlists(most_places=1000)
    for number in range(50):
        assert kept.of(Wanted(TENANT, VERSION, Profile(num_ctx=number + 4)), "", having) is not None
    assert sum(map(len, kept._asked.values())) <= 1000
    assert Shortlists(most_places=100).of(Wanted(TENANT, VERSION), "", having) is None
