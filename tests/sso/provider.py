"""An OpenID provider that says what a test tells it to: honest unless told otherwise."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CLIENT, SECRET = "ollamamax", "the client's secret"


def public(key: rsa.RSAPrivateKey, kid: str = "one", **more: Any) -> dict[str, Any]:
    """A key as a provider shows it."""
    shown: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return shown | {"kid": kid, "use": "sig", "alg": "RS256"} | more


@dataclass
class FakeProvider:
    """``answers`` take the place of what it says at a path: a status and bytes. ``asked`` is each request: path, headers, form."""

    issuer: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    nonce: str = ""
    keys: list[dict[str, Any]] = field(default_factory=lambda: [public(KEY)])
    make_token: Callable[[Mapping[str, Any]], str] | None = None
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    asked: list[tuple[str, Mapping[str, str], dict[str, list[str]]]] = field(default_factory=list)

    def id_token(self, **changed: Any) -> str:
        """Of the claims, with those of the protocol; one that is changed to ``None`` is left out."""
        now = time.time()
        protocol = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": self.nonce}
        claims = {name: value for name, value in (protocol | self.claims | changed).items() if value is not None}
        return self.make_token(claims) if self.make_token else signed(claims)

    def answer(self, path: str) -> tuple[int, bytes]:
        if path in self.answers:
            return self.answers[path]
        if path == "/.well-known/openid-configuration":
            return 200, _json(self.document())
        if path == "/keys":
            return 200, _json({"keys": self.keys})
        if path == "/token":
            return 200, _json({"access_token": "access", "token_type": "Bearer", "id_token": self.id_token()})
        return 404, b"{}"

    def document(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "end_session_endpoint": f"{self.issuer}/end",
            "response_types_supported": ["code"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def asked_at(self, path: str) -> int:
        return sum(1 for each, _, _ in self.asked if each == path)


def signed(claims: Mapping[str, Any], key: rsa.RSAPrivateKey = KEY, kid: str | None = "one") -> str:
    return jwt.encode(dict(claims), key, "RS256", headers={} if kid is None else {"kid": kid})


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    provider: FakeProvider


class _Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        self._answer(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))

    def _answer(self, form: dict[str, list[str]]) -> None:
        provider = self.server.provider  # type: ignore[attr-defined]
        path = self.path.partition("?")[0]
        provider.asked.append((path, dict(self.headers), form))
        status, body = provider.answer(path)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def serve(provider: FakeProvider) -> _Server:
    """On a free port of this machine, until it is shut down."""
    server = _Server(("127.0.0.1", 0), _Answering)
    server.provider = provider
    provider.issuer = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    return server
