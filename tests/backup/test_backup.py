"""A backup is restored into an installation without data, row by row and file by file; what is broken or foreign changes nothing."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import random
import secrets
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st
from psycopg import sql
from pytest_django.plugin import DjangoDbBlocker

from models_registry.models import Blob
from ollamamax.audit.verify import verify
from ollamamax.backup import folders, sealing, tables
from ollamamax.backup.archive import ArchiveBroken, Reader, Writer
from ollamamax.backup.contents import settings_in
from ollamamax.backup.restore import RestoreRefused, alone, fill, restore
from ollamamax.backup.take import Source, Taken, fingerprints, take
from ollamamax.blobs.disk import DiskStore
from ollamamax.blobs.staging import Staging
from ollamamax.identity.models import Tenant
from ollamamax.identity.scope import every_tenant
from ollamamax.processes.database_users import connected_by
from tests.upgrade.test_upgrade import BEFORE, Rows, rows

KEPT_OUT = {"django_migrations"}


@contextlib.contextmanager
def scratch() -> Iterator[str]:
    """The address of an empty database, for superusers."""
    here = connection.settings_dict
    server = f"postgresql://{here['USER']}:{here['PASSWORD']}@{here['HOST']}:{here['PORT']}"
    name = f"backup_{secrets.token_hex(4)}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield f"{server}/{name}"
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def everything() -> Rows:
    with every_tenant():
        return {table: sorted(found, key=repr) for table, found in rows().items() if table not in KEPT_OUT}


def changed(home: Path) -> dict[str, bytes]:
    return {str(file.relative_to(home)): file.read_bytes() for file in home.rglob("*") if file.is_file()}


KEYS = fingerprints(settings.SECRET_KEY, settings.ENV["OLLAMAMAX_SECRET_BOX_KEYS"])
BLOB = b"weights of a small model" * 1000
DIGEST = hashlib.sha256(BLOB).hexdigest()


@dataclass
class Origin:
    """An installation with a little of everything, and its backup."""

    url: str
    home: Path
    file: Path
    taken: Taken
    held: Rows

    def source(self) -> Source:
        return Source(self.url, self.home, {"OLLAMAMAX_SECRET_KEY": settings.SECRET_KEY}, KEYS)


@pytest.fixture(scope="module")
def origin(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Origin]:
    folder = tmp_path_factory.mktemp("origin")
    home = folder / "home"
    for name, data in {
        f"blobs/sha256/{DIGEST[:2]}/{DIGEST}": BLOB,
        "files/0123456789abcdef": b"{}\n",
        "audit/heads.jsonl": b'{"chain": "system"}\n{"cha',
        "bootstrap.json": b"{}",
        "node-1/identity.json": b"{}",
        "node-1/models/other": b"not to be kept",
        "logs/web.log": b"not to be kept",
    }.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(data)
    with django_db_blocker.unblock(), scratch() as url:
        with psycopg.connect(url, autocommit=True) as empty:
            empty.execute(BEFORE.read_bytes())
        with connected_by(url):
            call_command("migrate", interactive=False, verbosity=0)
            with every_tenant():
                Blob.objects.create(digest=f"sha256:{DIGEST}", size=len(BLOB), media_type="application/octet-stream")
            held = everything()
        made = Origin(url, home, folder / "backup.tar", None, held)  # type: ignore[arg-type] # taken in the next line
        made.taken = take(made.source(), made.file)
        yield made


@pytest.fixture(autouse=True)
def _unblocked(origin: Origin, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


@pytest.fixture(scope="module")
def target(origin: Origin) -> Iterator[str]:
    """An empty database for what must change nothing in it."""
    with scratch() as url:
        yield url


def refused(file: Path, url: str, home: Path, error: type[Exception] = ArchiveBroken, **options: Any) -> str:
    """What is said of it. Neither the database nor the home has changed."""
    with psycopg.connect(url) as connected:
        before = tables.tables(connected)
    with connected_by(url), pytest.raises(error) as said:
        restore(file, home, options.pop("keys", KEYS), **options)
    with psycopg.connect(url) as connected:
        assert tables.tables(connected) == before
    assert changed(home) == {}
    return str(said.value)


def test_blobs_in_a_bucket_are_looked_for_there_and_left_there(origin: Origin, tmp_path: Path) -> None:
    home = tmp_path / "home"
    there = DiskStore(tmp_path / "bucket")
    name = f"sha256/{DIGEST[:2]}/{DIGEST}"
    incoming = Staging(home).receive()
    incoming.write(BLOB)
    incoming.finish()
    there.put(incoming, name)
    source = replace(origin.source(), home=home, bucket=there)
    taken = take(source, tmp_path / "whole.tar")
    assert (taken.in_bucket, taken.missing) == (1, origin.taken.missing)
    there.delete(name)
    taken = take(source, tmp_path / "lacking.tar")
    assert taken.in_bucket == 0
    assert set(taken.missing) - set(origin.taken.missing) == {f"sha256:{DIGEST}"}


def test_every_row_and_file_comes_back_for_an_owner_who_is_no_superuser(origin: Origin, tmp_path: Path) -> None:
    with scratch() as url:
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute("CREATE TABLE mine (it integer)")
            admin.execute("CREATE ROLE plain_owner LOGIN NOSUPERUSER PASSWORD 'plain'")
            admin.execute("ALTER TABLE mine OWNER TO plain_owner")
            admin.execute(sql.SQL("ALTER DATABASE {} OWNER TO plain_owner").format(sql.Identifier(admin.info.dbname)))
        try:
            with connected_by(
                urlunsplit(
                    urlsplit(url)._replace(netloc=f"plain_owner:plain@{urlsplit(url).netloc.rpartition('@')[2]}")
                )
            ):
                with alone():
                    done = restore(origin.file, tmp_path, KEYS, replace=True)
                assert everything() == origin.held
                assert list(verify()) == []
                with connection.cursor() as cursor:
                    # Guarded as before: numbered, append-only, apart.
                    cursor.execute("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal AND tgenabled = 'D'")
                    assert cursor.fetchone() == (0,)
                    cursor.execute(
                        "SELECT count(*) FROM pg_class WHERE relrowsecurity AND NOT relforcerowsecurity AND NOT relispartition"
                    )
                    assert cursor.fetchone() == (0,)
                    cursor.execute("SELECT count(*) FROM metering_usagerecord_other")
                    assert cursor.fetchone() == (0,)
                Tenant.objects.create(slug="later", name="Later")  # numbers go on where they were
                assert not MigrationExecutor(connection).migration_plan(
                    MigrationExecutor(connection).loader.graph.leaf_nodes()
                )
        finally:
            with psycopg.connect(url, autocommit=True) as admin:
                admin.execute("REASSIGN OWNED BY plain_owner TO CURRENT_USER")
                admin.execute("DROP OWNED BY plain_owner")
                admin.execute("DROP ROLE plain_owner")
    assert done.rows == origin.taken.rows == sum(map(len, origin.held.values()))
    assert changed(tmp_path) == {
        f"blobs/sha256/{DIGEST[:2]}/{DIGEST}": BLOB, "files/0123456789abcdef": b"{}\n",
        "audit/heads.jsonl": b'{"chain": "system"}\n', "bootstrap.json": b"{}", "node-1/identity.json": b"{}",
    }  # fmt: skip
    assert all(file.stat().st_mode & 0o077 == 0 for file in tmp_path.rglob("*") if file.is_file())


def test_what_is_not_whole_or_was_changed_anywhere_changes_nothing(origin: Origin, target: str, tmp_path: Path) -> None:
    whole = origin.file.read_bytes()
    rng = random.Random(19)
    end = len(whole.rstrip(b"\0"))  # what follows is padding
    for number in range(40):
        file = tmp_path / f"{number}.tar"
        at = rng.randrange(end)
        cut = number % 2 == 0
        file.write_bytes(
            whole[:at] if cut else whole[:at] + bytes([whole[at] ^ (1 << rng.randrange(8))]) + whole[at + 1 :]
        )
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        try:
            with file.open("rb") as stream:
                Reader(stream).check()
        except ArchiveBroken:
            if number < 6:
                refused(file, target, home)
        else:
            assert not cut
            with file.open("rb") as changed_one, origin.file.open("rb") as first:  # a header's padding or time
                assert Reader(changed_one).manifest == Reader(first).manifest


@settings_of_hypothesis(max_examples=50)
@given(junk=st.binary(max_size=3000))
def test_what_is_no_backup_is_refused(junk: bytes) -> None:
    with pytest.raises(ArchiveBroken):
        Reader(io.BytesIO(junk)).check()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        member = tarfile.TarInfo("manifest.json")
        member.size = len(junk)
        tar.addfile(member, io.BytesIO(junk))
    with pytest.raises(ArchiveBroken):
        Reader(io.BytesIO(packed.getvalue())).check()


def test_it_goes_into_no_other_installation_and_into_no_older_release(
    origin: Origin, target: str, tmp_path: Path
) -> None:
    others = fingerprints("x" * 50, [])
    assert "OLLAMAMAX_SECRET_KEY" in refused(origin.file, target, tmp_path, RestoreRefused, keys=others)
    later = forged(origin, tmp_path.parent / "later.tar", manifest={"migrations": [["cluster", "9999_later"]]})
    assert "cluster.9999_later" in refused(later, target, tmp_path, RestoreRefused)


@pytest.mark.parametrize(
    ("member", "data"),
    [
        ("tables/identity_tenant.copy.gz", b"no gzip"),
        ("tables/identity_tenant.copy.gz", gzip.compress(b"not\ta\trow\n", mtime=0)),
        ("tables/identity_user.copy.gz", gzip.compress(b"", mtime=0)),  # others point at them
        ("counts.json", b"{}"),
        ("partitions.json", b'[["metering_usagerecord", "pg_class", "", ""]]'),
        ("partitions.json", b'[["metering_usagerecord"]]'),
        ("partitions.json", b'{"a": 1}'),
        ("sequences.json", b"[["),
        ("sequences.json", b"[1]"),
        ("sequences.json", b'{"identity_tenant_id_seq": "; DROP TABLE x"}'),
        (f"home/blobs/sha256/{DIGEST[:2]}/{DIGEST}", b"other bytes"),
    ],
)  # fmt: skip
def test_what_somebody_made_up_changes_nothing_though_its_sums_are_right(
    origin: Origin, tmp_path: Path, member: str, data: bytes
) -> None:
    file = forged(origin, tmp_path / "forged.tar", {member: data})

    def put_in() -> None:
        with every_tenant(), transaction.atomic(), file.open("rb") as stream:
            connection.ensure_connection()
            tables.see_all(connection.connection)
            fill(Reader(stream), tmp_path / "home", connection.connection)

    with connected_by(origin.url):
        with pytest.raises((ArchiveBroken, psycopg.DataError, psycopg.IntegrityError)):
            put_in()
        assert everything() == origin.held
    assert not (tmp_path / "home" / "blobs").exists() or not changed(tmp_path / "home" / "blobs")


@pytest.mark.parametrize("key", ["GNU.sparse.major", "GNU.sparse.map", "GNU.sparse.size", "size", "path"])
@pytest.mark.parametrize("value", ["", "1", "-1", "x", "0,5,1", "9" * 30, "../../x"])
def test_no_header_is_strange_enough_to_break_the_reader(key: str, value: str) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for name, data in (
            ("manifest.json", json.dumps({"format": "ollamamax-backup", "version": 1})),
            ("counts.json", "{}"),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            member.pax_headers = {} if name == "manifest.json" else {key: value, "GNU.sparse.minor": "0"}
            tar.addfile(member, io.BytesIO(data.encode()))
    with pytest.raises(ArchiveBroken):
        Reader(io.BytesIO(out.getvalue())).check()


@pytest.mark.parametrize("name", ["home/../../outside", "/etc/passwd", "home/blobs/../x", "home/.ssh/key", "a//b", ""])
def test_no_member_has_a_name_that_leads_elsewhere(name: str, tmp_path: Path) -> None:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        for each, data in {"manifest.json": b'{"format": "ollamamax-backup", "version": 1}', name: b"{}"}.items():
            member = tarfile.TarInfo(each)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    with pytest.raises(ArchiveBroken):
        Reader(io.BytesIO(whole.getvalue())).check()
    if name.startswith("home/"):
        with pytest.raises(ArchiveBroken):
            folders.put(tmp_path, name.removeprefix("home/"), io.BytesIO(b""))
    assert changed(tmp_path) == {}


def test_a_database_with_data_is_left_alone_and_one_in_use_too(origin: Origin, tmp_path: Path) -> None:
    with scratch() as url, psycopg.connect(url, autocommit=True) as other:
        other.execute("CREATE TABLE mine (it integer)")
        assert "--replace" in refused(origin.file, url, tmp_path, RestoreRefused)
        assert "other session" in refused(origin.file, url, tmp_path, RestoreRefused, replace=True)


def test_what_is_removed_while_a_backup_runs_is_in_it(origin: Origin) -> None:
    blob = origin.home / "blobs" / "sha256" / DIGEST[:2] / DIGEST
    with folders.held(origin.home) as held:
        blob.unlink()
        assert (held.folder / f"blobs/sha256/{DIGEST[:2]}/{DIGEST}").read_bytes() == BLOB
        blob.write_bytes(BLOB)
    assert not list(origin.home.glob(".backup-*"))
    assert f"sha256:{DIGEST}" not in origin.taken.missing


def test_an_encrypted_one_is_opened_by_its_key_alone(origin: Origin, target: str, tmp_path: Path) -> None:
    key, other, file = tmp_path / "key", tmp_path / "other", tmp_path / "backup.tar.age"
    recipient = sealing.new_identity(key)
    sealing.new_identity(other)
    take(origin.source(), file, sealing.recipients_of([recipient]))
    stored = file.read_bytes()
    assert settings.SECRET_KEY.encode() in origin.file.read_bytes()
    assert settings.SECRET_KEY.encode() not in stored
    home = tmp_path / "home"
    home.mkdir()
    assert "--identity" in refused(file, target, home, sealing.KeyUnusable)
    assert "None of the identities" in refused(
        file, target, home, sealing.KeyUnusable, identities=sealing.identities_in(other)
    )
    identities = sealing.identities_in(key)
    cut = tmp_path / "cut"
    for length in (100, len(stored) // 2, len(stored) - 1):
        cut.write_bytes(stored[:length])
        refused(cut, target, home, identities=identities)
    assert settings_in(file, identities)["OLLAMAMAX_SECRET_KEY"] == settings.SECRET_KEY
    with sealing.opened(file, identities) as stream:
        assert Reader(stream).manifest["encrypted"] is True


def forged(
    origin: Origin, file: Path, replaced: dict[str, bytes] | None = None, manifest: dict[str, Any] | None = None
) -> Path:
    """The backup, written anew with sums that are right."""
    with origin.file.open("rb") as stream, file.open("wb") as out:
        reader = Reader(stream)
        told = {k: v for k, v in reader.manifest.items() if k not in {"format", "version"}}
        writer = Writer(out, told | (manifest or {}))
        for name, _, data in reader.members():
            given = (replaced or {}).get(name, data.read())
            writer.add(name, io.BytesIO(given), len(given))
        writer.close()
    return file
