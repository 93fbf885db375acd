"""Ollama's API by a key whose maker was granted one model: what names that model is done, and what names another is refused."""

from __future__ import annotations

import uuid

import httpx
import ollama
import pytest

from models_registry.models import Model
from ollamamax.identity.actions.grant import give_grant
from ollamamax.identity.actions.key import issue_key
from ollamamax.identity.actions.role import create_role
from ollamamax.identity.models import Membership
from ollamamax.identity.queries.member import principal_of, tenants_of
from ollamamax.identity.scope import tenant_scope
from tests.cast import Key, Person, make_person
from tests.management.conftest import Served

pytestmark = pytest.mark.django_db(transaction=True)


def model(person: Person, name: str) -> uuid.UUID:
    with tenant_scope(person.tenant):
        return Model.objects.get(name=name).pk


def keeper_of(owner: Person, granted: dict[str, list[str]]) -> Key:
    """The key of somebody who may manage keys, and besides what was granted them on models, by permission."""
    create_role(acting=owner.acting, slug="bare", name="Bare", permissions=["key.manage"])
    person = make_person(owner.tenant, "keeper", "bare")
    with tenant_scope(owner.tenant):
        membership = Membership.objects.get(user=person.user).pk
    for permission, names in granted.items():
        for name in names:
            give_grant(
                acting=owner.acting,
                membership_id=membership,
                permission=permission,
                kind="model",
                object_id=model(owner, name),
            )
    acting = principal_of(person.user, tenants_of(person.user)[0])
    row, text = issue_key(acting=acting, name="k", permissions=sorted(granted))
    return Key(row, text, acting)


def test_who_was_granted_a_model_copies_and_deletes_its_names_and_those_of_no_other(
    client: ollama.Client, served: Served, owner: Person, gguf: object
) -> None:
    files = {"m.gguf": client.create_blob(str(gguf))}
    for name in ("own", "seen", "hidden"):
        client.create(name, files=files)
    key = keeper_of(owner, {"model.manage": ["own"], "model.view": ["seen"]})

    def copy(source: str, destination: str) -> int:
        return http.post("/api/copy", json={"source": source, "destination": destination}).status_code

    def delete(name: str) -> httpx.Response:
        return http.request("DELETE", "/api/delete", json={"model": name})

    with served.http(key) as http:
        assert copy("own", "own:2") == copy("own", "own:3") == 200
        # A new model, and one that others keep, are no names of it; what is hidden is not even there.
        assert copy("own", "new") == copy("own", "seen:2") == copy("own", "hidden:2") == 403
        assert copy("seen", "own:4") == 403
        assert copy("hidden", "own:4") == 404
        assert delete("seen").status_code == 403
        assert delete("hidden").status_code == 404
        assert delete("hidden").json() == {"error": "model 'hidden:latest' not found"}
        for path in ("/api/push", "/api/pull", "/api/create"):
            assert http.post(path, json={"model": "seen", "from": "own", "stream": False}).status_code == 403, path
        assert delete("own:2").status_code == delete("own:3").status_code == delete("own").status_code == 200
        # With the model went what was granted on it.
        assert delete("seen").status_code == 403
    assert sorted(each.model or "" for each in client.list().models) == ["hidden:latest", "seen:latest"]
