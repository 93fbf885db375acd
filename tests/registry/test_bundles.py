"""Bundles: out of one installation, into an empty other; and whatever is not as it was signed, or is signed by nobody known, is refused with nothing kept."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as current
from pytest_django import Settings
from rest_framework.test import APIClient

from models_registry import manifest as manifests
from models_registry.actions.blob import blob_store, keep_upload
from models_registry.actions.bundle import import_bundle, set_trusted_signers
from models_registry.actions.version import publish_gguf
from models_registry.blob_keys import blob_key, digest_of
from models_registry.bundle import layout, signing
from models_registry.bundle.signing import BundleInvalid, SignerNotTrusted
from models_registry.jobs.bundle import import_here
from models_registry.jobs.work import Work
from models_registry.models import Channel, Job, Model, Release, Upload, Version
from ollamamax.audit.models import AuditRecord
from ollamamax.blobs.reading import read_bytes
from ollamamax.env import Environment
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import TooLarge
from tests.cast import Person, logged_in, make_person
from tests.registry.test_api_releases import MODELS

pytestmark = pytest.mark.django_db(transaction=True)
EXPORT, IMPORT, SIGNERS = "/api/v1/bundles/export", "/api/v1/bundles/import", "/api/v1/bundles/signers"


def unheard(words: str, digest: str, size: int, done: int) -> None:
    """Of how far it is."""


@pytest.fixture
def version(owner: Person, valkey: Any, gguf: Path) -> Version:
    texts = [(manifests.SYSTEM, b"Be kind."), (manifests.LICENSE, b"Apache-2.0")]
    made = publish_gguf(acting=owner.acting, file=gguf, name="tiny:1b", aliases=("stable",), texts=texts)
    with tenant_scope(owner.tenant):
        Model.objects.update(card="# Tiny", licence="Apache-2.0", tags=["small"])
    return made


@pytest.fixture
def bundle(version: Version, owner_api: APIClient) -> bytes:
    ids = [row["id"] for row in owner_api.get(MODELS).json()["results"]]
    answer = owner_api.get(EXPORT, {"channel": ids})
    assert answer.status_code == 200
    data = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    assert answer["Content-Length"] == str(len(data))
    return data


class Elsewhere:
    """Another installation, with nothing in it: a secret and a store of its own."""

    def __init__(self, person: Person, trusted: str) -> None:
        self.person, self.trusted = person, trusted

    def trust(self) -> None:
        set_trusted_signers(acting=self.person.acting, signers=[{"name": "office", "key": self.trusted}])

    def send(self, data: bytes) -> str:
        incoming = blob_store().staging.receive()
        incoming.write(data)
        incoming.finish()
        keep_upload(acting=self.person.acting, incoming=incoming)
        return digest_of(incoming)

    def take(self, data: bytes) -> list[str]:
        return import_bundle(acting=self.person.acting, digest=self.send(data), tell=unheard)

    def refuse(self, data: bytes) -> None:
        """By the job; nothing of it is kept."""
        job = Job(tenant_id=self.person.tenant.id, request={"bundle": self.send(data)})
        with pytest.raises(BundleInvalid):
            import_here(self.person.acting, job, Work())
        self.has_nothing()

    def has_nothing(self) -> None:
        with tenant_scope(self.person.tenant):
            assert not Upload.objects.exists()
            assert not Version.objects.exists()
            assert not Model.objects.exists()
        assert not [each for each in (current.HOME / "blobs").rglob("incoming/*") if each.is_file()]


@pytest.fixture
def elsewhere(bundle: bytes, stranger: Person, settings: Settings, tmp_path: Path) -> Elsewhere:
    office = signing.public_key(settings.SECRET_KEY)
    settings.SECRET_KEY, settings.HOME = "another installation's " * 3, tmp_path / "elsewhere"
    return Elsewhere(stranger, office)


def test_a_bundle_brings_models_into_an_empty_installation(
    bundle: bytes, elsewhere: Elsewhere, version: Version, gguf: Path
) -> None:
    with pytest.raises(SignerNotTrusted) as refused:
        elsewhere.take(bundle)
    assert refused.value.fields["key"] == elsewhere.trusted
    elsewhere.trust()
    assert elsewhere.take(bundle) == ["tiny:1b", "tiny:stable"]
    work = Work()
    job = Job(tenant_id=elsewhere.person.tenant.id, request={"bundle": elsewhere.send(bundle)})
    import_here(elsewhere.person.acting, job, work)
    assert work.imported == ("tiny:1b", "tiny:stable")
    with tenant_scope(elsewhere.person.tenant):
        found = Version.objects.get()
        assert (found.digest, found.manifest) == (version.digest, version.manifest)
        assert {each.name for each in Channel.objects.all()} == {"1b", "stable"}
        assert Release.objects.get().origin == Release.Origin.BUNDLE
        assert not Upload.objects.exists()
        model = Model.objects.get()
        assert (model.card, model.licence, model.tags) == ("# Tiny", "Apache-2.0", ["small"])
    layers = manifests.layers_of(found.manifest)
    kept = [read_bytes(blob_store(), blob_key(each.digest)) for each in layers]
    assert kept == [gguf.read_bytes(), b"Be kind.", b"Apache-2.0"]
    actions = AuditRecord.objects.filter(action__startswith="bundle.").order_by("seq")
    assert [each.action for each in actions] == ["bundle.export", "bundle.import", "bundle.import"]


def test_it_is_an_image_layout_that_other_programs_read(bundle: bytes, tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(bundle)) as tar:
        files = {each.name: (tar.extractfile(each) or io.BytesIO()).read() for each in tar}
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    [entry] = json.loads(files["index.json"])["manifests"]
    assert entry["annotations"]["org.opencontainers.image.ref.name"] == "tiny:1b"
    image = json.loads(files[f"blobs/sha256/{entry['digest'][7:]}"])
    for each in (image["config"], *image["layers"]):
        data = files[f"blobs/sha256/{each['digest'][7:]}"]
        assert (layout.digest_of(data), len(data)) == (each["digest"], each["size"])
    if shutil.which("skopeo") is None and "CI" not in os.environ:
        pytest.skip("skopeo is not installed (Debian has it)")
    (tmp_path / "bundle.tar").write_bytes(bundle)
    source = f"oci-archive:{tmp_path / 'bundle.tar'}:tiny:1b"
    command = ["skopeo", "--insecure-policy", "--tmpdir", str(tmp_path), "copy", source, f"dir:{tmp_path / 'out'}"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert layout.digest_of((tmp_path / "out" / "manifest.json").read_bytes()) == entry["digest"]


def remade(data: bytes, change: Callable[[dict[str, bytes]], Any], kind: bytes = tarfile.REGTYPE) -> bytes:
    """The bundle with other members, in a tar as whole as before; ``kind``: of what was added."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        files = {each.name: (tar.extractfile(each) or io.BytesIO()).read() for each in tar}
    before = set(files)
    change(files)
    out = b""
    for name, content in files.items():
        info = tarfile.TarInfo(name)
        info.size, info.type = len(content), tarfile.REGTYPE if name in before else kind
        out += info.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512)
    return out + layout.END


