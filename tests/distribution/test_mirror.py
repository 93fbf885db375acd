"""A mirror: what another registry has is pulled below a prefix, fetched once, verified, kept, and had while that one is away."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from django.utils import timezone
from pytest_django import Settings

from models_registry.actions.collect import collect_garbage, grace
from models_registry.actions.mirror import change_mirror, create_mirror, delete_mirror
from models_registry.models import Blob, Mirror, MirroredBlob, MirroredTag
from models_registry.protocol.v2.mirrored import STATE
from ollamamax.audit.models import AuditRecord
from ollamamax.env import Environment
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.errors import Conflict, Forbidden, InvalidRequest
from tests.cast import Key, Person
from tests.distribution.conftest import Repository, digest_of, told
from tests.distribution.ollama_client import OllamaClient, register
from tests.fakes.registry import IMAGE, Registry
from tests.management.conftest import Served, knows
from tests.patience import wait_for

pytestmark = pytest.mark.django_db(transaction=True)
WEIGHTS = bytes(range(256)) * 12_000
"""3 MB, and no GGUF: a mirror does not look into what it keeps."""
LARGE = 1 << 30


@pytest.fixture
def upstream(settings: Settings) -> Iterator[Registry]:
    made = Registry()
    settings.ENV = Environment({**settings.ENV.values, "OLLAMAMAX_PULL_REGISTRIES": [made.host]})
    made.publish("team/tiny:1b", made.add(WEIGHTS, "model"), made.add(b"{{ .Prompt }}", "template"))
    yield made
    made.stop()


def mirror(upstream: Registry, owner: Person, *, most_bytes: int = LARGE, check_seconds: int = 300) -> Mirror:
    return create_mirror(
        acting=owner.acting,
        prefix="hub",
        upstream=f"{upstream.host}/team",
        most_bytes=most_bytes,
        check_seconds=check_seconds,
    )


@pytest.fixture
def hub(served: Served, upstream: Registry, owner: Person, owner_key: Key) -> Iterator[Repository]:
    """The owner's view of `team/tiny` there, in a mirror that asks for tags each time."""
    mirror(upstream, owner, check_seconds=0)
    made = Repository(served, owner_key, "hub/tiny")
    knows(lambda: served.ollama(owner_key).list())
    yield made
    made.http.close()


def manifest(hub: Repository, reference: str = "1b") -> httpx.Response:
    return hub.http.get(f"manifests/{reference}")


def asked(upstream: Registry, digest: str) -> int:
    return len(upstream.ranges(digest))


def kept(owner: Person) -> dict[str, bool]:
    with tenant_scope(owner.tenant.id):
        return {each.digest: each.blob_id is not None for each in MirroredBlob.objects.all()}


def test_it_is_fetched_once_and_had_without_the_upstream(hub: Repository, upstream: Registry, owner: Person) -> None:
    first = manifest(hub)
    assert (first.status_code, first.headers[STATE]) == (200, "fetched")
    assert first.content == upstream.manifests["team/tiny:1b"]
    assert first.headers["docker-content-digest"] == digest_of(first.content)
    digest = digest_of(WEIGHTS)
    head = hub.http.head(f"blobs/{digest}")
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(WEIGHTS)))
    assert asked(upstream, digest) == 0, "what it says of a blob is in the manifest"

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: hub.http.get(f"blobs/{digest}"), range(6)))
    assert [answer.content == WEIGHTS for answer in answers] == [True] * 6
    assert asked(upstream, digest) == 1
    wait_for(lambda: kept(owner)[digest])

    upstream.stop()
    again = manifest(hub)
    assert (again.status_code, again.headers[STATE], again.content) == (200, "stale", first.content)
    by_digest = manifest(hub, first.headers["docker-content-digest"])
    assert (by_digest.headers[STATE], by_digest.content) == ("kept", first.content)
    blob = hub.http.get(f"blobs/{digest}", headers={"Range": "bytes=10-19"})
    assert (blob.status_code, blob.headers[STATE], blob.content) == (206, "kept", WEIGHTS[10:20])
    config = digest_of(b'{"model_format":"gguf"}')
    assert told(hub.http.get(f"blobs/{config}")) == (502, "UNKNOWN"), "that one nobody had fetched"
    assert hub.http.get("tags/list").json() == {"name": "hub/tiny", "tags": ["1b"]}


