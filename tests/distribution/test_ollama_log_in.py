"""An Ollama logs in with its key pair: whoever has the private half decides which API key it stands for, and a signature is good here, once."""

from __future__ import annotations

import base64
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from models_registry.distribution.key_proof import proven_key
from ollamamax.audit.models import AuditRecord
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import InvalidRequest
from tests.cast import Key, Person
from tests.distribution.conftest import Repository, Served
from tests.distribution.ollama_client import OllamaClient, armoured, register
from tests.management.conftest import knows


class Asker:
    """An Ollama that asks for tokens."""

    def __init__(self, served: Served, home: Path) -> None:
        self.client = OllamaClient(served.url, home, part=100)
        self.realm = f"{served.url}/v2/token"

    def address(self, **query: str) -> str:
        now = str(int(time.time()))
        asked = {"nonce": "abc", "scope": "repository:acme/tiny:pull", "service": "x", "ts": now, **query}
        return f"{self.realm}?{urlencode(sorted(asked.items()))}"

    def ask(self, **query: str) -> int:
        address = self.address(**query)
        return httpx.get(address, headers={"Authorization": self.client.sign(address)}).status_code


@pytest.fixture
def asker(served: Served, repository: Repository, tmp_path: Path) -> Asker:
    repository.push(b"data")
    return Asker(served, tmp_path / "theirs")


@pytest.mark.django_db(transaction=True)
def test_a_signature_is_good_once_and_for_who_registered_it(served: Served, asker: Asker, owner_key: Key) -> None:
    assert asker.ask() == 401
    assert register(served, owner_key, asker.client) == 204
    assert register(served, owner_key, asker.client) == 204
    assert asker.ask() == 200
    assert asker.ask(ts="1") == 401
    assert asker.ask(nonce="") == 401
    address = asker.address(nonce="once")
    header = {"Authorization": asker.client.sign(address)}
    assert [httpx.get(address, headers=header).status_code for _ in range(2)] == [200, 401]
    assert httpx.get(f"{address}&scope=repository:acme/tiny:push", headers=header).status_code == 401
    with served.http(owner_key) as http:
        assert http.request("DELETE", "/v2/ollama-key", content=asker.client.public_key).status_code == 204
    assert asker.ask(nonce="new") == 401
    assert AuditRecord.objects.filter(action__startswith="key.register_client").count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_signature_that_another_registry_was_given_is_none_here(served: Served, asker: Asker, owner_key: Key) -> None:
    assert register(served, owner_key, asker.client) == 204
    address = asker.address()
    for host in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "[2001:db8::1]", ""):
        signed = address.replace(served.url, f"http://{host}")
        headers = {"Host": host, "Authorization": asker.client.sign(signed)}
        assert httpx.get(address, headers=headers).status_code in {400, 401}, host


@pytest.mark.django_db(transaction=True)
def test_who_only_knows_a_public_key_cannot_register_it_and_its_owner_can_take_it_back(
    served: Served, asker: Asker, owner_key: Key, stranger: Person, stranger_key: Key
) -> None:
    knows(lambda: served.ollama(stranger_key).list())
    for known in (asker.client.public_key, asker.client.prove(owner_key.text[:20])):
        with served.http(stranger_key) as http:
            assert http.put("/v2/ollama-key", content=known).status_code == 400
    # Theirs by whatever way: the owner's proof counts.
    assert register(served, stranger_key, asker.client) == 204
    assert asker.ask() == 200
    assert register(served, owner_key, asker.client) == 204
    with served.http(stranger_key) as http:
        assert http.request("DELETE", "/v2/ollama-key", content=asker.client.public_key).status_code == 404
    with tenant_scope(stranger.tenant):
        assert AuditRecord.objects.filter(action="key.forget_client", chain=stranger.tenant.id.hex).count() == 1


def test_what_ssh_keygen_signs_is_a_proof(tmp_path: Path) -> None:
    client = OllamaClient("http://127.0.0.1", tmp_path, part=1)
    file = tmp_path / "id_ed25519"
    file.write_bytes(client.key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    file.chmod(0o600)
    command = ["ssh-keygen", "-Y", "sign", "-n", "ollamamax", "-f", str(file)]
    try:
        done = subprocess.run(command, input=b"omx_0123456789abcdef", capture_output=True, timeout=60, check=True)
    except FileNotFoundError:
        pytest.skip("OpenSSH is not installed")
    assert proven_key(done.stdout.decode(), b"omx_0123456789abcdef") == client.public_key.split(" ")[1]


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_what_was_changed_cut_or_meant_for_something_else_proves_nothing(data: Any, tmp_path_factory: Any) -> None:
    client = OllamaClient("http://127.0.0.1", tmp_path_factory.mktemp("ollama"), part=1)
    good = base64.b64decode("".join(client.prove("omx_mine").splitlines()[1:-1]))
    assert proven_key(armoured(good), b"omx_mine") == client.public_key.split(" ")[1]
    at = data.draw(st.integers(0, len(good) - 1))
    flipped = good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :]
    longer = good + data.draw(st.binary(min_size=1, max_size=5))
    bad = [armoured(flipped), armoured(good[:at]), armoured(longer), data.draw(st.text()), client.public_key]
    bad += [client.prove("omx_other"), client.prove("omx_mine", "git"), armoured(data.draw(st.binary()))]
    for text in bad:
        with pytest.raises(InvalidRequest):
            proven_key(text, b"omx_mine")