def _largest(files: dict[str, bytes]) -> str:
    return max(files, key=lambda name: len(files[name]))


def _other_bytes(files: dict[str, bytes]) -> None:
    name = _largest(files)
    files[name] = files[name][:-1] + bytes([files[name][-1] ^ 1])


def _other_size(files: dict[str, bytes]) -> None:
    files[_largest(files)] += b"more"


def _other_index(files: dict[str, bytes]) -> None:
    files["index.json"] = files["index.json"].replace(b"stable", b"latest")


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "other bytes": lambda data: remade(data, _other_bytes),
    "other size": lambda data: remade(data, _other_size),
    "other index": lambda data: remade(data, _other_index),
    "a member less": lambda data: remade(data, lambda files: files.pop(_largest(files))),
    "no signature": lambda data: remade(data, lambda files: files.pop("ollamamax-signature.json")),
    "a member more": lambda data: remade(data, lambda files: files.update({f"blobs/sha256/{'0' * 64}": b"x"})),
    "a path out of it": lambda data: remade(data, lambda files: files.update({"../../etc/passwd": b"x"})),
    "a link": lambda data: remade(data, lambda files: files.update({f"blobs/sha256/{'0' * 64}": b""}), tarfile.SYMTYPE),
    "a long name": lambda data: remade(data, lambda files: files.update({"x" * 200: b"x"})),
    "twice": lambda data: data[:512] + data[512:1024] + data,
    "cut": lambda data: data[: len(data) // 2 // 512 * 512 + 100],
    "cut at its end": lambda data: data[:-1024],
    "more behind its end": lambda data: data + bytes(512),
    "a size that is not there": lambda data: data[:-1024] + _header(f"blobs/sha256/{'0' * 64}", 1 << 50) + layout.END,
    "an index of gigabytes": lambda data: (
        _header("oci-layout", len(layout.LAYOUT_BYTES))
        + layout.LAYOUT_BYTES
        + bytes(512 - len(layout.LAYOUT_BYTES))
        + _header("index.json", 8 << 30)
    ),
    "no tar": lambda data: b"GGUF" * 1000,
    "nothing": lambda data: b"",
}


