"""The management API of a provider's directory."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from ollamamax.sso.models import IdentityProvider
from tests.cast import Person, logged_in
from tests.provisioning.conftest import Directory

pytestmark = pytest.mark.django_db


def test_an_owner_makes_a_token_sees_what_came_by_it_rotates_and_revokes_it(
    owner: Person, owner_api: APIClient, provider: IdentityProvider
) -> None:
    path = f"/api/v1/sso/providers/{provider.pk}/directory"
    made = owner_api.post(f"{path}/tokens", {"name": "Okta", "expires_in_days": 30}, format="json")
    assert made.status_code == 201
    scim = Directory(made.json()["token"], owner.tenant, provider)
    scim.create("ada@acme.example")
    scim.create("bob@other.example")
    scim.create_group("Engineers")

    shown = owner_api.get(path).json()
    assert shown["url"] == "http://testserver/scim/v2"
    assert (shown["users"], shown["active"], shown["members"], shown["groups"]) == (2, 2, 1, 1)
    assert shown["without_account"] == {"foreign_domain": 1}
    assert [(each["name"], each["used_at"] is not None) for each in shown["tokens"]] == [("Okta", True)]
    assert "token" not in shown["tokens"][0]

    other = owner_api.post(f"{path}/tokens/{made.json()['id']}/rotate", {"overlap_hours": 0}, format="json").json()
    assert scim.ask("GET", "/Users").status_code == 401
    again = Directory(other["token"], owner.tenant, provider)
    assert again.ask("GET", "/Users").status_code == 200
    assert owner_api.delete(f"{path}/tokens/{other['id']}").status_code == 204
    assert again.ask("GET", "/Users").status_code == 401


def test_others_neither_see_nor_change_a_directory(member: Person, stranger: Person, scim: Directory) -> None:
    path = f"/api/v1/sso/providers/{scim.provider.pk}/directory"
    for who, refused in ((member, 403), (stranger, 404)):
        client = logged_in(who)
        assert client.get(path).status_code == refused
        assert client.post(f"{path}/tokens", {"name": "x"}, format="json").status_code == refused
