"""What may be done, given and shown: each question on everything and on one object, and what the refusal says."""

from __future__ import annotations

import itertools
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamamax.identity import rights
from ollamamax.identity.roles import OPERATOR_ONLY, reference
from ollamamax.kernel.errors import Forbidden, InvalidRequest
from ollamamax.kernel.principal import Principal, system

TENANT = "0192f0c12d3e7f4a8b5c6d7e8f900001"
NODE, OTHER = (reference("node", uuid.UUID(int=number)) for number in (1, 2))


def acting(*permissions: str, on: str | None = None, tenant: str | None = TENANT) -> Principal:
    grants = frozenset() if on is None else frozenset((each, on) for each in permissions)
    return Principal("user", "1", tenant, "x", frozenset() if on else frozenset(permissions), grants=grants)


def test_an_action_is_told_its_tenant_where_the_permission_is_there_on_everything_or_on_its_object() -> None:
    for may, on in ((acting("node.view"), None), (acting("node.view"), NODE), (acting("node.view", on=NODE), NODE)):
        assert rights.require_in_tenant(may, "node.view", on) == uuid.UUID(TENANT)
    assert rights.require_in_tenant(system("x", TENANT), "node.view") == uuid.UUID(TENANT)
    for may, on in (
        (acting("node.manage"), NODE),
        (acting("node.view", on=NODE), None),
        (acting("node.view", on=NODE), OTHER),
    ):
        with pytest.raises(Forbidden) as refused:
            rights.require_in_tenant(may, "node.view", on)
        assert refused.value.message == "This needs the permission 'node.view'."
        assert refused.value.fields == {"permission": "node.view"}
    with pytest.raises(InvalidRequest) as nowhere:
        rights.require_in_tenant(acting("node.view", tenant=None), "node.view")
    assert nowhere.value.message == "This belongs to a tenant, and none was named."
    assert nowhere.value.fields == {"param": "tenant"}


def test_nobody_gives_more_than_they_have_and_is_told_the_first_that_they_lack() -> None:
    rights.require_to_grant(acting("node.view", "node.manage"), ["node.manage", "node.view"])
    rights.require_to_grant(acting("node.view", "node.manage"), ["node.view"], NODE)
    rights.require_to_grant(acting("node.view", on=NODE), ["node.view"], NODE)
    rights.require_to_grant(acting(), [])
    for may, wanted, on, lacking in (
        (acting("node.view"), ["node.view", "usage.view", "audit.view"], None, "audit.view"),
        (acting("node.view", on=NODE), ["node.view"], None, "node.view"),
        (acting("node.view", on=NODE), ["node.view"], OTHER, "node.view"),
    ):
        with pytest.raises(Forbidden) as refused:
            rights.require_to_grant(may, wanted, on)
        assert refused.value.message == f"You cannot grant '{lacking}', which you do not have."
        assert refused.value.fields == {"permission": lacking}
    with pytest.raises(InvalidRequest) as unknown:
        rights.require_to_grant(system("x"), ["node.view", "nothing.b", "nothing.a"])
    assert unknown.value.message == "There is no permission 'nothing.a'."
    assert unknown.value.fields == {"param": "permissions"}


def test_who_is_shown_what_another_may_has_all_of_it() -> None:
    held = rights.Rights(frozenset({"node.view"}), frozenset({("node.manage", NODE)}))
    rights.require_to_hold(acting("node.view", "node.manage"), held)
    for may in (acting("node.view"), acting("node.manage"), acting("node.manage", on=NODE)):
        with pytest.raises(Forbidden):
            rights.require_to_hold(may, held)


def test_role_teams_and_grants_add_up_and_what_is_on_a_pool_counts_on_what_is_in_it() -> None:
    pool = reference("pool", uuid.UUID(int=3))
    held = {
        "role": "own",
        "permissions": ["usage.view", "tenant.manage", "gone.by"],
        "teams": [
            {"team": "one", "role": "viewer", "permissions": ["node.view"]},
            {"team": "two", "role": "auditor", "permissions": ["audit.view", "node.view"]},
        ],
        "granted": [f"node.manage@pool:{uuid.UUID(int=3)}", f"audit.view@node:{uuid.UUID(int=1)}"],
        "team_granted": [f"node.view@node:{uuid.UUID(int=2)}@one"],
    }
    for in_operator in (False, True):
        reasons = rights.reasons(held, in_operator=in_operator, within={pool: [NODE]})
        found = rights.rights_by(reasons)
        expected = {"usage.view", "node.view", "audit.view"} | (OPERATOR_ONLY if in_operator else set())
        assert found.permissions == expected
        # The second names no permission that can be had on a node.
        assert found.grants == {("node.manage", pool), ("node.manage", NODE), ("node.view", OTHER)}
        assert rights.why(reasons, "node.manage", NODE) == [rights.Reason("node.manage", NODE, "grant", pool=pool)]
        assert rights.why(reasons, "node.view", OTHER) == [
            rights.Reason("node.view", None, "team_role", "viewer", "one"),
            rights.Reason("node.view", None, "team_role", "auditor", "two"),
            rights.Reason("node.view", OTHER, "team_grant", team="one"),
        ]


SOME = ("node.view", "node.manage", "model.view", "inference.use", "usage.view", "tenant.manage", "no.such")
POOLS = [reference("pool", uuid.UUID(int=number)) for number in (3, 4)]
some_permissions = st.lists(st.sampled_from(SOME), max_size=4)
slugs = st.sampled_from(["one", "two"])
targets = st.sampled_from(["node:" + str(uuid.UUID(int=n)) for n in (1, 2)] + ["pool:" + str(uuid.UUID(int=3))])
held_by_somebody = st.fixed_dictionaries(
    {
        "role": slugs,
        "permissions": some_permissions,
        "teams": st.lists(
            st.fixed_dictionaries({"team": slugs, "role": slugs, "permissions": some_permissions}), max_size=2
        ),
        "granted": st.lists(st.builds("{}@{}".format, st.sampled_from(SOME), targets), max_size=3),
        "team_granted": st.lists(st.builds("{}@{}@{}".format, st.sampled_from(SOME), targets, slugs), max_size=3),
    }
)


@given(held_by_somebody, st.booleans(), st.lists(st.sampled_from([NODE, OTHER]), max_size=2), some_permissions)
def test_there_is_a_reason_exactly_where_the_answer_is_yes(
    held: dict[str, Any], in_operator: bool, pooled: list[str], given_to_key: list[str]
) -> None:
    """Of members, and of keys that they made, for every permission in the whole tenant and on every object."""
    everything = rights.reasons(held, in_operator=in_operator, within={POOLS[0]: pooled})
    for reasons in (everything, rights.lent(everything, given_to_key)):
        permissions, grants = rights.rights_by(reasons)
        principal = Principal("user", "1", TENANT, "x", permissions, grants=grants)
        for permission, on in itertools.product(SOME, (None, NODE, OTHER, *POOLS)):
            assert principal.may(permission, on) == bool(rights.why(reasons, permission, on))
            if reasons is not everything and permission not in given_to_key:
                assert not principal.may(permission, on)
