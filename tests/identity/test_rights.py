"""What may be done, given and shown: each question on everything and on one object, and what the refusal says."""

from __future__ import annotations

import uuid

import pytest

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
        "role": ["usage.view", "tenant.manage", "gone.by"],
        "teams": [["node.view"], ["audit.view", "node.view"]],
        "granted": [f"node.manage@pool:{uuid.UUID(int=3)}", f"audit.view@node:{uuid.UUID(int=1)}"],
        "team_granted": [f"node.view@node:{uuid.UUID(int=2)}"],
    }
    for in_operator in (False, True):
        found = rights.added_up(held, in_operator=in_operator, within={pool: [NODE]})
        expected = {"usage.view", "node.view", "audit.view"} | (OPERATOR_ONLY if in_operator else set())
        assert found.permissions == expected
        # The second names no permission that can be had on a node.
        assert found.grants == {("node.manage", pool), ("node.manage", NODE), ("node.view", OTHER)}
