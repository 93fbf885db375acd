"""Ollama's side of the registry protocol, as its source has it: ``server/images.go``, ``upload.go``, ``download.go`` and ``auth.go``.

What its servers do is done in the same order, with the same headers and the same assumptions: addresses are absolute, a blob's address is in the
``Location`` of an answer with status 200 and is read without any header that says who asks, and chunks go one after the other.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import struct
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from models_registry import manifest as manifests
from tests.cast import Key
from tests.management.conftest import Served

_AGENT = "ollama/0.13.0 (amd64 linux) Go/go1.24.1"


class OllamaClient:
    """``part``: bytes of a part, of which Ollama's have 100 MB at least."""

    def __init__(self, url: str, home: Path, *, part: int) -> None:
        self._url, self._home, self._part = url, home, part
        self.key = Ed25519PrivateKey.generate()
        self._token = ""
        self._http = httpx.Client(headers={"User-Agent": _AGENT}, timeout=60)
        (home / "blobs").mkdir(parents=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    @property
    def public_key(self) -> str:
        """The line in ``~/.ollama/id_ed25519.pub``."""
        return self.key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()

    def sign(self, address: str) -> str:
        """``Sign`` of ``auth/auth.go``, of what ``getAuthorizationToken`` has it sign."""
        no_body = base64.b64encode(hashlib.sha256(b"").hexdigest().encode()).decode()
        signature = base64.b64encode(self.key.sign(f"GET,{address},{no_body}".encode())).decode()
        return f"{self.public_key.split(' ')[1]}:{signature}"

    def prove(self, message: str, namespace: str = "ollamamax") -> str:
        """What ``ssh-keygen -Y sign -n NAMESPACE`` prints of the message."""

        def text(data: bytes) -> bytes:
            return struct.pack(">I", len(data)) + data

        asked = b"".join(map(text, (namespace.encode(), b"", b"sha512", hashlib.sha512(message.encode()).digest())))
        signature = text(b"ssh-ed25519") + text(self.key.sign(b"SSHSIG" + asked))
        public = base64.b64decode(self.public_key.split(" ")[1])
        parts = b"".join(map(text, (public, namespace.encode(), b"", b"sha512", signature)))
        return armoured(b"SSHSIG" + struct.pack(">I", 1) + parts)

    def blob(self, digest: str) -> Path:
        return self._home / "blobs" / digest.replace(":", "-")

    def _manifest(self, name: str) -> Path:
        return self._home / name.replace("/", "_").replace(":", "_")

    def make(self, name: str, layers: dict[str, bytes]) -> None:
        """What ``ollama create`` leaves in the client's folder."""

        def put(data: bytes, media_type: str) -> dict[str, Any]:
            digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
            self.blob(digest).write_bytes(data)
            return {"mediaType": media_type, "digest": digest, "size": len(data)}

        made = {
            "schemaVersion": 2,
            "mediaType": manifests.IMAGE,
            "config": put(b'{"model_format":"gguf"}', manifests.IMAGE_CONFIG),
            "layers": [put(data, media_type) for media_type, data in layers.items()],
        }
        self._manifest(name).write_text(json.dumps(made, separators=(",", ":")))

    # images.go

    def pull(self, name: str) -> dict[str, Any]:
        repository, tag = name.rsplit(":", 1)
        answer = self._request("GET", f"{self._url}/v2/{repository}/manifests/{tag}", {"Accept": manifests.IMAGE})
        pulled: dict[str, Any] = json.loads(answer.content)
        for layer in [*pulled["layers"], pulled["config"]]:
            self._download(repository, layer["digest"])
        self._manifest(name).write_bytes(answer.content)
        return pulled

    def push(self, name: str) -> None:
        repository, tag = name.rsplit(":", 1)
        body = self._manifest(name).read_bytes()
        pushed = json.loads(body)
        for layer in [*pushed["layers"], pushed["config"]]:
            self._upload(repository, layer["digest"])
        place = f"{self._url}/v2/{repository}/manifests/{tag}"
        self._request("PUT", place, {"Content-Type": manifests.IMAGE}, body)

    # download.go

    def _download(self, repository: str, digest: str) -> None:
        place = f"{self._url}/v2/{repository}/blobs/{digest}"
        total = int(self._request("HEAD", place).headers["Content-Length"])
        with self._http.stream("GET", place, headers=self._bearer()) as answer:
            assert answer.status_code in {200, 307}
            direct = answer.headers["Location"]
        data = bytearray()
        for start in range(0, total, self._part):
            stop = min(start + self._part, total)
            # Go's default client: nothing but the address says who asks.
            piece = httpx.get(direct, headers={"Range": f"bytes={start}-{stop - 1}"})
            assert piece.status_code == 206
            data += piece.content[: stop - start]
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == digest
        self.blob(digest).write_bytes(data)

    # upload.go

    def _upload(self, repository: str, digest: str) -> None:
        if self._request("HEAD", f"{self._url}/v2/{repository}/blobs/{digest}", missing=True).status_code == 200:
            return
        answer = self._request("POST", f"{self._url}/v2/{repository}/blobs/uploads/")
        place = answer.headers.get("Docker-Upload-Location") or answer.headers["Location"]
        if answer.status_code == 201:
            return
        data = self.blob(digest).read_bytes()
        etags = b""
        for start in range(0, len(data), self._part):
            piece = data[start : start + self._part]
            place = self._send_part(place, start, piece)
            etags += hashlib.md5(piece, usedforsecurity=False).digest()
        etag = f"{hashlib.md5(etags, usedforsecurity=False).hexdigest()}-{-(-len(data) // self._part)}"
        query = f"{'&' if urlsplit(place).query else '?'}digest={digest}&etag={etag}"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": "0"}
        self._request("PUT", place + query, headers)

    def _send_part(self, place: str, start: int, piece: bytes) -> str:
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(len(piece)),
            "X-Redirect-Uploads": "1",
            "Content-Range": f"{start}-{start + len(piece) - 1}",
        }
        assert urlsplit(place).netloc, "Go cannot ask for an address without a host"
        answer = self._http.request("PATCH", place, headers=headers | self._bearer(), content=piece)
        assert answer.status_code < 400, answer.text
        return str(answer.headers.get("Docker-Upload-Location") or answer.headers["Location"])

    # What asks again with a token: images.go and auth.go.

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def _request(
        self,
        method: str,
        url: str,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
        *,
        missing: bool = False,
    ) -> httpx.Response:
        for _ in range(2):
            answer = self._http.request(method, url, headers={**(headers or {}), **self._bearer()}, content=body)
            if answer.status_code == 401:
                self._token = self._fetch_token(answer.headers["www-authenticate"])
                continue
            assert answer.status_code < 400 or (missing and answer.status_code == 404), f"{method} {url}: {answer.text}"
            return answer
        raise AssertionError("unauthorized: access denied")

    def _fetch_token(self, challenge: str) -> str:
        rest = challenge.removeprefix("Bearer ")
        told = {name: _value(rest, name) for name in ("realm", "service", "scope")}
        assert urlsplit(told["realm"]).netloc == urlsplit(self._url).netloc, "it sends tokens to the same host only"
        query = {"service": told["service"], "scope": told["scope"].split(" "), "ts": str(int(time.time()))}
        query["nonce"] = secrets.token_urlsafe(16)
        address = f"{told['realm']}?{urlencode(sorted(query.items()), doseq=True)}"  # in order, as Go writes them
        answer = self._http.get(address, headers={"Authorization": self.sign(address)})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["token"])


def armoured(signature: bytes) -> str:
    return f"-----BEGIN SSH SIGNATURE-----\n{base64.encodebytes(signature).decode()}-----END SSH SIGNATURE-----\n"


def register(served: Served, key: Key, client: OllamaClient) -> int:
    """Let the client do what the API key may; the status of the answer."""
    with served.http(key) as http:
        return http.put("/v2/ollama-key", content=client.prove(key.text[:20])).status_code


def _value(header: str, key: str) -> str:
    """``getValue`` of ``server/images.go``."""
    start = header.find(f"{key}=")
    if start < 0:
        return ""
    start += len(key) + 2
    end = start
    while end < len(header):
        if header[end] == '"' and (end + 1 >= len(header) or header[end + 1] == ","):
            break
        end += 1
    return header[start:end]