def test_ollama_pulls_through_it_in_parts_while_it_comes(
    hub: Repository, upstream: Registry, served: Served, owner_key: Key, tmp_path: Path
) -> None:
    upstream.pause = 0.02
    with OllamaClient(served.url, tmp_path / "ollama", part=400_000) as client:
        assert register(served, owner_key, client) == 204
        client.pull("hub/tiny:1b")
        assert client.blob(digest_of(WEIGHTS)).read_bytes() == WEIGHTS
    assert asked(upstream, digest_of(WEIGHTS)) == 1


def test_another_manifest_of_a_tag_is_seen_and_a_tag_that_is_gone_is_gone(hub: Repository, upstream: Registry) -> None:
    before = manifest(hub)
    upstream.publish("team/tiny:1b", upstream.add(b"other", "model"))
    after = manifest(hub)
    assert after.content == upstream.manifests["team/tiny:1b"] != before.content
    assert manifest(hub, before.headers["docker-content-digest"]).content == before.content
    del upstream.manifests["team/tiny:1b"]
    assert told(manifest(hub)) == (404, "MANIFEST_UNKNOWN")
    upstream.stop()
    assert told(manifest(hub))[0] == 502, "nothing is believed of a tag that was gone"


def test_a_tag_is_believed_for_as_long_as_the_mirror_says(hub: Repository, upstream: Registry, owner: Person) -> None:
    with tenant_scope(owner.tenant.id):
        [made] = Mirror.objects.all()
    change_mirror(acting=owner.acting, mirror_id=made.id, check_seconds=600)
    before = manifest(hub)
    upstream.publish("team/tiny:1b", upstream.add(b"other", "model"))
    again = manifest(hub)
    assert (again.content, again.headers[STATE]) == (before.content, "kept")
    with tenant_scope(owner.tenant.id):
        MirroredTag.objects.update(checked_at=timezone.now() - datetime.timedelta(seconds=601))
    assert manifest(hub).content != before.content


@pytest.mark.parametrize("size", [len(WEIGHTS), len(WEIGHTS) - 1])
def test_bytes_that_are_something_else_are_never_had_whole_and_nothing_stays(
    hub: Repository, upstream: Registry, owner: Person, size: int
) -> None:
    assert manifest(hub).status_code == 200
    digest = digest_of(WEIGHTS)
    upstream.change = lambda data: (b"x" * len(data))[:size] if len(data) > 100 else data
    for wanted in ("", "bytes=0-", f"bytes={len(WEIGHTS) - 1}-"):
        try:
            answer = hub.http.get(f"blobs/{digest}", headers={"Range": wanted} if wanted else {})
            assert answer.status_code == 502
        except httpx.RemoteProtocolError:
            pass  # cut off before its end
    assert not kept(owner)[digest]
    with every_tenant():
        assert not Blob.objects.filter(pk=digest).exists()
    upstream.change = lambda data: data
    wait_for(lambda: got(hub, digest) == WEIGHTS)


def got(hub: Repository, digest: str) -> bytes | None:
    """A blob, asked for once more; ``None`` where it breaks off, as it does where the beginning that was left was something else."""
    try:
        return hub.http.get(f"blobs/{digest}").content
    except httpx.RemoteProtocolError:
        return None


def test_an_upstream_that_breaks_off_is_gone_on_with(hub: Repository, upstream: Registry) -> None:
    assert manifest(hub).status_code == 200
    digest = digest_of(WEIGHTS)
    upstream.break_after = 1_000_000
    assert hub.http.get(f"blobs/{digest}").content == WEIGHTS
    first, *later = upstream.ranges(digest)
    begun = [int(wanted.removeprefix("bytes=").removesuffix("-")) for wanted in later]
    assert first == ""
    assert begun == sorted(set(begun)), "each goes on where the one before it broke off"
    assert len(begun) >= 3


def test_only_what_a_manifest_names_is_fetched(hub: Repository, upstream: Registry) -> None:
    secret = upstream.add(b"of another image there", "model")
    assert told(hub.http.get(f"blobs/{secret['digest']}")) == (404, "BLOB_UNKNOWN")
    assert told(manifest(hub, "nothing")) == (404, "MANIFEST_UNKNOWN")
    assert told(manifest(hub, digest_of(b"nothing"))) == (404, "MANIFEST_UNKNOWN")
    upstream.manifests["team/tiny:odd"] = b'{"schemaVersion": 1}'
    assert told(manifest(hub, "odd"))[0] == 502
    upstream.manifests["team/tiny:huge"] = json.dumps(
        json.loads(upstream.manifests["team/tiny:1b"])
        | {"layers": [{"mediaType": "x", "digest": digest_of(b"x"), "size": 1 << 70}]}
    ).encode()
    assert told(manifest(hub, "huge")) == (413, "SIZE_INVALID")


