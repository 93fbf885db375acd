"""A page's token for bundles: good for the chunks of one file in one repository, and no longer than its session."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import httpx
import pytest
from rest_framework.test import APIClient

from tests.cast import PASSWORD, Person
from tests.distribution.conftest import digest_of
from tests.identity.test_api_session import SESSION, Browser
from tests.management.conftest import Served
from tests.patience import wait_for

pytestmark = pytest.mark.django_db(transaction=True)
TOKEN, IMPORT = "/api/v1/bundles/upload-token", "/api/v1/bundles/import"
DATA = b"no bundle, but bytes"
DIGEST = digest_of(DATA)


def page_of(person: Person) -> Browser:
    browser = Browser()
    assert browser.log_in(person.email, PASSWORD).status_code == 200
    return browser


@contextlib.contextmanager
def sender_of(browser: Browser, served: Served) -> Iterator[httpx.Client]:
    answer = browser.with_token("POST", TOKEN, "{}")
    assert (answer.status_code, answer["Cache-Control"]) == (201, "no-store")
    told = answer.json()
    assert told["repository"] == "library/bundles"
    with httpx.Client(base_url=served.url, headers={"Authorization": f"Bearer {told['token']}"}, timeout=60) as http:
        wait_for(lambda: http.get("/v2/").status_code == 200)
        yield http


def test_a_page_sends_a_bundle_with_a_token_that_is_good_for_nothing_else(
    served: Served, owner: Person, stranger: Person
) -> None:
    page = page_of(owner)
    with sender_of(page, served) as http:
        assert http.head(f"/v2/library/bundles/blobs/{DIGEST}").status_code == 404
        # A page asks by a mount from the repository itself: an upload where the blob is not there, and else that it is.
        mount = f"/v2/library/bundles/blobs/uploads/?mount={DIGEST}&from=library/bundles"
        begun = http.post(mount)
        assert begun.status_code == 202
        place = begun.headers["location"]
        for at, end in ((0, 8), (8, len(DATA))):
            sent = http.patch(place, content=DATA[at:end], headers={"Content-Range": f"{at}-{end - 1}"})
            assert sent.status_code == 202
        assert http.put(place, params={"digest": DIGEST}).status_code == 201
        assert http.head(f"/v2/library/bundles/blobs/{DIGEST}").status_code == 200
        assert http.post(mount).status_code == 201
        elsewhere = [
            http.post("/v2/library/other/blobs/uploads/"),
            http.delete(f"/v2/library/bundles/blobs/{DIGEST}"),
            http.get("/api/v1/models"),
            http.get("/api/tags"),
            http.post("/v1/chat/completions", json={"model": "tiny", "messages": []}),
        ]
        assert [each.status_code for each in elsewhere] == [401] * 5
        with sender_of(page_of(stranger), served) as strangers:
            assert strangers.head(f"/v2/library/bundles/blobs/{DIGEST}").status_code == 404
            assert strangers.post(mount).status_code == 202, "what others have is not there"
        job = page.with_token("POST", IMPORT, json.dumps({"digest": DIGEST}))
        assert (job.status_code, job.json()["kind"], job.json()["imported"]) == (202, "import", [])
        assert page.with_token("DELETE", SESSION).status_code == 204
        wait_for(lambda: http.head(f"/v2/library/bundles/blobs/{DIGEST}").status_code == 401)


def test_only_the_page_of_who_manages_models_gets_one(viewer: Person, key_api: APIClient) -> None:
    assert page_of(viewer).with_token("POST", TOKEN, "{}").status_code == 403
    assert key_api.post(TOKEN).status_code == 403
