"""Where and for what a key may be used: networks, routes, models; and how the API takes them."""

from __future__ import annotations

import datetime
import ipaddress
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.test import APIClient

from ollamamax.identity import directory
from ollamamax.identity.models.limits import LIMITS
from ollamamax.identity.queries.key import find_principal
from ollamamax.kernel.errors import Forbidden, InvalidRequest
from ollamamax.kernel.reach import EVERYWHERE, Reach, checked_reach, require_reach
from tests.cast import Key, Person, make_key, with_key

KEYS = "/api/v1/keys"
ROUTES = ["/v1/chat/completions", "/v1/*", "/api/*", "/api/v1/*", "/api/v1/keys", "/v2/*"]
PATHS = {
    "/v1/chat/completions": {"/v1/chat/completions", "/v1/*"},
    "/v1/chat/completions/x": {"/v1/*"},
    "/v1": {"/v1/*"},
    "/v10/models": set(),
    "/api/chat": {"/api/*"},
    "/api/v1/keys": {"/api/v1/*", "/api/v1/keys"},
    "/api/v1/keys/x": {"/api/v1/*"},
    "/api/v1": {"/api/v1/*"},
    "/api/v10": {"/api/*"},
    "/v2/": {"/v2/*"},
    "/V1/chat/completions": set(),
}
networks = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.integers(0, 32)), st.tuples(st.ip_addresses(v=6), st.integers(0, 128))
)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("route", ROUTES)
def test_a_route_covers_its_own_path_and_with_a_star_all_below_it(route: str, path: str) -> None:
    assert checked_reach([], [route], []).has_route(path) is (route in PATHS[path])


@given(networks, st.ip_addresses())
def test_an_address_is_within_as_the_standard_library_says_however_it_is_written(pair: Any, address: Any) -> None:
    network = ipaddress.ip_network(f"{pair[0]}/{pair[1]}", strict=False)
    reach = checked_reach([str(network)], [], [])
    (held,) = (ipaddress.ip_network(each) for each in reach.addresses)
    plain = address.ipv4_mapped if address.version == 6 and address.ipv4_mapped is not None else address
    assert reach.has_address(str(address)) is (plain.version == held.version and plain in held)
    if address.version == 4:
        assert reach.has_address(f"::ffff:{address}") is reach.has_address(str(address))


def test_an_address_that_is_not_known_is_within_no_network() -> None:
    reach = checked_reach(["0.0.0.0/0", "::/128"], [], [])
    assert not any(reach.has_address(each) for each in (None, "", "unix", "10.0.0.1.", "10.0.0.1, 1.1.1.1"))
    assert EVERYWHERE.has_address(None)


