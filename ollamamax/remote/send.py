"""Sends a file to the registry in chunks, and goes on where it broke off: after an error, and in a later run of the command."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import msgspec

from ollamamax.remote import credentials
from ollamamax.remote.api import ApiAnswer, NoAnswer, RemoteApi, rest
from ollamamax.remote.exits import CommandFailed, ExitStatus

CHUNK = 16 << 20
"""Bytes of a request; of one that fails nothing is kept."""
_HASHED = 1 << 20
_RANGE = re.compile(r"0-(\d{1,18})", re.ASCII)
_BUSY, _GONE, _OUT_OF_ORDER = 409, 404, 416

Tell = Callable[[int, int], None]
"""Is told how many bytes of how many are done."""


class _Begun(msgspec.Struct):
    """An upload that an earlier run began: its path on the server."""

    path: str


@dataclass(frozen=True)
class SentFile:
    """``bytes``: how many this run sent; 0 when the server had all of it."""

    digest: str
    size: int
    bytes: int


def digest_of_file(file: Path, tell: Tell) -> tuple[str, int]:
    """``sha256:...`` and size. Raises `CommandFailed`."""
    done, total = 0, file.stat().st_size
    found = hashlib.sha256()
    with file.open("rb") as opened:
        while part := opened.read(_HASHED):
            found.update(part)
            done += len(part)
            tell(done, total)
    return f"sha256:{found.hexdigest()}", done


def send_file(api: RemoteApi, repository: str, file: Path, *, hashed: Tell, sent: Tell, chunk: int = CHUNK) -> SentFile:
    """Make the server have the bytes of ``file``, for the model ``repository``. Raises `CommandFailed`."""
    digest, size = digest_of_file(file, hashed)
    found = api.tried("HEAD", f"/api/blobs/{digest}")
    if found.status == 200:
        return SentFile(digest, size, 0)
    if found.status != 404:
        # An answer to HEAD has no body that would say why.
        raise api.tried("GET", "/api/v1/me").refusal() if found.status in {401, 403} else found.refusal()
    note = _note(api, repository, digest)
    with file.open("rb") as opened:
        count = _Sending(api, repository, digest, size, note, chunk, sent).run(opened)
    note.unlink(missing_ok=True)
    return SentFile(digest, size, count)


def _note(api: RemoteApi, repository: str, digest: str) -> Path:
    """Where it is kept that an upload was begun; of one address, repository and digest."""
    name = hashlib.sha256(f"{api.login.url}\n{repository}\n{digest}".encode()).hexdigest()
    return credentials.folder() / "uploads" / f"{name}.json"


@dataclass
class _Sending:
    api: RemoteApi
    repository: str
    digest: str
    size: int
    note: Path
    chunk: int
    tell: Tell

    def run(self, file: IO[bytes]) -> int:
        """How many bytes were sent and taken."""
        count = failures = 0
        path, at = self._resumed() or self._begun()
        while at < self.size:
            file.seek(at)
            data = file.read(min(self.chunk, self.size - at))
            if not data:
                raise CommandFailed(f"The file became shorter while it was sent: {at} of {self.size} bytes.")
            answer = self._chunk(path, at, data)
            if answer is not None and answer.status == 202:
                count, at, failures = count + len(data), at + len(data), 0
                self.tell(at, self.size)
                continue
            failures += 1
            if answer is not None and answer.status not in {_BUSY, _GONE, _OUT_OF_ORDER, 429, 502, 503, 504}:
                raise answer.refusal()
            if failures == self.api.tries:
                raise (answer.refusal() if answer else self._broke_off())
            rest(failures)
            path, at = self._resumed() or self._begun()
        done = self.api.tried("PUT", f"{path}?digest={self.digest}", data=b"")
        if done.status == _GONE and self.api.tried("HEAD", f"/api/blobs/{self.digest}").status == 200:
            return count  # an earlier try of the same request did it
        if done.status != 201:
            self.note.unlink(missing_ok=True)
            raise done.refusal()
        return count

    def _chunk(self, path: str, at: int, data: bytes) -> ApiAnswer | None:
        headers = {"Content-Type": "application/octet-stream", "Content-Range": f"{at}-{at + len(data) - 1}"}
        try:
            return self.api.attempt("PATCH", path, data=data, headers=headers)
        except NoAnswer:
            return None

    def _broke_off(self) -> CommandFailed:
        return CommandFailed(
            f"{self.api.login.url} cannot be reached. The same command goes on where this one stopped.",
            ExitStatus.UNREACHABLE,
        )

    def _resumed(self) -> tuple[str, int] | None:
        """Path of the upload that was begun, and how many bytes it has; ``None`` where there is none any more."""
        try:
            path = msgspec.json.decode(self.note.read_bytes(), type=_Begun).path
        except (OSError, msgspec.DecodeError):
            return None
        for failures in range(1, self.api.tries + 1):
            answer = self.api.tried("GET", path)
            if answer.status != _BUSY or failures == self.api.tries:
                break
            rest(failures)
        if answer.status == _GONE:
            return None
        if answer.status != 204:
            raise answer.refusal()
        found = _RANGE.fullmatch(answer.headers.get("range", ""))
        # "0-0" is told of none and of one byte.
        if found is None or not 0 < int(found[1]) < self.size:
            self.api.tried("DELETE", path)
            return None
        self.tell(int(found[1]) + 1, self.size)
        return path, int(found[1]) + 1

    def _begun(self) -> tuple[str, int]:
        answer = self.api.tried("POST", f"/v2/{self.repository}/blobs/uploads/", data=b"")
        if answer.status != 202:
            raise answer.refusal()
        # At the address that was logged in at: behind a proxy the server may know itself by another one.
        path = urlsplit(answer.headers.get("location", "")).path
        if not path.startswith("/v2/"):
            raise CommandFailed("The server did not say where to send the file.", ExitStatus.UNREACHABLE)
        credentials.write_private(self.note, msgspec.json.encode(_Begun(path)))
        return path, 0
