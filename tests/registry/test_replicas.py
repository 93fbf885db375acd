"""The loop that brings versions to nodes and notes what became of them."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest
import redis
from rest_framework.test import APIClient

from models_registry.actions.blob import blob_store
from models_registry.actions.collect import collect_garbage
from models_registry.actions.name import delete_name
from models_registry.actions.replica import reconcile_replicas
from models_registry.blob_keys import blob_key
from models_registry.models import Channel, Replica, Version
from ollamamax.bus import keys
from ollamamax.celery import app
from ollamamax.contract import ModelState
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import ModelNotFound
from tests.cast import Person
from tests.cluster.conftest import Join, says
from tests.registry.conftest import Publish, write_gguf

pytestmark = pytest.mark.django_db(transaction=True)


def asked(valkey: redis.Redis, node: str) -> list[str]:
    """Names of the tasks that wait in the node's queue."""
    return [json.loads(message)["headers"]["task"] for message in valkey.lrange(keys.node_queue(node), 0, -1)]


def states(person: Person) -> list[tuple[str, int]]:
    with tenant_scope(person.tenant):
        return [(replica.state, replica.bytes_done) for replica in Replica.objects.all()]


def test_a_node_is_asked_once_for_what_it_lacks(
    owner: Person, stranger: Person, join: Join, publish: Publish, valkey: redis.Redis
) -> None:
    assert app.main == "ollamamax"
    joined, other = join(owner), join(stranger)
    publish(owner)
    says(valkey, joined)
    says(valkey, other)
    reconcile_replicas()
    reconcile_replicas()
    assert asked(valkey, joined.node.id.hex) == ["models_registry.fetch_version"]
    assert asked(valkey, other.node.id.hex) == []


def test_the_rows_follow_what_the_node_says(
    owner: Person, owner_api: APIClient, join: Join, publish: Publish, valkey: redis.Redis
) -> None:
    joined = join(owner)
    version = publish(owner)

    def report(state: str, **more: object) -> list[tuple[str, int]]:
        says(valkey, joined, ModelState(version.digest, "tiny:1b", state, "llamacpp", **more))  # type: ignore[arg-type]
        reconcile_replicas()
        return states(owner)

    assert report("fetching", size=100, bytes_done=40) == [("fetching", 40)]
    assert report("ready", size=100, bytes_done=100) == [("ready", 100)]
    assert report("loaded", size=100, bytes_done=100) == [("ready", 100)]
    (model,) = owner_api.get("/api/v1/models").json()["results"]
    assert [(r["node_name"], r["state"]) for r in model["replicas"]] == [("gpu-1", "ready")]
    assert report("failed", bytes_done=0, error="disk full") == [("failed", 0)]
    says(valkey, joined)
    reconcile_replicas()
    assert states(owner) == [("lost", 0)]


def test_a_silent_node_keeps_its_rows(owner: Person, join: Join, publish: Publish, valkey: redis.Redis) -> None:
    joined = join(owner)
    version = publish(owner)
    says(valkey, joined, ModelState(version.digest, "tiny:1b", "ready", "llamacpp", bytes_done=5))
    reconcile_replicas()
    valkey.delete(keys.node_state(joined.node.id.hex))
    reconcile_replicas()
    assert states(owner) == [("ready", 5)]


def test_a_model_that_an_engine_keeps_gets_a_name_and_is_present(
    owner: Person, owner_api: APIClient, join: Join, valkey: redis.Redis
) -> None:
    joined = join(owner, engine="ollama")
    digest = "sha256:" + "cd" * 32
    says(valkey, joined, ModelState(digest, "llama3:8b", "present", "ollama", size=9))
    reconcile_replicas()
    reconcile_replicas()
    (model,) = owner_api.get("/api/v1/models").json()["results"]
    assert (model["name"], model["version"], model["origin"], model["size"]) == ("llama3:8b", digest, "external", 9)
    assert [(r["state"]) for r in model["replicas"]] == ["present"]
    assert asked(valkey, joined.node.id.hex) == []
    entry = valkey.hget(keys.directory("models"), f"{owner.tenant.id.hex}/llama3:8b")
    assert json.loads(entry or b"")["version"] == digest


def test_another_model_of_the_same_name_does_not_take_the_name_away(
    owner: Person, join: Join, valkey: redis.Redis
) -> None:
    first, second = join(owner, "a", "ollama"), join(owner, "b", "ollama")
    says(valkey, first, ModelState("sha256:" + "01" * 32, "llama3:8b", "present", "ollama"))
    reconcile_replicas()
    says(valkey, second, ModelState("sha256:" + "02" * 32, "llama3:8b", "present", "ollama"))
    reconcile_replicas()
    with tenant_scope(owner.tenant):
        assert Version.objects.count() == 2
        assert Channel.objects.get().version.digest == "sha256:" + "01" * 32


