"""What must not be: bytes that are something else, other tenants' bytes, tokens for more than was asked, paths out of the registry."""

from __future__ import annotations

import base64
import http.client
import json
import socket
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from django.conf import settings
from pytest_django import Settings

from models_registry.models import Blob, Image, Model, Upload
from ollamamax.env import Environment
from ollamamax.identity.actions.key import revoke_key
from ollamamax.identity.scope import every_tenant, tenant_scope
from tests.cast import Key, Person, make_key
from tests.distribution.conftest import EMPTY, Repository, Served, digest_of, image_of, told
from tests.management.conftest import knows
from tests.patience import LONG, wait_for

pytestmark = pytest.mark.django_db(transaction=True)
DATA = b"what a tenant has" * 1000
DIGEST = digest_of(DATA)
OTHER = digest_of(b"something else")


def files() -> list[Path]:
    return [file for file in (settings.HOME / "blobs").rglob("*") if file.is_file()]


def test_a_wrong_digest_is_refused_and_leaves_nothing(repository: Repository) -> None:
    place = repository.http.post("blobs/uploads/").headers["location"]
    assert told(repository.http.put(f"{place}?digest={OTHER}", content=DATA)) == (400, "DIGEST_INVALID")
    assert told(repository.http.put(f"{place}?digest={DIGEST}", content=DATA)) == (404, "BLOB_UPLOAD_UNKNOWN")
    posted = repository.http.post(f"blobs/uploads/?digest={OTHER}", content=DATA)
    assert told(posted) == (400, "DIGEST_INVALID")
    assert files() == []
    assert not Blob.objects.exists()
    for digest in ("", "sha256:", "md5:abc", "sha256:../../etc/passwd"):
        place = repository.http.post("blobs/uploads/").headers["location"]
        assert told(repository.http.put(place, params={"digest": digest}, content=DATA)) == (400, "DIGEST_INVALID")


def test_a_chunk_that_breaks_off_is_forgotten_and_a_stream_goes_on(repository: Repository, owner_key: Key) -> None:
    place, data = repository.http.post("blobs/uploads/").headers["location"], DATA * 200
    half = len(data) // 2

    def break_off(*headers: str) -> None:
        url = httpx.URL(place)
        with socket.create_connection((url.host, url.port or 80)) as connection:
            host = f"Host: {url.netloc.decode()}"
            head = [f"PATCH {url.path} HTTP/1.1", host, f"Authorization: Bearer {owner_key.text}", *headers]
            connection.sendall("\r\n".join([*head, f"Content-Length: {len(data)}", "", ""]).encode())
            connection.sendall(data[:half])
            wait_for(lambda: any(file.stat().st_size >= 1 << 20 for file in files()), what="some of it on the disk")

    def size() -> int:
        state = repository.http.get(place)  # 409 while the other request has it
        return -1 if state.status_code != 204 else int(state.headers["range"].partition("-")[2]) + 1

    break_off(f"Content-Range: 0-{len(data) - 1}")
    wait_for(lambda: size() == 1, what="nothing kept")
    break_off()
    wait_for(lambda: size() >= 1 << 20, what="all kept that came")
    at = size()
    rest = repository.http.patch(place, content=data[at:], headers={"Content-Range": f"{at}-{len(data) - 1}"})
    assert rest.status_code == 202
    assert repository.http.put(f"{place}?digest={digest_of(data)}").status_code == 201
    assert repository.http.get(f"blobs/{digest_of(data)}").content == data


def test_a_chunk_of_another_length_than_it_says_is_refused(repository: Repository) -> None:
    place = repository.http.post("blobs/uploads/").headers["location"]
    answer = repository.http.patch(place, content=iter([DATA]), headers={"Content-Range": "0-9"})
    assert told(answer) == (400, "SIZE_INVALID")
    assert repository.http.get(place).headers["range"] == "0-0"


