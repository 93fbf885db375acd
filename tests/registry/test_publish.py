"""Publishing: a GGUF file becomes an immutable version with names."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from pathlib import Path

import pytest
import redis
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from pytest_django import Settings

from models_registry import manifest
from models_registry.actions.version import blob_store, publish_gguf
from models_registry.blob_keys import blob_key
from models_registry.models import Blob, Channel, Version
from models_registry.queries.model import find_channel
from ollamamax.audit.models import AuditRecord
from ollamamax.blobs.reading import read_bytes
from ollamamax.bus import keys
from ollamamax.identity.models import Tenant
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Forbidden, InvalidRequest
from tests.cast import Person
from tests.registry.conftest import Publish, write_gguf

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_file_is_stored_named_and_told_to_the_gateways(
    owner: Person, publish: Publish, gguf: Path, valkey: redis.Redis
) -> None:
    version = publish(owner, "tiny:1b", "latest")
    assert version.digest == manifest.digest_of(version.manifest)
    (layer,) = version.manifest["layers"]
    assert layer["digest"] == f"sha256:{hashlib.sha256(gguf.read_bytes()).hexdigest()}"
    assert read_bytes(blob_store(), blob_key(layer["digest"])) == gguf.read_bytes()
    assert version.details["context_length"] == 512
    assert version.details["quantization_level"] == "F32"
    prefix = owner.tenant.id.hex
    for channel in ("1b", "latest"):
        entry = json.loads(valkey.hget(keys.directory("models"), f"{prefix}/tiny:{channel}") or b"")
        assert entry["version"] == version.digest
    assert valkey.hget(keys.directory("blobs"), f"{prefix}/{layer['digest']}") is not None
    record = AuditRecord.objects.get(action="version.publish")
    assert record.detail["channels"] == ["1b", "latest"]


def test_publishing_again_changes_nothing_but_the_time(owner: Person, publish: Publish) -> None:
    first = publish(owner)
    assert publish(owner) == first
    with tenant_scope(owner.tenant):
        assert (Version.objects.count(), Channel.objects.count(), Blob.objects.count()) == (1, 1, 1)


def test_a_new_file_moves_the_channel_and_keeps_the_old_version(
    owner: Person, publish: Publish, tmp_path: Path
) -> None:
    first = publish(owner)
    second = publish(owner, file=write_gguf(tmp_path / "other.gguf", size=16))
    with tenant_scope(owner.tenant):
        assert Channel.objects.get().version == second
        assert {version.digest for version in Version.objects.all()} == {first.digest, second.digest}


def test_two_tenants_share_the_bytes_and_nothing_else(owner: Person, stranger: Person, publish: Publish) -> None:
    ours, theirs = publish(owner), publish(stranger)
    assert ours.pk != theirs.pk
    assert Blob.objects.count() == 1
    with tenant_scope(stranger.tenant):
        assert [version.pk for version in Version.objects.all()] == [theirs.pk]


def test_a_version_cannot_be_changed_even_by_raw_sql(owner: Person, publish: Publish) -> None:
    version = publish(owner)
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE models_registry_version SET size = 1 WHERE id = %s", [version.pk])


def test_what_is_not_gguf_is_refused(owner: Person, tmp_path: Path, valkey: redis.Redis) -> None:
    file = tmp_path / "poem.gguf"
    file.write_text("shall I compare thee" * 100)
    with pytest.raises(InvalidRequest, match="cannot be read as a GGUF file"):
        publish_gguf(acting=owner.acting, file=file, name="poem")
    assert Blob.objects.count() == 0


def test_a_bad_name_and_a_member_without_the_right_are_refused(owner: Person, member: Person, publish: Publish) -> None:
    with pytest.raises(InvalidRequest, match="not a model name"):
        publish(owner, "no spaces")
    with pytest.raises(Forbidden):
        publish(member)


def test_the_same_file_published_by_many_at_once_is_one_version(owner: Person, publish: Publish) -> None:
    failures: list[BaseException] = []

    def attempt() -> None:
        try:
            publish(owner)
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=attempt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with tenant_scope(owner.tenant):
        assert (Version.objects.count(), Channel.objects.count()) == (1, 1)


def test_the_command_adds_and_lists(owner: Person, gguf: Path, valkey: redis.Redis) -> None:
    out = io.StringIO()
    call_command("models", "add", str(gguf), "--name", "tiny:x", "--tenant", owner.tenant.slug, stdout=out)
    assert out.getvalue().startswith("tiny:x\tsha256:")
    out = io.StringIO()
    call_command("models", "list", "--tenant", owner.tenant.slug, stdout=out)
    assert out.getvalue().startswith("tiny:x\tsha256:")
    for arguments in (
        ["add", "/nowhere.gguf", "--name", "a", "--tenant", owner.tenant.slug],
        ["add", str(gguf), "--name", "a b", "--tenant", owner.tenant.slug],
        ["list", "--tenant", "nobody"],
    ):
        with pytest.raises(CommandError):
            call_command("models", *arguments)


def test_bootstrap_is_safe_to_repeat_and_to_interrupt(
    db: None, valkey: redis.Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch, gguf: Path
) -> None:
    from models_registry import bundled

    monkeypatch.setattr(bundled, "bundled_model", lambda: gguf)
    call_command("bootstrap")
    file = settings.HOME / "bootstrap.json"
    facts = json.loads(file.read_text())
    assert set(facts) == {"url", "admin_email", "admin_password", "api_key"}
    assert file.stat().st_mode & 0o777 == 0o600
    call_command("bootstrap")
    assert json.loads(file.read_text()) == facts
    # Interrupted after the key was made and before it was written down, as often as that happens.
    made = {facts["api_key"]}
    for _ in range(2):
        file.write_text(json.dumps({name: value for name, value in facts.items() if name != "api_key"}))
        call_command("bootstrap")
        again = json.loads(file.read_text())
        assert again["admin_password"] == facts["admin_password"]
        assert again["api_key"] not in made
        made.add(again["api_key"])


def test_a_start_gives_the_bundled_model_its_template_where_an_earlier_one_did_not(
    db: None, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch, gguf: Path
) -> None:
    from models_registry import bundled

    monkeypatch.setattr(bundled, "bundled_model", lambda: gguf)
    with monkeypatch.context() as earlier:
        earlier.setattr(bundled, "TEXTS", ())
        call_command("bootstrap")
    tenant = Tenant.objects.get(slug="default")
    call_command("bootstrap")
    with tenant_scope(tenant):
        version = find_channel(bundled.NAME).version
        assert find_channel("smollm2:latest").version == version
        layers = [layer["media_type"].rpartition(".")[2] for layer in version.manifest["layers"]]
        assert layers == ["model", "template", "params"]
        call_command("bootstrap")
        assert find_channel(bundled.NAME).version == version