def test_what_is_not_as_it_was_signed_is_refused_and_nothing_is_kept(bundle: bytes, elsewhere: Elsewhere) -> None:
    elsewhere.trust()
    for name, change in CHANGES.items():
        try:
            elsewhere.refuse(change(bundle))
        except BaseException as error:
            raise AssertionError(name) from error
    assert elsewhere.take(bundle) == ["tiny:1b", "tiny:stable"]


def signed_anew(data: bytes, lie: dict[str, Any]) -> bytes:
    """With another index, signed by who lies in it."""

    def apply(files: dict[str, bytes]) -> None:
        index = json.loads(files["index.json"])
        facts = json.loads(index["manifests"][0]["annotations"]["vnd.ollamamax.model"])
        facts.update(lie)
        index["manifests"][0]["annotations"]["vnd.ollamamax.model"] = json.dumps(facts)
        files["index.json"] = json.dumps(index).encode()
        files["ollamamax-signature.json"] = signing.sign(current.SECRET_KEY, files["index.json"])

    return remade(data, apply)


def test_who_is_trusted_is_not_believed_what_cannot_be(bundle: bytes, elsewhere: Elsewhere, settings: Settings) -> None:
    lies: list[dict[str, Any]] = [
        {"name": "bad name"},
        {"channels": []},
        {"channels": ["a:b"]},
        {"card": "x" * 70_000},
        {"version": "x"},
    ]
    for lie in lies:
        elsewhere.refuse(signed_anew(bundle, lie))
    data = signed_anew(bundle, {})
    settings.ENV = Environment({**settings.ENV.values, "OLLAMAMAX_MAX_TENANT_BLOBS_BYTES": len(data) + 10})
    with pytest.raises(TooLarge):
        elsewhere.take(data)


def test_rights_and_other_tenants(version: Version, owner: Person, owner_api: APIClient, stranger: Person) -> None:
    [first, _] = [row["id"] for row in owner_api.get(MODELS).json()["results"]]
    strangers = logged_in(stranger)
    assert strangers.get(EXPORT, {"channel": [first]}).status_code == 404
    assert owner_api.get(EXPORT).status_code == 400
    assert owner_api.get(EXPORT, {"channel": ["x"]}).status_code == 400
    digest = manifests.layers_of(version.manifest)[0].digest
    assert strangers.post(IMPORT, {"digest": digest}, format="json").status_code == 400
    viewer = logged_in(make_person(owner.tenant, "looks-on", "viewer"))
    assert viewer.post(IMPORT, {"digest": digest}, format="json").status_code == 403
    body = {"signers": [{"name": "office", "key": "ab" * 32}]}
    assert viewer.put(SIGNERS, body, format="json").status_code == 403
    assert owner_api.put(SIGNERS, {"signers": [body["signers"][0]] * 2}, format="json").status_code == 400
    assert owner_api.put(SIGNERS, {"signers": [{"name": "x", "key": "AB"}]}, format="json").status_code == 400
    assert owner_api.put(SIGNERS, body, format="json").json()["signers"] == body["signers"]
    assert strangers.get(SIGNERS).json()["signers"] == []
    job = owner_api.post(IMPORT, {"digest": digest}, format="json")
    assert (job.status_code, job.json()["kind"], job.json()["state"]) == (202, "import", "waiting")
