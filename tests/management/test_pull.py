"""`/api/pull` and `/api/push` against a registry on loopback, with Ollama's own client."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ollama
import pytest
from pytest_django import Settings

from models_registry import manifest as manifests
from models_registry.actions.blob import blob_store, put_bytes
from models_registry.blob_keys import blob_key
from models_registry.models import Job, Version
from models_registry.transfer.session import is_public
from ollamamax.blobs.reading import read_bytes
from ollamamax.env import Environment
from ollamamax.identity.scope import every_tenant, tenant_scope
from tests.cast import Key, Person
from tests.fakes.registry import Registry
from tests.management.conftest import Controller, Served, write_gguf
from tests.patience import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def registry(settings: Settings) -> Iterator[Registry]:
    made = Registry()
    allowed = {"OLLAMAMAX_PULL_REGISTRIES": [made.host, "registry.ollama.ai"]}
    settings.ENV = Environment({**settings.ENV.values, **allowed})
    yield made
    made.stop()


@pytest.fixture
def weights(tmp_path: Path) -> bytes:
    return write_gguf(tmp_path / "big.gguf", size=1_000_000).read_bytes()


@pytest.fixture
def name(registry: Registry, weights: bytes) -> str:
    registry.publish(
        "team/tiny:1b",
        registry.add(weights, "model"),
        registry.add(b"You are small.", "system"),
        registry.add(b'{"temperature": 0.1, "stop": ["x"]}', "params"),
        registry.add(b"MIT", "license"),
    )
    return f"{registry.host}/team/tiny:1b"


@pytest.fixture
def client(registry: Registry, client: ollama.Client) -> ollama.Client:
    """The web process is started when the registry is known."""
    return client


@pytest.fixture
def served(registry: Registry, served: Served) -> Served:
    return served


def states() -> list[str]:
    with every_tenant():
        return list(Job.objects.order_by("id").values_list("state", flat=True))


def test_a_model_comes_with_all_its_layers(
    client: ollama.Client, name: str, registry: Registry, weights: bytes, owner: Person
) -> None:
    told = list(client.pull(name, stream=True))
    assert told[0].status == "pulling manifest"
    assert [each.status for each in told[-3:]] == ["verifying sha256 digest", "writing manifest", "success"]
    digest = json.loads(registry.manifests["team/tiny:1b"])["layers"][0]["digest"]
    last = [each for each in told if each.digest == digest][-1]
    assert (last.status, last.total, last.completed) == (f"pulling {digest[7:19]}", len(weights), len(weights))
    assert [model.model for model in client.list().models] == [name]
    with tenant_scope(owner.tenant):
        version = Version.objects.get()
    image_config = manifests.image_config_of(version.manifest)
    assert image_config is not None
    assert json.loads(manifests.image(version.manifest, image_config)) == json.loads(registry.manifests["team/tiny:1b"])
    # Again, nothing is fetched twice.
    before = len(registry.ranges(digest))
    assert client.pull(name).status == "success"
    assert len(registry.ranges(digest)) == before
    assert client.delete(name).status == "success"


def test_a_broken_connection_is_gone_on_with_by_ranges(
    client: ollama.Client, name: str, registry: Registry, weights: bytes
) -> None:
    registry.break_after = 1_500_000
    registry.fail = 2
    assert client.pull(name).status == "success"
    digest = json.loads(registry.manifests["team/tiny:1b"])["layers"][0]["digest"]
    starts = [int(each.removeprefix("bytes=").rstrip("-")) for each in registry.ranges(digest) if each]
    assert len(starts) >= 2
    assert starts == sorted(starts)
    assert starts[0] > 0
    assert read_bytes(blob_store(), blob_key(digest)) == weights


def test_a_token_is_fetched_where_one_is_asked_for(client: ollama.Client, name: str, registry: Registry) -> None:
    registry.token = "secret"
    assert client.pull(name).status == "success"
    assert any(path == "/token" for _, path, _ in registry.requests)


WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({"change": lambda data: b"x" + data[1:]}, 502, "digest mismatch"),
    ({"change": lambda data: data + b"more", "ignores_ranges": True}, 502, "sent more than the"),
    ({"change": lambda data: data[:-4]}, 502, "The registry ended after|broke off"),
    ({"fail": 10**6}, 502, "answered with HTTP 500"),
    ({"elsewhere": "http://127.0.0.1:1/x"}, 403, "where we do not go"),
    ({"elsewhere": "https://10.0.0.1/x"}, 403, "where we do not go"),
    ({"elsewhere": "https://localhost/x"}, 403, "not of the public Internet"),
    ({"elsewhere": "https://[::ffff:169.254.169.254]/x"}, 403, "where we do not go"),
    ({"token": "t", "realm": "http://169.254.169.254/latest"}, 403, "where we do not go"),
]


@pytest.mark.parametrize(("faults", "status", "words"), WRONG, ids=[f"{row[2]}-{i}" for i, row in enumerate(WRONG)])
def test_a_registry_that_is_wrong_is_refused_and_nothing_is_published(
    client: ollama.Client, name: str, registry: Registry, faults: dict[str, Any], status: int, words: str
) -> None:
    for fault, value in faults.items():
        setattr(registry, fault, value)
    with pytest.raises(ollama.ResponseError, match=words) as error:
        client.pull(name)
    assert error.value.status_code == status
    assert client.list().models == []
    assert states() == ["failed"]


def bounded(settings: Settings, most: int) -> None:
    settings.ENV = Environment({**settings.ENV.values, "OLLAMAMAX_MAX_TENANT_BLOBS_BYTES": most})


def test_a_pull_beyond_what_the_tenant_may_have_is_refused_before_it_is_fetched(
    client: ollama.Client, name: str, registry: Registry, weights: bytes, settings: Settings
) -> None:
    digest = json.loads(registry.manifests["team/tiny:1b"])["layers"][0]["digest"]
    bounded(settings, len(weights) - 1)
    with pytest.raises(ollama.ResponseError, match=r"may have \d+: \d+ more are too many") as error:
        client.pull(name)
    assert error.value.status_code == 413
    assert registry.ranges(digest) == []
    assert (client.list().models, states()) == ([], ["failed"])
    bounded(settings, len(weights) + 10_000)
    assert client.pull(name).status == "success"


def test_what_was_begun_and_left_counts_among_what_the_tenant_has(
    client: ollama.Client,
    name: str,
    registry: Registry,
    weights: bytes,
    owner: Person,
    stranger: Person,
    settings: Settings,
) -> None:
    bounded(settings, len(weights) + 10_000)
    blob_store().staging.part(stranger.tenant.id.hex, "1" * 64).location.write_bytes(bytes(20_000))
    left = blob_store().staging.part(owner.tenant.id.hex, "2" * 64)
    left.location.write_bytes(bytes(20_000))
    with pytest.raises(ollama.ResponseError, match="too many"):
        client.pull(name)
    left.discard()
    assert client.pull(name).status == "success"


def test_a_size_that_is_a_lie_is_found_out(client: ollama.Client, registry: Registry, weights: bytes) -> None:
    layer = registry.add(weights, "model")
    registry.publish("team/less:1", layer | {"size": 1000})
    registry.publish("team/more:1", layer | {"size": len(weights) + 5})
    registry.publish("team/huge:1", layer | {"size": 1 << 60})
    for model, words in (("less", "more than the 1000 bytes"), ("more", "ended after"), ("huge", "takes at most")):
        with pytest.raises(ollama.ResponseError, match=words):
            client.pull(f"{registry.host}/team/{model}:1")


def test_what_is_not_there_or_not_allowed_or_no_name_is_refused(client: ollama.Client, registry: Registry) -> None:
    with pytest.raises(ollama.ResponseError) as missing:
        client.pull(f"{registry.host}/team/none:1")
    assert (missing.value.status_code, missing.value.error) == (404, "pull model manifest: file does not exist")
    for name, status in (
        ("127.0.0.1:1/a/b", 403),
        ("evil.example/a/b", 403),
        ("http://registry.ollama.ai/a/b", 400),
        ("a/b/c/d", 400),
        (":", 400),
    ):
        with pytest.raises(ollama.ResponseError) as error:
            client.pull(name)
        assert error.value.status_code == status, name
    assert states() == ["failed"]


def test_what_others_have_is_fetched_all_the_same(
    client: ollama.Client, name: str, registry: Registry, weights: bytes, stranger: Person
) -> None:
    """A registry is not proof: else a manifest with a known digest would give another tenant's bytes."""
    blob = put_bytes(tenant=stranger.tenant.id, data=weights, media_type=manifests.GGUF)
    client.pull(name)
    assert registry.ranges(blob.digest) == [""]