def test_what_an_engine_calls_by_an_impossible_name_is_left_out(owner: Person, join: Join, valkey: redis.Redis) -> None:
    joined = join(owner, engine="openai")
    says(
        valkey,
        joined,
        ModelState("sha256:" + "01" * 32, "no good name!", "present", "openai"),
        ModelState("not a digest", "fine", "present", "openai"),
    )
    reconcile_replicas()
    with tenant_scope(owner.tenant):
        assert Channel.objects.count() == 0


def test_strangers_see_no_models(
    owner: Person, stranger_api: APIClient, anonymous_api: APIClient, publish: Publish, gguf: Path
) -> None:
    publish(owner)
    assert stranger_api.get("/api/v1/models").json()["results"] == []
    assert anonymous_api.get("/api/v1/models").status_code == 401


def test_what_no_name_points_at_is_taken_off_the_nodes(
    owner: Person, join: Join, publish: Publish, valkey: redis.Redis, tmp_path: Path
) -> None:
    joined = join(owner)
    old = publish(owner)
    new = publish(owner, file=write_gguf(tmp_path / "other.gguf", size=16))
    states = [ModelState(each.digest, "tiny:1b", "ready", "llamacpp", size=1) for each in (old, new)]
    says(valkey, joined, *states)
    reconcile_replicas()
    reconcile_replicas()
    [message] = [json.loads(each) for each in valkey.lrange(keys.node_queue(joined.node.id.hex), 0, -1)]
    assert message["headers"]["task"] == "models_registry.remove_version"
    assert old.digest in message["headers"]["kwargsrepr"]


def test_a_deleted_model_leaves_registry_nodes_and_disk(
    owner: Person, join: Join, publish: Publish, valkey: redis.Redis
) -> None:
    joined = join(owner)
    version = publish(owner, "tiny:1b", "latest")
    says(valkey, joined, ModelState(version.digest, "tiny:1b", "loaded", "llamacpp", size=1))
    reconcile_replicas()
    delete_name(acting=owner.acting, name="tiny:1b")
    reconcile_replicas()
    assert asked(valkey, joined.node.id.hex) == []
    assert collect_garbage(datetime.timedelta(0)) == 0
    delete_name(acting=owner.acting, name="tiny")
    assert valkey.hgetall(keys.directory("models")).keys() == {b""}
    reconcile_replicas()
    assert asked(valkey, joined.node.id.hex) == ["models_registry.remove_version"]
    with tenant_scope(owner.tenant):
        assert (Version.objects.count(), Channel.objects.count(), Replica.objects.count()) == (0, 0, 0)
    [digest] = [layer["digest"] for layer in version.manifest["layers"]]
    assert blob_store().stat(blob_key(digest)) is not None
    assert collect_garbage(datetime.timedelta(0)) == 1
    assert blob_store().stat(blob_key(digest)) is None


def test_another_tenants_model_of_the_same_bytes_keeps_them(owner: Person, stranger: Person, publish: Publish) -> None:
    version = publish(owner)
    publish(stranger)
    delete_name(acting=owner.acting, name="tiny:1b")
    assert collect_garbage(datetime.timedelta(0)) == 0
    delete_name(acting=stranger.acting, name="tiny:1b")
    assert collect_garbage(datetime.timedelta(0)) == 1
    with pytest.raises(ModelNotFound):
        delete_name(acting=owner.acting, name="tiny:1b")
    assert version.digest


def test_what_an_engine_keeps_by_itself_is_never_removed(owner: Person, join: Join, valkey: redis.Redis) -> None:
    joined = join(owner, engine="ollama")
    says(valkey, joined, ModelState("sha256:" + "ab" * 32, "kept:1", "present", "ollama"))
    reconcile_replicas()
    with tenant_scope(owner.tenant):
        Channel.objects.all().delete()
    reconcile_replicas()
    assert asked(valkey, joined.node.id.hex) == []


def test_what_is_wanted_stands_beside_what_the_node_says(
    owner: Person, join: Join, publish: Publish, valkey: redis.Redis, tmp_path: Path
) -> None:
    def rows() -> list[tuple[str, str, str]]:
        with tenant_scope(owner.tenant):
            found = Replica.objects.select_related("version").all()
            return sorted((each.version.digest, each.desired, each.state) for each in found)

    joined = join(owner)
    version = publish(owner)
    says(valkey, joined)
    for _ in range(2):
        reconcile_replicas()
        assert rows() == [(version.digest, "held", "pending")]
    says(valkey, joined, ModelState(version.digest, "tiny:1b", "ready", "llamacpp", size=8))
    reconcile_replicas()
    assert rows() == [(version.digest, "held", "ready")]
    # The name moves on: the one is wanted no more, the other is.
    newer = publish(owner, file=write_gguf(tmp_path / "newer.gguf", size=16))
    reconcile_replicas()
    assert rows() == sorted([(version.digest, "absent", "ready"), (newer.digest, "held", "pending")])
