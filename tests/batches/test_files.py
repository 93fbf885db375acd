"""`/v1/files` with the official client: uploads, pages, contents, limits."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import shutil
import socket
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import openai
import pytest
from channels.db import database_sync_to_async

from ollamamax.audit.models import AuditRecord
from ollamamax.batches.actions.sweep import sweep_files
from ollamamax.batches.models import File
from ollamamax.blobs.disk import in_folder
from ollamamax.kernel import disk
from tests.batches.conftest import MOST_FILE_BYTES, MOST_TENANT_BYTES, House, chat, jsonl, rows
from tests.patience import until


def stored(house: House) -> list[str]:
    folder = house.home / "files"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


async def test_a_file_comes_back_byte_for_byte(house: House) -> None:
    client = house.client()
    data = jsonl([chat(number, text="ünï\n" * 10) for number in range(300)])
    made = await client.files.create(file=("mein name.jsonl", data), purpose="batch")
    assert (made.object, made.purpose, made.status) == ("file", "batch", "processed")
    assert (made.filename, made.bytes) == ("mein name.jsonl", len(data))
    assert made.id.startswith("file-")
    assert made.sha256 == hashlib.sha256(data).hexdigest()  # type: ignore[attr-defined]
    assert (await client.files.retrieve(made.id)) == made
    assert (await client.files.content(made.id)).content == data
    gone = await client.files.delete(made.id)
    assert (gone.id, gone.deleted) == (made.id, True)
    with pytest.raises(openai.NotFoundError):
        await client.files.retrieve(made.id)
    assert stored(house) == []
    trail = await rows(lambda: list(AuditRecord.objects.values_list("action", "request").order_by("pk")))
    assert [action for action, _ in trail][-2:] == ["file.create", "file.delete"]
    assert all(request for _, request in trail[-2:])


async def test_fields_may_come_after_the_file_and_in_small_pieces(house: House) -> None:
    data = jsonl([chat(number) for number in range(20)])
    form = (
        b'--zz\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n' + data + b"\r\n"
        b'--zz\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--zz--\r\n'
    )

    async def pieces() -> Any:
        for start in range(0, len(form), 97):
            yield form[start : start + 97]

    headers = {"Authorization": f"Bearer {house.key.text}", "Content-Type": "multipart/form-data; boundary=zz"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{house.url}/v1/files", data=pieces(), headers=headers) as response,
    ):
        assert response.status == 200, await response.text()
        made = await response.json()
    assert (await house.client().files.content(made["id"])).content == data


@pytest.mark.parametrize(
    ("form", "status", "param"),
    [
        ({"purpose": "batch"}, 400, "file"),
        ({"file": b"x"}, 400, "purpose"),
        ({"file": b"x", "purpose": "fine-tune"}, 400, "purpose"),
        ({"file": b"x", "purpose": "batch", "expires_after[seconds]": "3600"}, 400, "expires_after[seconds]"),
        ({"file": b"x", "other": b"y", "purpose": "batch"}, 400, "other"),
        ({"file": b"x", "purpose": "b" * 70_000}, 413, "file"),
        ({"file": b"x" * (MOST_FILE_BYTES + 1), "purpose": "batch"}, 413, "file"),
    ],
)
async def test_a_form_that_is_not_right_leaves_nothing(
    house: House, form: dict[str, Any], status: int, param: str
) -> None:
    data = aiohttp.FormData()
    for name, value in form.items():
        data.add_field(name, value, **({"filename": "x.jsonl"} if isinstance(value, bytes) else {}))
    if not any(isinstance(value, bytes) for value in form.values()):
        data.add_field("note", "so that it is multipart", content_type="text/plain")
    headers = {"Authorization": f"Bearer {house.key.text}"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{house.url}/v1/files", data=data(), headers=headers) as response,
    ):
        error = (await response.json())["error"]
    assert (response.status, error["param"]) == (status, param), error
    assert stored(house) == []
    assert await rows(File.objects.count) == 0


async def test_a_file_that_would_take_the_disk_from_everything_else_is_refused(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=disk.RESERVE + 1_000))
    form = (
        b'--zz\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
        + b"x" * 2_000
        + b"\r\n--zz--\r\n"
    )

    async def pieces() -> Any:
        yield form

    headers = {"Authorization": f"Bearer {house.key.text}", "Content-Type": "multipart/form-data; boundary=zz"}
    async with aiohttp.ClientSession() as http:
        for body in (form, pieces()):  # with a length, and without
            async with http.post(f"{house.url}/v1/files", data=body, headers=headers) as response:
                error = (await response.json())["error"]
                assert (response.status, error["code"]) == (507, "insufficient_storage")
    assert stored(house) == []


async def test_what_is_no_form_is_refused(house: House) -> None:
    headers = {"Authorization": f"Bearer {house.key.text}"}
    cut = b'--zz\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc'
    async with aiohttp.ClientSession() as http:
        for body, kind in (
            (b"{}", "application/json"),
            (cut, "multipart/form-data; boundary=zz"),
            (b"?", "multipart/form-data"),
        ):
            given = headers | {"Content-Type": kind}
            async with http.post(f"{house.url}/v1/files", data=body, headers=given) as response:
                assert response.status == 400, kind
                assert (await response.json())["error"]["code"] == "invalid_request"
        async with http.put(f"{house.url}/v1/files", headers=headers) as response:
            assert response.status == 405
        async with http.get(f"{house.url}/v1/files/a/b", headers=headers) as response:
            assert response.status == 404
    assert stored(house) == []


PART = b'--zz\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
PURPOSE = b'--zz\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n'
BROKEN = {
    "a field that is not UTF-8": PURPOSE + b"\xff\r\n" + PART + b"x" * 50_000 + b"\r\n--zz--\r\n",
    "a name that is not UTF-8": PART + b"x\r\n" + PURPOSE.replace(b"purpose", b"\xff") + b"batch\r\n--zz--\r\n",
    "a file name that is not UTF-8": PART.replace(b'"a"', b'"\xff"') + b"x\r\n--zz--\r\n",
    "cut in the file": PURPOSE + b"batch\r\n" + PART + b"x" * 50_000,
    "cut in a header": PART[:-10],
    "another boundary": (PURPOSE + b"batch\r\n" + PART + b"x\r\n--zz--\r\n").replace(b"--zz", b"--yy"),
    "nothing": b"",
}


@pytest.mark.parametrize("what", BROKEN)
async def test_a_broken_form_is_the_clients_fault_and_leaves_nothing(house: House, what: str) -> None:
    headers = {"Authorization": f"Bearer {house.key.text}", "Content-Type": "multipart/form-data; boundary=zz"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{house.url}/v1/files", data=BROKEN[what], headers=headers) as response,
    ):
        assert response.status == 400
        assert (await response.json())["error"]["code"] == "invalid_request"
    assert stored(house) == []


def _parts(number: int) -> bytes:
    return b'--zz\r\nContent-Disposition: form-data; name="%d"\r\n\r\n\r\n' % number


ENDLESS = {
    "one header": (b"--zz\r\nX-A: ", lambda number: b"a" * 4096),
    "headers": (b"--zz\r\n", lambda number: b"x%d: a\r\n" % number),
    "parts": (b"", _parts),
    "one name": (b'--zz\r\nContent-Disposition: form-data; name="', lambda number: b"n" * 4096),
    "one value": (PURPOSE, lambda number: b"v" * 4096),
    "what follows the end": (PURPOSE + b"batch\r\n" + PART + b"x\r\n--zz--\r\n", lambda number: b"e" * 4096),
    "a boundary": (b"", lambda number: b"-" * 4096),
    "a file": (PART, lambda number: b"f" * 4096),
}


@pytest.mark.parametrize("what", ENDLESS)
async def test_a_form_without_end_is_refused_early(house: House, what: str) -> None:
    """What a form may hold besides its file is little, so little is kept of it and little is read."""
    start, more = ENDLESS[what]
    sent = 0
    address = urlsplit(house.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(
            f"POST /v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {house.key.text}\r\nContent-Type: "
            "multipart/form-data; boundary=zz\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        answered = asyncio.create_task(reader.readline())
        for part in itertools.chain([start] if start else [], map(more, itertools.count())):
            writer.write(b"%x\r\n%b\r\n" % (len(part), part))
            sent += len(part)
            await writer.drain()
            await asyncio.sleep(0)
            if answered.done():
                break
        assert (await answered).split()[1] in {b"400", b"413"}
    finally:
        writer.close()
    await until(lambda: stored(house) == [])
    assert sent < 8 << 20


async def test_a_client_that_leaves_midway_leaves_nothing(house: House) -> None:
    address = urlsplit(house.url)
    head = (
        f"POST /v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {house.key.text}\r\n"
        "Content-Type: multipart/form-data; boundary=zz\r\nContent-Length: 100000\r\n\r\n"
        '--zz\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    )
    with socket.create_connection((str(address.hostname), int(address.port or 0))) as client:
        client.sendall(head.encode() + b"x" * 5000)
        await until(lambda: len(stored(house)) == 1)
    await until(lambda: stored(house) == [])
    assert await rows(File.objects.count) == 0


async def test_the_files_of_a_tenant_have_a_limit_together(house: House) -> None:
    data = b"x" * (MOST_FILE_BYTES - 1)
    client = house.client()
    answers = await asyncio.gather(
        *(client.files.create(file=("x.jsonl", data), purpose="batch") for _ in range(7)), return_exceptions=True
    )
    made = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert len(made) == MOST_TENANT_BYTES // len(data) == 5
    assert {answer.status_code for answer in answers if isinstance(answer, openai.APIStatusError)} == {413}
    assert len(stored(house)) == 5
    await client.files.delete(made[0].id)
    await client.files.create(file=("x.jsonl", data), purpose="batch")
    await house.client(house.stranger_key).files.create(file=("x.jsonl", data), purpose="batch")


async def test_a_file_that_a_batch_needs_stays(house: House) -> None:
    name = await house.order([chat(0)])
    file = (await house.batch(name)).input_file_id
    with pytest.raises(openai.ConflictError, match=name):
        await house.client().files.delete(file)
    await house.client().batches.cancel(name)
    await house.add_runner()
    await house.ended(name)
    await house.client().files.delete(file)
    assert (await house.batch(name)).input_file_id == file


async def test_pages_of_files_follow_each_other(house: House) -> None:
    made = [await house.upload([chat(number)]) for number in range(4)]
    client = house.client()
    assert [file.id async for file in client.files.list(limit=3)] == made[::-1]
    assert [file.id async for file in client.files.list(limit=1, order="asc")] == made
    assert (await client.files.list(purpose="batch_output")).data == []
    for wrong in ({"limit": 0}, {"order": "up"}, {"purpose": "vision"}, {"after": "batch_1"}):
        with pytest.raises(openai.BadRequestError):
            await client.files.list(**wrong)


async def test_a_key_without_the_permission_uploads_nothing(house: House) -> None:
    from tests import cast

    key = await database_sync_to_async(cast.make_key, thread_sensitive=False)(house.owner, permissions=["model.view"])
    with pytest.raises(openai.PermissionDeniedError):
        await house.client(key).files.create(file=("x.jsonl", b"x"), purpose="batch")
    assert stored(house) == []


async def test_bytes_that_no_file_owns_are_swept(house: House) -> None:
    kept = await house.upload([chat(0)])
    store = in_folder(house.home / "files")
    for name in ("0" * 32, "1" * 32 + ".part", "not-ours"):
        (house.home / "files" / name).write_bytes(b"x")
    assert await rows(lambda: sweep_files(store)) == 0
    assert await rows(lambda: sweep_files(store, older_than=-1)) == 2
    assert stored(house) == sorted([kept.removeprefix("file-"), "not-ours"])
