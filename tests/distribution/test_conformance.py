"""The cases of the distribution specification's own conformance programme, one by one: pull, push, content discovery, content management."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from models_registry import manifest as manifests
from models_registry.distribution.image import OCI_INDEX
from tests.distribution.conftest import EMPTY, Repository, descriptor, digest_of, image_of, told

pytestmark = pytest.mark.django_db(transaction=True)
DATA = bytes(range(256)) * 64
DIGEST = digest_of(DATA)
NOBODYS = digest_of(b"nobody's")


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    yield from (data[at : at + size] for at in range(0, len(data), size))


def test_pulls(repository: Repository) -> None:
    digest = repository.push(DATA, tag="v1")
    body = image_of(DATA)
    for reference in ("v1", digest):
        for method in ("GET", "HEAD"):
            answer = repository.http.request(method, f"manifests/{reference}")
            assert answer.status_code == 200
            assert answer.headers["docker-content-digest"] == digest == digest_of(body)
            assert answer.headers["content-type"] == manifests.OCI_IMAGE
            assert answer.headers["content-length"] == str(len(body))
            assert answer.content == (body if method == "GET" else b"")
            again = repository.http.request(
                method, f"manifests/{reference}", headers={"If-None-Match": answer.headers["etag"]}
            )
            assert again.status_code == 304
    for method in ("GET", "HEAD"):
        answer = repository.http.request(method, f"blobs/{DIGEST}")
        assert (answer.status_code, answer.headers["docker-content-digest"]) == (200, DIGEST)
        assert answer.headers["content-length"] == str(len(DATA))
        assert answer.content == (DATA if method == "GET" else b"")
        again = repository.http.request(method, f"blobs/{DIGEST}", headers={"If-None-Match": answer.headers["etag"]})
        assert again.status_code == 304
    piece = repository.http.get(f"blobs/{DIGEST}", headers={"Range": "bytes=100-199"})
    assert (piece.status_code, piece.content) == (206, DATA[100:200])
    assert piece.headers["content-range"] == f"bytes 100-199/{len(DATA)}"
    assert repository.http.get(f"blobs/{DIGEST}", headers={"Range": f"bytes={len(DATA)}-"}).status_code == 416


def test_what_is_not_there_is_told_in_the_protocols_own_form(repository: Repository) -> None:
    assert told(repository.http.get("manifests/v1")) == (404, "NAME_UNKNOWN")
    assert told(repository.http.get("tags/list")) == (404, "NAME_UNKNOWN")
    repository.push(tag="v1")
    assert told(repository.http.get("manifests/v2")) == (404, "MANIFEST_UNKNOWN")
    assert told(repository.http.get(f"manifests/{NOBODYS}")) == (404, "MANIFEST_UNKNOWN")
    assert told(repository.http.get(f"blobs/{NOBODYS}")) == (404, "BLOB_UNKNOWN")
    assert told(repository.http.get("blobs/sha256:abc")) == (400, "DIGEST_INVALID")
    assert told(repository.http.get(f"blobs/sha512:{'a' * 128}")) == (400, "DIGEST_INVALID")
    for method in ("HEAD",):
        assert repository.http.request(method, "manifests/v2").status_code == 404
        assert repository.http.request(method, f"blobs/{NOBODYS}").status_code == 404
    assert told(repository.http.get("blobs/uploads/" + "0" * 32)) == (404, "BLOB_UPLOAD_UNKNOWN")
    assert told(repository.http.post("manifests/v1")) == (405, "UNSUPPORTED")
    assert told(repository.http.get("elsewhere")) == (404, "UNSUPPORTED")


def test_a_blob_is_pushed_in_every_way(repository: Repository) -> None:
    answer = repository.push_blob(DATA)
    assert (answer.status_code, answer.headers["docker-content-digest"]) == (201, DIGEST)
    assert repository.http.get(answer.headers["location"]).content == DATA

    data = DATA + b"posted"
    answer = repository.http.post(f"blobs/uploads/?digest={digest_of(data)}", content=data)
    assert answer.status_code == 201
    assert repository.http.get(answer.headers["location"]).content == data

    data = DATA + b"streamed"
    place = repository.http.post("blobs/uploads/").headers["location"]
    answer = repository.http.patch(place, content=pieces(data, 1000))
    assert (answer.status_code, answer.headers["range"]) == (202, f"0-{len(data) - 1}")
    answer = repository.http.put(f"{answer.headers['location']}?digest={digest_of(data)}")
    assert answer.status_code == 201
    assert repository.http.get(answer.headers["location"]).content == data

    assert repository.push_blob(b"").status_code == 201
    assert repository.http.get(f"blobs/{digest_of(b'')}").content == b""


def test_chunks_come_in_order_and_the_last_one_with_the_end(repository: Repository) -> None:
    first, second, third = DATA[:7000], DATA[7000:9000], DATA[9000:]
    begun = repository.http.post("blobs/uploads/")
    assert begun.status_code == 202
    place = begun.headers["location"]
    assert begun.headers["docker-upload-uuid"] in place

    def chunk(data: bytes, start: int) -> int:
        headers = {"Content-Range": f"{start}-{start + len(data) - 1}"}
        return repository.http.patch(place, content=data, headers=headers).status_code

    assert chunk(second, 7000) == 416
    assert chunk(first, 0) == 202
    assert chunk(first, 0) == 416
    state = repository.http.get(place)
    assert (state.status_code, state.headers["range"]) == (204, "0-6999")
    assert state.headers["location"] == place
    assert chunk(second, 7000) == 202
    late = repository.http.put(f"{place}?digest={DIGEST}", content=third, headers={"Content-Range": "0-1"})
    assert late.status_code in {400, 416}
    headers = {"Content-Range": f"9000-{len(DATA) - 1}"}
    assert repository.http.put(f"{place}?digest={DIGEST}", content=third, headers=headers).status_code == 201
    assert repository.http.get(f"blobs/{DIGEST}").content == DATA
    assert told(repository.http.get(place)) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_an_upload_can_be_cancelled(repository: Repository) -> None:
    place = repository.http.post("blobs/uploads/").headers["location"]
    assert repository.http.patch(place, content=DATA).status_code == 202
    assert repository.http.delete(place).status_code == 204
    assert told(repository.http.put(f"{place}?digest={DIGEST}")) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_a_blob_is_mounted_from_a_repository_that_has_it(repository: Repository) -> None:
    repository.push(DATA)
    base = str(repository.http.base_url).removesuffix("acme/tiny/")
    answer = repository.http.post(f"{base}acme/other/blobs/uploads/?mount={DIGEST}&from=acme/tiny")
    assert answer.status_code == 201
    assert repository.http.get(answer.headers["location"]).content == DATA
    for source in ("acme/nothing", ""):
        query = f"?mount={NOBODYS}" + (f"&from={source}" if source else "")
        assert repository.http.post(f"{base}acme/other/blobs/uploads/{query}").status_code == 202


def test_manifests_are_pushed_by_tag_and_digest_with_what_they_refer_to(repository: Repository) -> None:
    subject = repository.push(DATA, tag="v1")
    referrer = image_of(
        DATA,
        artifactType="application/vnd.example.signature",
        subject=descriptor(image_of(DATA), manifests.OCI_IMAGE),
        annotations={"who": "somebody"},
    )
    answer = repository.push_manifest(referrer, digest_of(referrer))
    assert answer.status_code == 201
    assert answer.headers["oci-subject"] == subject
    assert repository.http.get(answer.headers["location"]).content == referrer

    found = repository.http.get(f"referrers/{subject}")
    assert found.headers["content-type"] == OCI_INDEX
    [entry] = found.json()["manifests"]
    assert entry == {
        **descriptor(referrer, manifests.OCI_IMAGE),
        "artifactType": "application/vnd.example.signature",
        "annotations": {"who": "somebody"},
    }
    filtered = repository.http.get(f"referrers/{subject}", params={"artifactType": "application/vnd.example.other"})
    assert (filtered.headers["oci-filters-applied"], filtered.json()["manifests"]) == ("artifactType", [])
    assert repository.http.get(f"referrers/{NOBODYS}").json()["manifests"] == []
    # A subject may come later than what refers to it.
    early = image_of(DATA, subject=descriptor(b"comes later", manifests.OCI_IMAGE))
    assert repository.push_manifest(early, "early").status_code == 201


def test_an_index_lists_images_that_are_there(repository: Repository) -> None:
    repository.push(DATA, tag="v1")

    def index(*images: bytes) -> bytes:
        entries = [descriptor(each, manifests.OCI_IMAGE) for each in images]
        return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()

    lacking = repository.push_manifest(index(b"nothing"), "all", OCI_INDEX)
    assert told(lacking) == (404, "MANIFEST_BLOB_UNKNOWN")
    assert repository.push_manifest(index(image_of(DATA)), "all", OCI_INDEX).status_code == 201
    assert repository.http.get("manifests/all").content == index(image_of(DATA))


def test_tags_are_listed_by_pages(repository: Repository) -> None:
    repository.push(DATA, tag="b")
    for tag in ("d", "a", "c"):
        assert repository.push_manifest(image_of(DATA), tag).status_code == 201
    listed = repository.http.get("tags/list").json()
    assert listed == {"name": "acme/tiny", "tags": ["a", "b", "c", "d"]}
    page = repository.http.get("tags/list?n=3")
    assert page.json()["tags"] == ["a", "b", "c"]
    assert page.headers["link"] == '</v2/acme/tiny/tags/list?n=3&last=c>; rel="next"'
    last = repository.http.get("tags/list?n=3&last=c")
    assert (last.json()["tags"], "link" in last.headers) == (["d"], False)
    assert repository.http.get("tags/list?n=0").json()["tags"] == []
    assert told(repository.http.get("tags/list?n=-1")) == (400, "PAGINATION_NUMBER_INVALID")
    base = str(repository.http.base_url).removesuffix("acme/tiny/")
    assert repository.http.get(f"{base}_catalog").json() == {"repositories": ["acme/tiny"]}


def test_tags_manifests_and_blobs_are_deleted(repository: Repository) -> None:
    digest = repository.push(DATA, tag="v1")
    assert repository.push_manifest(image_of(DATA), "v2").status_code == 201
    assert told(repository.http.delete(f"blobs/{DIGEST}")) == (405, "UNSUPPORTED")
    assert repository.http.delete("manifests/v1").status_code == 202
    assert repository.http.get("manifests/v1").status_code == 404
    assert repository.http.get(f"manifests/{digest}").status_code == 200
    assert repository.http.get("tags/list").json()["tags"] == ["v2"]
    assert repository.http.delete(f"manifests/{digest}").status_code == 202
    for reference in ("v2", digest):
        assert repository.http.get(f"manifests/{reference}").status_code == 404
    assert repository.http.get(f"blobs/{DIGEST}").status_code == 404
    repository.push_blob(DATA)
    assert repository.http.delete(f"blobs/{DIGEST}").status_code == 202
    assert repository.http.get(f"blobs/{DIGEST}").status_code == 404
    assert told(repository.http.delete("manifests/v1"))[0] == 404


WRONG = [
    (b"{", manifests.OCI_IMAGE, "MANIFEST_INVALID"),
    (b"[" * 100_000, manifests.OCI_IMAGE, "MANIFEST_INVALID"),
    (b'{"schemaVersion": 1}', manifests.OCI_IMAGE, "MANIFEST_INVALID"),
    (image_of(), "application/json", "MANIFEST_INVALID"),
    (image_of(), manifests.IMAGE, "MANIFEST_INVALID"),
    (image_of().replace(b'"size": 2', b'"size": -2'), manifests.OCI_IMAGE, "MANIFEST_INVALID"),
    (image_of().replace(b'"size": 2', b'"size": 3'), manifests.OCI_IMAGE, "MANIFEST_INVALID"),
    (image_of().replace(b"sha256:", b"sha256:../"), manifests.OCI_IMAGE, "DIGEST_INVALID"),
    (image_of(b"never sent"), manifests.OCI_IMAGE, "MANIFEST_BLOB_UNKNOWN"),
    (b" " * (4 << 20) + image_of(), manifests.OCI_IMAGE, "SIZE_INVALID"),
]


def test_a_manifest_that_cannot_be_is_refused(repository: Repository) -> None:
    assert repository.push_blob(EMPTY).status_code == 201
    for body, media_type, code in WRONG:
        answer = repository.push_manifest(body, "v1", media_type)
        assert told(answer)[1] == code, body[:100]
        assert 400 <= answer.status_code < 500
        assert repository.http.get("manifests/v1").status_code == 404


def test_a_manifest_under_anothers_digest_is_refused(repository: Repository) -> None:
    repository.push_blob(EMPTY)
    assert told(repository.push_manifest(image_of(), NOBODYS)) == (400, "DIGEST_INVALID")
