"""A Python client that a well-known generator makes of the API's document works against the running API."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from pytest_django.live_server_helper import LiveServer

from tests.cast import Person, make_key

CLIENT = "made_client"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("client")
    config = folder / "config.json"
    # Archives are bytes to this generator once it is told so.
    overrides = dict.fromkeys(("application/zip", "application/x-tar"), "application/octet-stream")
    config.write_text(
        json.dumps({"package_name_override": CLIENT, "post_hooks": [], "content_type_overrides": overrides})
    )
    subprocess.run(
        [
            *(sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none", "--fail-on-warning"),
            *("--path", str(settings.BASE_DIR / "frontend" / "openapi.json")),
            *("--config", str(config), "--output-path", str(folder / CLIENT)),
        ],
        check=True,
        capture_output=True,
        timeout=400,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield importlib.import_module(CLIENT)


@pytest.mark.django_db(transaction=True)
def test_it_creates_lists_changes_and_deletes(package: Any, owner: Person, live_server: LiveServer) -> None:
    client = package.AuthenticatedClient(base_url=live_server.url, token=make_key(owner).text)
    of_keys = {
        name: importlib.import_module(f"{CLIENT}.api.keys.keys_{name}")
        for name in ("create", "list", "retrieve", "update", "destroy")
    }
    models = importlib.import_module(f"{CLIENT}.models")
    body = models.KeyCreate(name="by client", permissions=[models.PermissionsEnum("model.view")])
    made = of_keys["create"].sync(client=client, body=body, idempotency_key="once")
    again = of_keys["create"].sync(client=client, body=body, idempotency_key="once")
    assert (made.name, made.secret) == ("by client", again.secret)
    listed = of_keys["list"].sync(client=client, name="by client", limit=5)
    assert [each.id for each in listed.results] == [made.id]
    assert isinstance(made.id, uuid.UUID)

    read = of_keys["retrieve"].sync_detailed(made.id, client=client)
    change = models.PatchedKeyChange(name="changed")
    changed = of_keys["update"].sync(made.id, client=client, body=change, if_match=read.headers["ETag"])
    assert changed.name == "changed"
    stale = of_keys["update"].sync_detailed(made.id, client=client, body=change, if_match=read.headers["ETag"])
    assert stale.status_code == 412
    assert of_keys["destroy"].sync_detailed(made.id, client=client).status_code == 204
    assert of_keys["retrieve"].sync(made.id, client=client).revoked_at is not None


def test_every_operation_of_the_document_is_in_it(package: Any) -> None:
    document = json.loads((settings.BASE_DIR / "frontend" / "openapi.json").read_text())
    operations = {
        operation["operationId"]
        for methods in document["paths"].values()
        for operation in methods.values()
        if isinstance(operation, dict)
    }
    made = {path.stem for path in (Path(package.__file__).parent / "api").glob("*/*.py")} - {"__init__"}
    assert operations == made