def test_an_upload_is_of_its_repository_and_tenant_alone(repository: Repository, strangers: Repository) -> None:
    place = repository.http.post("blobs/uploads/").headers["location"]
    elsewhere = place.replace("acme/tiny", "acme/other")
    assert told(repository.http.put(f"{elsewhere}?digest={DIGEST}", content=DATA)) == (404, "BLOB_UPLOAD_UNKNOWN")
    assert told(strangers.http.put(f"{place}?digest={DIGEST}", content=DATA)) == (404, "BLOB_UPLOAD_UNKNOWN")
    assert told(strangers.http.delete(place)) == (404, "BLOB_UPLOAD_UNKNOWN")
    assert repository.http.put(f"{place}?digest={DIGEST}", content=DATA).status_code == 201


def test_what_another_tenant_has_does_not_exist(repository: Repository, strangers: Repository) -> None:
    digest = repository.push(DATA)
    assert told(strangers.http.get("manifests/latest")) == (404, "NAME_UNKNOWN")
    assert told(strangers.http.get(f"manifests/{digest}")) == (404, "NAME_UNKNOWN")
    assert told(strangers.http.get(f"blobs/{DIGEST}")) == (404, "BLOB_UNKNOWN")
    assert told(strangers.http.get("tags/list")) == (404, "NAME_UNKNOWN")
    # As if nobody had it: it has to be sent.
    mount = strangers.http.post(f"blobs/uploads/?mount={DIGEST}&from=acme/tiny")
    assert mount.status_code == 202
    assert told(strangers.push_manifest(image_of(DATA), "latest"))[1] == "MANIFEST_BLOB_UNKNOWN"
    assert strangers.push(DATA) == digest
    # And what they make under that name is theirs.
    assert repository.http.get("tags/list").json()["tags"] == ["latest"]
    with every_tenant():
        assert Image.objects.count() == 2
        assert len(set(Image.objects.values_list("tenant_id", flat=True))) == 2


def test_a_blob_of_another_repository_is_mounted_only_by_who_may_read_it(
    repository: Repository, served: Served, owner: Person
) -> None:
    repository.push(DATA)
    other = Repository(served, make_key(owner), "acme/other")
    knows(lambda: served.ollama(make_key(owner)).list())
    other.push(b"another's")
    with tenant_scope(owner.tenant):
        on = Model.objects.get(name="other")
    only = make_key(owner, permissions=["model.view"])
    limited = Repository(served, only, "acme/other")
    wait_for(lambda: limited.http.get("tags/list").status_code == 200)
    assert told(limited.http.post(f"blobs/uploads/?mount={DIGEST}&from=acme/tiny")) == (403, "DENIED")
    assert told(other.http.get(f"blobs/{DIGEST}")) == (404, "BLOB_UNKNOWN")
    assert on.name == "other"
    for each in (other, limited):
        each.http.close()


def test_a_key_that_may_only_look_pushes_and_deletes_nothing(
    repository: Repository, served: Served, owner: Person
) -> None:
    digest = repository.push(DATA)
    viewer = Repository(served, make_key(owner, permissions=["model.view"]), "acme/tiny")
    wait_for(lambda: viewer.http.get("tags/list").status_code == 200)
    assert told(viewer.http.post("blobs/uploads/")) == (403, "DENIED")
    assert told(viewer.push_manifest(image_of(DATA))) == (403, "DENIED")
    assert told(viewer.http.delete(f"manifests/{digest}")) == (403, "DENIED")
    assert viewer.http.get(f"blobs/{DIGEST}").content == DATA
    new = Repository(served, make_key(owner, permissions=["inference.use"]), "acme/tiny")
    wait_for(lambda: new.http.get("/v2/").status_code == 200 or new.http.get("tags/list").status_code == 404)
    assert told(new.http.get(f"blobs/{DIGEST}")) == (404, "NAME_UNKNOWN")
    viewer.http.close()
    new.http.close()


NAMES = [
    "..",
    "../secret",
    "a//b",
    "/etc",
    "a/../../b",
    "%2e%2e/x",
    "a%20b",
    "%c3%a4",
    "a" * 300,
    ".hidden",
    "a/.",
    "a%5cb",
    "a%00b",
]