def test_it_is_the_tenants_alone_and_nothing_is_pushed_to_it(
    hub: Repository, served: Served, stranger_key: Key, upstream: Registry, owner: Person
) -> None:
    manifest(hub)
    digest = digest_of(WEIGHTS)
    assert hub.http.get(f"blobs/{digest}").content == WEIGHTS
    knows(lambda: served.ollama(stranger_key).list())
    for name in ("hub/tiny", "acme/hub/tiny"):
        theirs = Repository(served, stranger_key, name)
        assert told(theirs.http.get("manifests/1b")) == (404, "NAME_UNKNOWN")
        assert told(theirs.http.get(f"blobs/{digest}"))[0] == 404
        theirs.http.close()
    assert Repository(served, stranger_key, "hub/tiny").http.post("blobs/uploads/").status_code == 202, "theirs"
    for answer in (
        hub.http.post("blobs/uploads/"),
        hub.http.delete("manifests/1b"),
        hub.http.delete(f"blobs/{digest}"),
        hub.http.put("manifests/1b", content=b"{}", headers={"Content-Type": IMAGE}),
    ):
        assert told(answer)[0] in {400, 403}, answer.text
    assert told(hub.http.post("blobs/uploads/")) == (403, "DENIED")


def test_the_longest_unused_go_first_and_deleting_it_leaves_nothing(
    served: Served, upstream: Registry, owner: Person, owner_key: Key, settings: Settings
) -> None:
    made = mirror(upstream, owner, most_bytes=5_000_000)
    upstream.publish("team/other:1b", upstream.add(WEIGHTS[1:], "model"))
    upstream.publish("team/large:1b", upstream.add(bytes(5_000_001), "model"))
    tiny, other, large = (Repository(served, owner_key, f"hub/{name}") for name in ("tiny", "other", "large"))
    knows(lambda: served.ollama(owner_key).list())
    for repository, data in ((tiny, WEIGHTS), (other, WEIGHTS[1:])):
        assert manifest(repository).status_code == 200
        assert repository.http.get(f"blobs/{digest_of(data)}").content == data
    wait_for(lambda: kept(owner)[digest_of(WEIGHTS[1:])])
    assert not kept(owner)[digest_of(WEIGHTS)], "both are more than it may keep"
    assert manifest(large).status_code == 200
    assert told(large.http.get(f"blobs/{digest_of(bytes(5_000_001))}")) == (413, "SIZE_INVALID")

    settings.ENV = Environment({**settings.ENV.values, "OLLAMAMAX_MAX_TENANT_BLOBS_BYTES": 3_000_000})
    assert told(tiny.http.get(f"blobs/{digest_of(WEIGHTS)}")) == (413, "SIZE_INVALID"), "the tenant's own bound counts"
    settings.ENV = Environment({**settings.ENV.values, "OLLAMAMAX_BLOB_GRACE_SECONDS": 0})
    delete_mirror(acting=owner.acting, mirror_id=made.id)
    assert told(manifest(tiny)) == (404, "NAME_UNKNOWN")
    collect_garbage(grace())
    collect_garbage(grace())
    with every_tenant():
        assert not Blob.objects.exists()
        told_of = AuditRecord.objects.filter(action__startswith="mirror.").order_by("seq")
        assert [each.action for each in told_of] == ["mirror.create", "mirror.delete"]
    for each in (tiny, other, large):
        each.http.close()


def test_prefixes_and_upstreams_that_cannot_be(upstream: Registry, owner: Person) -> None:
    terms = {"most_bytes": LARGE, "check_seconds": 0}
    for prefix in ("acme", "library", "a/b", "A", "", "x" * 65, "a."):
        with pytest.raises(InvalidRequest):
            create_mirror(acting=owner.acting, prefix=prefix, upstream=upstream.host, **terms)
    for place in ("", "http://x", f"{upstream.host}/", f"{upstream.host}/a//b", "user@host", "a b"):
        with pytest.raises(InvalidRequest):
            create_mirror(acting=owner.acting, prefix="hub", upstream=place, **terms)
    with pytest.raises(Forbidden, match="does not speak to"):
        create_mirror(acting=owner.acting, prefix="hub", upstream="elsewhere.example", **terms)
    mirror(upstream, owner)
    with pytest.raises(Conflict):
        mirror(upstream, owner)
