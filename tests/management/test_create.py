"""`/api/create`, `/api/copy` and `/api/delete` with Ollama's own client: what is made, and what is refused by name."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy
import ollama
import pytest
from gguf import GGUFWriter
from pytest_django import Settings

from models_registry import manifest as manifests
from models_registry.actions.blob import blob_store
from models_registry.actions.version import register_external
from models_registry.blob_keys import blob_key
from models_registry.models import Job, Version
from ollamamax.audit.models import AuditRecord
from ollamamax.blobs.reading import read_bytes
from ollamamax.env import Environment
from ollamamax.identity.access import REVOKED_MEANWHILE
from ollamamax.identity.actions.key import revoke_key
from ollamamax.identity.scope import every_tenant, tenant_scope
from tests import cast
from tests.cast import Key, Person
from tests.management.conftest import Controller, Served, knows, write_gguf

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def digest(client: ollama.Client, gguf: Path) -> str:
    return client.create_blob(gguf)


def version(person: Person, name: str) -> Version:
    with tenant_scope(person.tenant):
        return Version.objects.filter(manifest__name=name).latest("created_at")


def layer(found: Version, media_type: str) -> Any:
    [digest] = [each.digest for each in manifests.layers_of(found.manifest) if each.media_type == media_type]
    return read_bytes(blob_store(), blob_key(digest))


def test_every_part_is_a_layer_of_ollamas_own_kind(client: ollama.Client, digest: str, owner: Person) -> None:
    client.create(
        "whole:1",
        files={"m.gguf": digest},
        system="Be brief.",
        template="{{ .System }} {{ .Prompt }}",
        parameters={"temperature": 0.5, "stop": ["a", "b"], "num_ctx": 128},
        license=["MIT", "Apache-2.0"],
        messages=[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}],
    )
    made = version(owner, "whole:1")
    kinds = [each.media_type.rsplit(".", 1)[-1] for each in manifests.layers_of(made.manifest)]
    assert sorted(kinds) == ["license", "license", "messages", "model", "params", "system", "template"]
    assert layer(made, manifests.SYSTEM) == b"Be brief."
    assert json.loads(layer(made, manifests.PARAMS)) == {"num_ctx": 128, "stop": ["a", "b"], "temperature": 0.5}
    assert json.loads(layer(made, manifests.MESSAGES))[1] == {"role": "assistant", "content": "ho"}
    image_config = manifests.image_config_of(made.manifest)
    assert image_config is not None
    assert json.loads(read_bytes(blob_store(), blob_key(image_config.digest)))["model_family"] == "llama"
    told = AuditRecord.objects.filter(action__in=["job.create", "version.publish"]).order_by("seq")
    assert [row.action for row in told] == ["job.create", "version.publish"]
    # Ollama's tags know it.
    assert [model.model for model in client.list().models] == ["whole:1"]


def test_parts_beyond_what_the_tenant_may_have_are_refused(
    client: ollama.Client, digest: str, gguf: Path, settings: Settings
) -> None:
    most = gguf.stat().st_size + 1000
    settings.ENV = Environment({**settings.ENV.values, "OLLAMAMAX_MAX_TENANT_BLOBS_BYTES": most})
    with pytest.raises(ollama.ResponseError, match=r"may have \d+: \d+ more are too many") as error:
        client.create("wide", files={"m.gguf": digest}, system="x" * 1001)
    assert error.value.status_code == 413
    assert client.list().models == []
    client.create("narrow", files={"m.gguf": digest}, system="x")


def test_a_model_of_a_model_keeps_what_is_not_named_anew(client: ollama.Client, digest: str, owner: Person) -> None:
    client.create("a", files={"m.gguf": digest}, system="one", parameters={"temperature": 0.5, "top_k": 3}, license="X")
    client.create("b", from_="a", parameters={"temperature": 0.7}, license="Y")
    made = version(owner, "b:latest")
    assert layer(made, manifests.SYSTEM) == b"one"
    assert json.loads(layer(made, manifests.PARAMS)) == {"temperature": 0.7, "top_k": 3}
    assert layer(made, manifests.LICENSE) == b"Y"
    assert layer(made, manifests.GGUF) == layer(version(owner, "a:latest"), manifests.GGUF)


def test_the_same_again_and_at_once_is_one_model(
    client: ollama.Client, served: Served, owner_key: Key, digest: str, owner: Person
) -> None:
    failures: list[BaseException] = []

    def make() -> None:
        try:
            served.ollama(owner_key).create("same", files={"m.gguf": digest}, system="x")
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with tenant_scope(owner.tenant):
        assert Version.objects.count() == 1
        assert set(Job.objects.values_list("state", flat=True)) == {"done"}


def test_a_modelfile_is_taken_as_its_fields(
    client: ollama.Client, served: Served, owner_key: Key, digest: str, owner: Person
) -> None:
    text = f"FROM @{digest}\nSYSTEM one\nPARAMETER temperature 0.5\nPARAMETER stop a\nPARAMETER stop b\nPARAMETER num_ctx 128\n"
    with served.http(owner_key) as http:
        made = http.post("/api/create", json={"name": "old", "modelfile": text, "stream": False})
        assert made.json() == {"status": "success"}
        again = {"model": "New", "modelfile": "FROM Old\nMESSAGE user hi", "system": "two", "stream": False}
        assert http.post("/api/create", json=again).json() == {"status": "success"}
        bad = http.post("/api/create", json={"name": "x", "modelfile": f"FROM @{digest}\nPARAMETER num_ctx many"})
        assert (bad.status_code, "num_ctx" in bad.json()["error"]) == (400, True)
        bad = http.post("/api/create", json={"name": "x", "modelfile": "PARAMETER stop x"})
        assert (bad.status_code, bad.json()) == (400, {"error": "no FROM line"})
    old, new = version(owner, "old:latest"), version(owner, "New:latest")
    assert json.loads(layer(old, manifests.PARAMS)) == {"num_ctx": 128, "stop": ["a", "b"], "temperature": 0.5}
    assert (layer(old, manifests.SYSTEM), layer(new, manifests.SYSTEM)) == (b"one", b"two")
    assert json.loads(layer(new, manifests.MESSAGES)) == [{"role": "user", "content": "hi"}]
    assert new.details["parent_model"] == "Old:latest"


def test_bodies_are_read_as_ollama_reads_them(
    served: Served, client: ollama.Client, owner_key: Key, digest: str
) -> None:
    with served.http(owner_key) as http:
        body = {"Model": "m", "files": {"m.gguf": digest}, "system": None, "stream": False, "colour": 1}
        made = http.post("/api/create", json=body | {"parameters": {"num_ctx": 128.0, "top_k": None}})
        assert (made.status_code, made.headers["x-ollamamax-ignored"]) == (200, "colour")
        for path, more in (("/api/copy", {"Source": "m", "destination": "n"}), ("/api/show", {"MODEL": "n"})):
            assert http.post(path, json=more).status_code == 200
        assert http.request("DELETE", "/api/delete", json={"NAME": "n", "model": None}).status_code == 200


def test_names_are_found_in_any_case_and_with_what_ollama_adds(
    client: ollama.Client, digest: str, owner: Person
) -> None:
    client.create("Named", files={"m.gguf": digest})
    client.create("named", from_="registry.ollama.ai/library/NAMED", system="new")  # the same model, made anew
    client.copy("library/named", "other")
    client.delete("OTHER")
    assert [model.model for model in client.list().models] == ["Named:latest"]
    assert layer(version(owner, "Named:latest"), manifests.SYSTEM) == b"new"


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({}, 400, "invalid model name"),
    ({"model": "a b", "files": {"m": "D"}}, 400, "invalid model name"),
    ({"model": "m"}, 400, "neither 'from' or 'files' was specified"),
    ({"model": "m", "from": "x", "files": {"m": "D"}}, 400, "either 'from' or 'files'"),
    ({"model": "m", "from": "nobody"}, 404, "model 'nobody:latest' not found"),
    ({"model": "m", "files": {"m": "sha256:1"}}, 400, "invalid digest format"),
    ({"model": "m", "files": {"m": "sha256:" + "0" * 64}}, 400, "not found; send it to"),
    ({"model": "m", "files": {"m": "D"}, "quantize": "q4_K_M"}, 400, "the llamacpp engine here cannot quantize"),
    ({"model": "m", "files": {"m": "D"}, "template": "{{ if }"}, 400, "template error"),
    ({"model": "m", "files": {"m": "D"}, "template": "{{ frobnicate . }}"}, 400, "'frobnicate' not defined"),
    ({"model": "m", "files": {"m": "D"}, "parameters": {"num_predict": "many"}}, 400, "'num_predict' has a wrong"),
    ({"model": "m", "files": {"m": "D"}, "parameters": {"tfs_z": 1.0}}, 400, "not supported by the llamacpp engine"),
    ({"model": "m", "files": {"m": "D"}, "adapters": {"l": "D"}}, 400, "is not a LoRA adapter"),
    ({"model": "m", "files": {"m": "D"}, "messages": [{"role": "god", "content": ""}]}, 400, "a message has a role"),
    ({"model": "m", "files": {"m": "D"}, "remote_host": "http://x"}, 400, "models run on this fleet only"),
    ({"model": 5}, 400, "Expected `str`"),
]


@pytest.mark.parametrize(("body", "status", "words"), REFUSED, ids=[row[2] for row in REFUSED])
@pytest.mark.parametrize("stream", [True, False])
def test_what_cannot_be_is_refused_by_name(
    served: Served, client: ollama.Client, owner_key: Key, digest: str, body: Any, status: int, words: str, stream: bool
) -> None:
    text = json.dumps(body | {"stream": stream}).replace('"D"', f'"{digest}"')
    with served.http(owner_key) as http:
        answer = http.post("/api/create", content=text)
    # A job that began to speak tells its end in its last line.
    last = answer.json() if answer.status_code != 200 else json.loads(answer.text.splitlines()[-1])
    assert answer.status_code in ({status, 200} if stream else {status})
    assert words in last["error"]


def test_what_is_not_json_or_nothing_is_refused(served: Served, client: ollama.Client, owner_key: Key) -> None:
    with served.http(owner_key) as http:
        for path in ("/api/create", "/api/pull", "/api/copy"):
            assert http.post(path, content=b"{").status_code == 400
            assert http.post(path).json() == {"error": "missing request body"}
        assert http.post("/api/create", content=b" " * (17 << 20)).status_code == 413


def test_what_is_no_gguf_and_two_weights_are_refused(client: ollama.Client, digest: str, tmp_path: Path) -> None:
    poem = tmp_path / "poem"
    poem.write_text("shall I compare thee" * 10)
    other = client.create_blob(write_gguf(tmp_path / "two.gguf", size=16))
    with pytest.raises(ollama.ResponseError, match="cannot be read as a GGUF"):
        client.create("m", files={"poem": client.create_blob(poem)})
    with pytest.raises(ollama.ResponseError, match="the weights in one GGUF file; it holds 2"):
        client.create("m", files={"1.gguf": digest, "2.gguf": other})


def test_an_adapter_becomes_a_layer(client: ollama.Client, digest: str, tmp_path: Path, owner: Person) -> None:
    writer = GGUFWriter(tmp_path / "lora.gguf", "llama")
    writer.add_type("adapter")
    writer.add_tensor("w", numpy.arange(8, dtype=numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    adapter = client.create_blob(tmp_path / "lora.gguf")
    client.create("tuned", files={"m.gguf": digest}, adapters={"lora.gguf": adapter})
    assert layer(version(owner, "tuned:latest"), manifests.ADAPTER) == (tmp_path / "lora.gguf").read_bytes()


def test_a_stranger_sees_uses_and_deletes_nothing(
    client: ollama.Client, served: Served, stranger_key: Key, digest: str
) -> None:
    client.create("mine", files={"m.gguf": digest})
    other = served.ollama(stranger_key)
    assert knows(lambda: other.list()).models == []
    attempts: list[Callable[[], Any]] = [
        lambda: other.create("theirs", from_="mine"),
        lambda: other.copy("mine", "theirs"),
        lambda: other.delete("mine"),
        lambda: other.push("mine"),
    ]
    for attempt in attempts:
        with pytest.raises(ollama.ResponseError) as error:
            attempt()
        assert error.value.status_code == 404
    with pytest.raises(ollama.ResponseError, match="not found; send it"):
        other.create("theirs", files={"m.gguf": digest})
    assert [model.model for model in client.list().models] == ["mine:latest"]


def test_names_are_copied_and_deleted(client: ollama.Client, digest: str, owner: Person) -> None:
    client.create("a", files={"m.gguf": digest})
    assert client.copy("a", "team/b:2").status == "success"
    client.copy("a", "team/b:2")
    client.delete("a")
    assert [model.model for model in client.list().models] == ["team/b:2"]
    attempts: list[Callable[[], Any]] = [lambda: client.delete("a"), lambda: client.copy("a", "c")]
    for attempt in attempts:
        with pytest.raises(ollama.ResponseError) as error:
            attempt()
        assert (error.value.status_code, error.value.error) == (404, "model 'a:latest' not found")
    client.delete("team/b:2")
    with tenant_scope(owner.tenant):
        assert Version.objects.count() == 0
    for names in (("", "c"), ("a", "b c")):
        with pytest.raises(ollama.ResponseError, match="invalid model name"):
            client.copy(*names)


def test_a_model_that_an_engine_keeps_is_copied_by_name_and_deleted_with_its_last(
    client: ollama.Client, owner: Person
) -> None:
    register_external(acting=owner.acting, name="kept:1", digest="sha256:" + "ab" * 32, engine="ollama", size=5)
    client.copy("kept:1", "alias")
    assert {model.model for model in client.list().models} == {"kept:1", "alias:latest"}
    with pytest.raises(ollama.ResponseError, match="No node that has 'kept:1' is there now"):
        client.create("new", from_="kept:1", system="x")
    client.delete("kept:1")
    assert {model.model for model in client.list().models} == {"alias:latest"}


@pytest.mark.parametrize("name", ["/data/models/My-Model", "acme/Some.Model-7B@main", "_mine", "gpt+tools"])
def test_names_that_engines_give_are_kept_and_copied_to_better_ones(
    client: ollama.Client, owner: Person, name: str
) -> None:
    register_external(acting=owner.acting, name=name, digest="sha256:" + "ab" * 32, engine="openai", size=5)
    client.copy(name, "better")
    assert {model.model for model in client.list().models} == {f"{name}:latest", "better:latest"}
    with pytest.raises(ollama.ResponseError, match="invalid model name"):
        client.copy("better", "/worse")


def test_jobs_end_with_the_controller_and_begin_with_the_next(
    served: Served, client: ollama.Client, controller: Controller, owner_key: Key, digest: str
) -> None:
    controller.stop()
    with (
        served.http(owner_key) as http,
        http.stream("POST", "/api/create", json={"model": "later", "files": {"m": digest}}) as told,
    ):
        lines = told.iter_lines()
        assert json.loads(next(lines)) == {"status": "waiting"}
        again = Controller()
        assert json.loads(list(lines)[-1]) == {"status": "success"}
    again.stop()


def test_a_revoked_keys_upload_and_progress_end_while_its_job_goes_on(
    served: Served, client: ollama.Client, controller: Controller, owner: Person, owner_key: Key, digest: str
) -> None:
    controller.stop()
    other = cast.make_key(owner)

    def parts() -> Iterator[bytes]:
        yield b"x" * (1 << 20)
        revoke_key(acting=owner.acting, key_id=other.row.id)
        yield from itertools.repeat(b"x" * (1 << 20), 1000)

    knows(lambda: served.ollama(other).list())
    with served.http(other) as http, contextlib.suppress(httpx.WriteError):
        assert http.post("/api/blobs/sha256:" + "0" * 64, content=parts()).status_code == 401
    with (
        served.http(owner_key) as http,
        http.stream("POST", "/api/create", json={"model": "later", "files": {"m": digest}}) as told,
    ):
        lines = told.iter_lines()
        assert json.loads(next(lines)) == {"status": "waiting"}
        revoke_key(acting=owner.acting, key_id=owner_key.row.id)
        assert json.loads(list(lines)[-1]) == {"error": REVOKED_MEANWHILE}
    with every_tenant():
        assert [job.state for job in Job.objects.all()] == [Job.State.WAITING]