def test_a_path_leads_nowhere_else(served: Served, repository: Repository, owner_key: Key) -> None:
    connection = http.client.HTTPConnection(served.url.removeprefix("http://"))
    for name in NAMES:
        for method, rest in (("GET", "tags/list"), ("POST", "blobs/uploads/"), ("PUT", "manifests/latest")):
            connection.request(method, f"/v2/{name}/{rest}", headers={"Authorization": f"Bearer {owner_key.text}"})
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status in {400, 404}, name
            assert json.loads(body)["errors"], name
    connection.close()
    assert files() == []


def test_a_client_logs_in_with_its_key_and_gets_what_it_may(
    served: Served, repository: Repository, owner: Person, owner_key: Key
) -> None:
    repository.push(DATA)
    asked = httpx.get(f"{served.url}/v2/acme/tiny/manifests/latest")
    assert told(asked) == (401, "UNAUTHORIZED")
    challenge = asked.headers["www-authenticate"]
    host = served.url.removeprefix("http://")
    assert challenge == f'Bearer realm="{served.url}/v2/token",service="{host}",scope="repository:acme/tiny:pull"'
    pushing = httpx.post(f"{served.url}/v2/acme/tiny/blobs/uploads/").headers["www-authenticate"]
    assert pushing.endswith('scope="repository:acme/tiny:pull,push"')
    realm, basic = f"{served.url}/v2/token", httpx.BasicAuth("anybody", owner_key.text)

    def get_token(*scopes: str) -> dict[str, str]:
        found = httpx.get(realm, params={"scope": list(scopes)}, auth=basic).json()
        return {"Authorization": f"Bearer {found['token']}"}

    pull = get_token("repository:acme/tiny:pull")
    tags, uploads = f"{served.url}/v2/acme/tiny/tags/list", f"{served.url}/v2/acme/tiny/blobs/uploads/"
    assert httpx.get(tags, headers=pull).status_code == 200
    assert told(httpx.post(uploads, headers=pull)) == (401, "UNAUTHORIZED")
    assert httpx.get(tags, headers=get_token("repository:acme/other:pull")).status_code == 401
    assert httpx.get(f"{served.url}/v2/", headers=get_token()).status_code == 200
    assert httpx.post(uploads, headers=get_token("repository:acme/tiny:pull,push")).status_code == 202
    # A token gives nobody a better one.
    more = httpx.get(realm, params={"scope": "repository:acme/tiny:push"}, headers=pull).json()["token"]
    assert httpx.post(uploads, headers={"Authorization": f"Bearer {more}"}).status_code == 401
    # The key itself works in both ways, as a form too.
    assert httpx.get(tags, auth=basic).status_code == 200
    form = {"grant_type": "password", "username": "x", "password": owner_key.text, "scope": "repository:acme/tiny:pull"}
    posted = httpx.post(realm, data=form).json()["access_token"]
    assert httpx.get(tags, headers={"Authorization": f"Bearer {posted}"}).status_code == 200
    for text in ("x", f"{posted}x", "a.b.c", "x" * 10_000):
        assert told(httpx.get(tags, headers={"Authorization": f"Bearer {text}"})) == (401, "UNAUTHORIZED")
    wrong = base64.b64encode(b"no colon").decode()
    for header in ("", "Basic", f"Basic {wrong}", "Basic &&&", "Digest x"):
        assert httpx.get(realm, headers={"Authorization": header}).status_code == 401
    # All of them end with the key.
    location = httpx.get(
        f"{served.url}/v2/acme/tiny/blobs/{DIGEST}", headers={**pull, "User-Agent": "ollama/0.13.0"}
    ).headers["location"]
    assert httpx.get(location).content == DATA
    assert httpx.get(location.replace(DIGEST, digest_of(b"{}"))).status_code == 401
    revoke_key(acting=owner.acting, key_id=owner_key.row.id)
    wait_for(lambda: httpx.get(tags, headers=pull).status_code == 401, LONG)
    assert httpx.get(location).status_code == 401