@pytest.mark.parametrize(
    ("pattern", "allowed", "refused"),
    [
        ("llama3", ["llama3:latest", "LLAMA3:latest"], ["llama3:8b", "llama3.1:latest", "llama3@sha256:00"]),
        ("llama3:*", ["llama3:8b", "llama3@sha256:00"], ["llama3.1:8b", "xllama3:8b"]),
        ("team/*", ["team/a:latest", "team/b@sha256:00"], ["teams/a:latest", "a:latest"]),
        ("a.b:1", ["a.b:1"], ["aXb:1"]),
    ],
)
def test_a_model_is_meant_by_its_name_or_a_pattern(pattern: str, allowed: list[str], refused: list[str]) -> None:
    reach = checked_reach([], [], [pattern])
    assert all(reach.has_model(name) for name in allowed)
    assert not any(reach.has_model(name) for name in refused)
    assert reach.has_model("alias:latest", allowed[0])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(
            ("addresses", each)
            for each in ("x", "10.0.0.0/33", "10.0.0.1-2", "::/0/1", "10.0.0.0/8,", "10.0.0.7/0", "::1/0")
        ),
        *(("routes", each) for each in ("v1", "/", "/v1/../x", "/v1/*/x", "/v1*", "/v1?x", "/a\n")),
        *(("models", each) for each in ("", "a b", "[a]:x", "a?:x", "a:b:c", "a@sha256:0")),
    ],
)
def test_what_is_no_network_route_or_name_is_refused_by_its_field(field: str, value: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        checked_reach(**{name: [value] if name == field else [] for name in ("addresses", "routes", "models")})
    assert refused.value.fields["param"] == field


def test_each_part_must_hold() -> None:
    reach = checked_reach(["10.0.0.0/8"], ["/v1/*"], [])
    require_reach(reach, "/v1/models", "10.1.2.3")
    for path, address, reason in (("/v1/models", "11.1.2.3", "address"), ("/api/tags", "10.1.2.3", "route")):
        with pytest.raises(Forbidden) as refused:
            require_reach(reach, path, address)
        assert refused.value.fields["reason"] == reason


@pytest.mark.django_db
def test_the_api_takes_shows_and_changes_a_reach_as_a_whole(owner_api: APIClient, stranger_api: APIClient) -> None:
    body = {"name": "ci", "reach": {"addresses": ["10.0.0.7/8", "10.0.0.0/8"], "routes": ["/v1/*"], "models": ["a"]}}
    made = owner_api.post(KEYS, body, format="json").json()
    assert made["reach"] == {"addresses": ["10.0.0.0/8"], "routes": ["/v1/*"], "models": ["a:latest"]}
    one = f"{KEYS}/{made['id']}"
    changed = owner_api.patch(one, {"reach": {"addresses": ["::1"]}}, format="json").json()
    assert changed["reach"] == {"addresses": ["::1/128"], "routes": [], "models": []}
    assert owner_api.patch(one, {"name": "other"}, format="json").json()["reach"] == changed["reach"]
    wrong = owner_api.patch(one, {"reach": {"addresses": ["x"] * 33}}, format="json")
    assert wrong.status_code == 400
    assert stranger_api.patch(one, {"reach": {}}, format="json").status_code == 404
    assert directory.known_keys([made["identifier"]])[made["identifier"]].reach == Reach(("::1/128",))
    found = find_principal(made["secret"])
    assert found is not None
    assert found.reach == Reach(("::1/128",))


@pytest.mark.django_db
def test_the_management_api_refuses_a_key_from_elsewhere_and_for_other_routes(
    owner: Person, owner_key: Key, owner_api: APIClient
) -> None:
    api, one = with_key(owner_key.text), f"{KEYS}/{owner_key.row.id}"

    def bound(**reach: list[str]) -> list[int]:
        assert owner_api.patch(one, {"reach": reach}, format="json").status_code == 200
        return [api.get(path, REMOTE_ADDR="10.0.0.1").status_code for path in ("/api/v1/me", KEYS)]

    assert bound(addresses=["10.0.0.0/24"]) == [200, 200]
    assert bound(addresses=["10.0.1.0/24"]) == [403, 403]
    assert bound(routes=["/api/v1/me"]) == [200, 403]
    assert bound(routes=["/api/*"]) == [403, 403]


BOUNDS: list[dict[str, Any]] = [
    {"expires_at": (timezone.now() + datetime.timedelta(days=1)).isoformat()},
    *({"limits": {name: 5}} for name in LIMITS),
]


@pytest.mark.django_db
@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: next(iter(bound.get("limits", bound))))
def test_a_key_makes_changes_and_rotates_none_that_is_more_than_itself(
    owner: Person, owner_key: Key, owner_api: APIClient, bound: dict[str, Any]
) -> None:
    api, one, [field] = with_key(owner_key.text), f"{KEYS}/{owner_key.row.id}", bound
    assert owner_api.patch(one, bound, format="json").status_code == 200
    wider: Any = None if field == "expires_at" else dict.fromkeys(LIMITS)
    other = make_key(owner)
    asked = (
        api.post(KEYS, {"name": "more", field: wider}, format="json") if field != "expires_at" else None,
        api.patch(one, {field: wider}, format="json"),
        api.patch(f"{KEYS}/{other.row.id}", {"name": "mine"}, format="json"),
        api.post(f"{KEYS}/{other.row.id}/rotate", {}, format="json"),
    )
    assert {answer.status_code for answer in asked if answer is not None} == {403}
    # What is no more than itself it may: itself too.
    made = owner_api.post(KEYS, {"name": "as much", **bound}, format="json").json()
    assert api.patch(f"{KEYS}/{made['id']}", {"name": "other"}, format="json").status_code == 200
    if field == "expires_at":
        made = api.post(KEYS, {"name": "short"}, format="json").json()
        assert made["expires_at"] == owner_api.get(one).json()["expires_at"]
    assert api.post(f"{one}/rotate", {}, format="json").status_code == 201


@pytest.mark.django_db
def test_a_bound_key_gets_itself_no_other(owner_key: Key, owner_api: APIClient) -> None:
    api, one = with_key(owner_key.text), f"{KEYS}/{owner_key.row.id}"
    bound = {"reach": {"routes": ["/api/v1/*"]}}
    assert owner_api.patch(one, bound, format="json").status_code == 200
    asked = (
        api.post(KEYS, {"name": "free"}, format="json"),
        api.patch(one, {"reach": {}}, format="json"),
        api.post(f"{one}/rotate", {}, format="json"),
    )
    assert [answer.status_code for answer in asked] == [403, 403, 403]