def test_it_goes_on_when_the_caller_leaves_and_a_second_caller_joins(
    client: ollama.Client, served: Served, owner_key: Key, name: str, registry: Registry
) -> None:
    registry.pause = 0.1
    told: Any = client.pull(name, stream=True)
    next(told)
    told.close()
    ends: list[str | None] = []
    threads = [
        threading.Thread(target=lambda: ends.append(served.ollama(owner_key).pull(name).status)) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends == ["success"] * 3
    assert states() == ["done"]


def test_a_job_is_seen_and_cancelled(
    client: ollama.Client, served: Served, owner_key: Key, stranger_key: Key, name: str, registry: Registry
) -> None:
    registry.pause = 0.3
    with served.http(owner_key) as http, served.http(stranger_key) as other:
        with http.stream("POST", "/api/pull", json={"model": name}) as told:
            lines = told.iter_lines()
            next(lines)
            [job] = http.get("/api/v1/jobs").json()["results"]
            assert (job["kind"], job["model"], job["state"]) == ("pull", name, "running")
            assert other.get("/api/v1/jobs").json()["results"] == []
            for method in ("GET", "DELETE"):
                assert other.request(method, f"/api/v1/jobs/{job['id']}").status_code == 404
            assert http.delete(f"/api/v1/jobs/{job['id']}").status_code == 204
            assert json.loads(list(lines)[-1]) == {"error": "The job was cancelled."}
        assert http.delete(f"/api/v1/jobs/{job['id']}").status_code == 204
        found = http.get(f"/api/v1/jobs/{job['id']}").json()
        assert (found["state"], found["error"]) == ("cancelled", "The job was cancelled.")
    registry.pause = 0.0
    # What was begun is gone on with by the next pull.
    assert client.pull(name).status == "success"


def test_a_controller_that_stops_hands_its_job_over(
    client: ollama.Client, controller: Controller, name: str, registry: Registry
) -> None:
    registry.pause = 0.2
    told = client.pull(name, stream=True)
    for each in told:
        if each.completed:
            break
    controller.stop()
    wait_for(lambda: states() == ["waiting"])
    registry.pause = 0.0
    again = Controller()
    assert [each.status for each in told][-1] == "success"
    again.stop()
    digest = json.loads(registry.manifests["team/tiny:1b"])["layers"][0]["digest"]
    assert registry.ranges(digest)[-1].startswith("bytes=")


def test_a_model_is_pushed_and_comes_back_the_same(
    client: ollama.Client, registry: Registry, gguf: Path, owner: Person
) -> None:
    registry.token = "secret"
    client.create("mine", files={"m.gguf": client.create_blob(gguf)}, system="I am mine.", license="MIT")
    target = f"{registry.host}/me/mine:2"
    client.copy("mine", target)
    told = list(client.push(target, stream=True))
    assert told[0].status == "retrieving manifest"
    assert [each.status for each in told[-2:]] == ["pushing manifest", "success"]
    kept = json.loads(registry.manifests["me/mine:2"])
    assert {layer["mediaType"].rsplit(".", 1)[-1] for layer in kept["layers"]} == {"model", "system", "license"}
    assert client.push(target).status == "success"
    assert client.pull(target).status == "success"
    with pytest.raises(ollama.ResponseError) as error:
        client.push(f"{registry.host}/me/nobody")
    assert error.value.status_code == 404
    with pytest.raises(ollama.ResponseError) as refused:
        client.push("evil.example/me/mine")
    assert refused.value.status_code == 403


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("1.1.1.1", True),
        ("2606:4700::1111", True),
        ("10.0.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False),
        ("224.0.0.1", False),
        ("0.0.0.0", False),
    ],
)
def test_only_public_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public
