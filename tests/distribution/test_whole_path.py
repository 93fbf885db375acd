"""A model pushed by skopeo is a version; every version is pulled by skopeo and as Ollama's client does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from models_registry import manifest as manifests
from models_registry.actions.version import publish_gguf
from models_registry.models import Channel, Release, Version
from ollamamax.audit.models import AuditRecord
from ollamamax.identity.scope import tenant_scope
from tests.cast import Key, Person
from tests.distribution.conftest import Repository, Served, digest_of
from tests.distribution.ollama_client import OllamaClient, register

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        shutil.which("skopeo") is None and "CI" not in os.environ, reason="skopeo is not installed (Debian has it)"
    ),
]


def skopeo(key: Key, *arguments: str, home: Path) -> str:
    command = ["skopeo", "--insecure-policy", "--tmpdir", str(home), *arguments]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "HOME": str(home), "XDG_RUNTIME_DIR": str(home)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def copy(key: Key, source: str, destination: str, home: Path) -> None:
    options = []
    for side, place in (("src", source), ("dest", destination)):
        if place.startswith("docker://"):
            options += [f"--{side}-tls-verify=false", f"--{side}-creds=key:{key.text}"]
    skopeo(key, "copy", *options, source, destination, home=home)


def layout(folder: Path, weights: bytes) -> None:
    """A model as an OCI layout on disk, as its builder leaves it."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, media_type: str) -> dict[str, object]:
        digest = digest_of(data)
        (blobs / digest.removeprefix("sha256:")).write_bytes(data)
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    config = {
        "model_format": "gguf",
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": []},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": manifests.OCI_IMAGE,
        "config": put(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
        "layers": [put(weights, manifests.GGUF), put(b"Be kind.", manifests.SYSTEM)],
    }
    top = put(json.dumps(manifest).encode(), manifests.OCI_IMAGE)
    index = {"schemaVersion": 2, "manifests": [{**top, "annotations": {"org.opencontainers.image.ref.name": "1b"}}]}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def test_a_model_that_skopeo_copies_in_is_a_version_and_comes_out_the_same(
    served: Served, repository: Repository, owner: Person, owner_key: Key, gguf: Path, tmp_path: Path
) -> None:
    layout(tmp_path / "in", gguf.read_bytes())
    place = f"docker://{served.url.removeprefix('http://')}/acme/tiny:1b"
    copy(owner_key, f"oci:{tmp_path / 'in'}:1b", place, tmp_path)
    with tenant_scope(owner.tenant):
        channel = Channel.objects.select_related("version").get(model__name="tiny", name="1b")
        assert channel.version.source == Version.Source.HOSTED
        assert channel.version.details["family"] == "llama"
        assert Release.objects.get().origin == Release.Origin.PUSHED
    pushed = AuditRecord.objects.get(action="image.push")
    assert pushed.detail["image"] == channel.image
    copy(owner_key, place, f"dir:{tmp_path / 'out'}", tmp_path)
    assert digest_of((tmp_path / "out" / "manifest.json").read_bytes()) == channel.image
    weights = tmp_path / "out" / digest_of(gguf.read_bytes()).removeprefix("sha256:")
    assert weights.read_bytes() == gguf.read_bytes()


def test_a_version_that_was_published_is_pulled_as_ollama_does(
    served: Served, repository: Repository, owner: Person, owner_key: Key, gguf: Path, tmp_path: Path
) -> None:
    publish_gguf(acting=owner.acting, file=gguf, name="tiny:2b", texts=[(manifests.SYSTEM, b"Be kind.")])
    with OllamaClient(served.url, tmp_path / "theirs", part=100) as client:
        assert register(served, owner_key, client) == 204
        pulled = client.pull("acme/tiny:2b")
    assert [each["mediaType"] for each in pulled["layers"]] == [manifests.GGUF, manifests.SYSTEM]
    for each in [*pulled["layers"], pulled["config"]]:
        data = client.blob(each["digest"]).read_bytes()
        assert (digest_of(data), len(data)) == (each["digest"], each["size"])


def test_a_model_that_ollama_pushes_is_a_version(
    served: Served, repository: Repository, owner: Person, owner_key: Key, gguf: Path, tmp_path: Path
) -> None:
    with OllamaClient(served.url, tmp_path / "theirs", part=100) as client:
        assert register(served, owner_key, client) == 204
        client.make("acme/new:1b", {manifests.GGUF: gguf.read_bytes(), manifests.TEMPLATE: b"{{ .Prompt }}"})
        client.push("acme/new:1b")
    with tenant_scope(owner.tenant):
        version = Channel.objects.select_related("version").get(model__name="new", name="1b").version
    assert version.source == Version.Source.HOSTED
    assert [each["media_type"] for each in version.manifest["layers"]] == [manifests.GGUF, manifests.TEMPLATE]