def test_more_than_the_quota_is_refused_before_it_is_taken(repository: Repository, settings_of_quota: None) -> None:
    place = repository.http.post("blobs/uploads/").headers["location"]
    assert repository.http.patch(place, content=b"x" * 60_000).status_code == 202
    second = repository.http.post("blobs/uploads/").headers["location"]
    assert told(repository.http.patch(second, content=b"y" * 60_000)) == (413, "SIZE_INVALID")
    third = repository.http.post("blobs/uploads/").headers["location"]
    assert told(repository.http.patch(third, content=iter([b"z" * 300_000]))) == (413, "SIZE_INVALID")
    assert repository.http.get(second).headers["range"] == "0-0"
    with every_tenant():
        assert not Upload.objects.exists()


@pytest.fixture
def settings_of_quota(settings: Settings) -> None:
    settings.ENV = Environment({**settings.ENV.values, "OLLAMAMAX_MAX_TENANT_BLOBS_BYTES": 100_000})


def test_manifests_are_bounded_in_number_and_in_bytes(
    repository: Repository, settings_of_quota: None, settings: Settings
) -> None:
    repository.push(b"data")

    def noted(note: str) -> httpx.Response:
        return repository.push_manifest(image_of(b"data", annotations={"note": note}), "x")

    def let(**values: int) -> None:
        named = {f"OLLAMAMAX_MAX_{name}": value for name, value in values.items()}
        settings.ENV = Environment({**settings.ENV.values, **named})

    assert noted("a").status_code == 201
    assert [noted(letter * 40_000).status_code for letter in "bcd"] == [201, 201, 413], "they count in the quota"
    let(TENANT_BLOBS_BYTES=1 << 20, IMAGES_PER_TENANT=4)
    assert noted("a").status_code == 201, "it is there already"
    assert noted("e").status_code == 409
    let(IMAGES_PER_TENANT=5)
    assert noted("e").status_code == 201
    assert told(noted("f" * 70_000)) == (400, "MANIFEST_INVALID")


def test_what_refers_to_a_manifest_is_told_in_pages(repository: Repository) -> None:
    subject = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": repository.push(b"data"), "size": 1}
    made = {repository.push(b"data", tag=f"r{n}", subject=subject, annotations={"n": str(n)}) for n in range(5)}
    place, found = f"referrers/{subject['digest']}?n=2", []
    while place:
        answer = repository.http.get(place)
        found.append([each["digest"] for each in answer.json()["manifests"]])
        place = answer.links.get("next", {}).get("url", "").rpartition("/acme/tiny/")[2]
    assert [len(each) for each in found] == [2, 2, 1]
    assert {digest for page in found for digest in page} == made


@pytest.mark.no_cover
def test_no_text_whatever_breaks_the_server(repository: Repository) -> None:
    blob, subject = repository.push(b"data"), digest_of(b"nobody's")
    odd = ["\0", "a\0b", "\ud800", "\u202e", "'; DROP TABLE x; --", "%", "\\", "é" * 200]
    for text in odd:
        given = quote(text.encode("utf-8", "surrogatepass"))
        for path in (
            "tags/list?last=",
            f"referrers/{subject}?artifactType=",
            f"referrers/{subject}?last=",
            "tags/list?n=",
        ):
            assert repository.http.get(path + given).status_code in {200, 400}, (path, text)
        assert repository.http.get(f"{repository.http.base_url.join('/v2/_catalog')}?last={given}").status_code in {
            200,
            400,
        }
        mount = repository.http.post(f"blobs/uploads/?mount={blob}&from={given}")
        assert mount.status_code in {202, 400}, text
        for changed in (
            {"annotations": {text: "x"}},
            {"annotations": {"x": text}},
            {"artifactType": text},
            {"subject": {"mediaType": text, "digest": subject, "size": 1}},
            {"config": {"mediaType": text, "digest": digest_of(EMPTY), "size": len(EMPTY)}},
            {"layers": [{"mediaType": text, "digest": digest_of(b"data"), "size": 4}]},
        ):
            body = json.dumps(json.loads(image_of(b"data")) | changed).encode()
            answer = repository.push_manifest(body, "odd")
            assert answer.status_code in ({400} if "\0" in text else {201, 400}), (changed, answer.text)
            assert repository.push(b"data"), "what a manifest needs is there for the next one"
