"""Patches of one operation for each member: the same as if they had been done one after another, and no more work than one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scim2_models import InvalidValueException

from ollamamax.provisioning.protocol.patches import MOST_OF_GROUP, fewer_operations
from tests.provisioning.conftest import Directory

members = st.sampled_from("abcde")
operations = st.one_of(
    st.builds(
        lambda who: {"op": "Add", "path": "members", "value": [{"value": each} for each in who]},
        st.lists(members, min_size=1),
    ),
    st.builds(lambda who: {"op": "add", "path": "MEMBERS", "value": {"value": who}}, members),
    st.builds(lambda who: {"op": "remove", "path": f'members[value eq "{who}"]'}, members),
    st.builds(lambda who: {"op": "Remove", "path": "members", "value": [{"value": who}]}, members),
    st.just({"op": "replace", "path": "displayName", "value": "x"}),
    st.just({"op": "remove", "path": "members"}),
)


def done(steps: list[dict[str, Any]]) -> tuple[set[str], int]:
    """The members at the end, and how many operations it took."""
    found: set[str] = set()
    for each in steps:
        value = each.get("value")
        named = {one["value"] for one in (value if isinstance(value, list) else [value]) if isinstance(one, dict)}
        path, doing = each["path"].lower(), each["op"].lower()
        if "[" in path:
            found.discard(each["path"].split('"')[1])
        elif path == "members" and doing == "add":
            found |= named
        elif path == "members":
            found = found - named if value is not None else set()
    return found, len(steps)


@given(st.lists(operations, max_size=MOST_OF_GROUP))
def test_fewer_operations_do_the_same(steps: list[dict[str, Any]]) -> None:
    short = json.loads(fewer_operations("/Groups/x", json.dumps({"Operations": steps}).encode()))["Operations"]
    assert done(short)[0] == done(steps)[0]
    bulk = {"Operations": [{"method": "patch", "path": "/Groups/x", "data": {"Operations": steps}}]}
    [within] = json.loads(fewer_operations("/Bulk", json.dumps(bulk).encode()))["Operations"]
    assert within["data"]["Operations"] == short


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["Operations", "op", "path", "value", "method", "data"]), inner, max_size=4)
    ),
)


@given(anything, st.sampled_from(["/Groups/x", "/Users/x", "/Bulk"]))
def test_what_is_no_patch_is_left_to_who_reads_it(message: Any, path: str) -> None:
    body = json.dumps(message).encode()
    assert json.loads(fewer_operations(path, body)) == message
    assert fewer_operations(path, body[:-1] + b"}") is not None


def test_changes_back_and_forth_are_bounded() -> None:
    steps = [{"op": doing, "path": "members", "value": [{"value": "a"}]} for doing in ("add", "remove")] * MOST_OF_GROUP
    with pytest.raises(InvalidValueException):
        fewer_operations("/Groups/x", json.dumps({"Operations": steps}).encode())


@pytest.mark.django_db(transaction=True)
def test_a_directory_that_names_each_member_by_itself_is_obeyed(scim: Directory) -> None:
    people = [scim.create(f"p{number}@acme.example") for number in range(3)]
    group = scim.create_group("Staff", people[0])
    path = f"/Groups/{group['id']}"
    add = [{"op": "add", "path": "members", "value": [{"value": each["id"]}]} for each in people] * 100
    assert scim.patch(path, *add).status_code in (200, 204)
    assert {each["value"] for each in scim.ask("GET", path).json()["members"]} == {each["id"] for each in people}
    away = [{"op": "remove", "path": f'members[value eq "{each["id"]}"]'} for each in people[:2]]
    assert scim.patch(path, *away).status_code in (200, 204)
    assert [each["value"] for each in scim.ask("GET", path).json()["members"]] == [people[2]["id"]]
    mixed = [each for pair in zip(add, away * 150, strict=True) for each in pair]
    refused = scim.patch(path, *mixed)
    assert (refused.status_code, refused.json()["scimType"]) == (400, "invalidValue")
