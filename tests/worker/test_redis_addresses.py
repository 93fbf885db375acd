"""Nodes reach Redis by TLS, with the certificate checked, and by a Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cluster.engines.build import EngineChoice
from cluster.worker import identity as identities
from ollamamax import contract
from ollamamax.bus.broker import broker_url
from ollamamax.embedded import valkey
from tests.patience import LONG, wait_for
from tests.servers import free_port
from tests.worker.conftest import MakeNode, MakeStub
from tests.worker.node import Gateway, Node


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, secret = folder / "tls.pem", folder / "tls.key"
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return chain, secret


class TlsProxy:
    """Speaks TLS on ``port`` and passes everything on to the server at ``target``."""

    def __init__(self, folder: Path, target: int) -> None:
        self.certificate, key = write_certificate(folder)
        self.port = free_port()
        self._target = target
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.certificate, key)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self._ready.wait(LONG)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _serve(self) -> None:
        start = asyncio.start_server(self._connected, "127.0.0.1", self.port, ssl=self._context)
        self._loop.run_until_complete(start)
        self._ready.set()
        self._loop.run_forever()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._target)

        async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()
            sink.close()

        await asyncio.gather(pass_on(reader, upstream_writer), pass_on(upstream_reader, writer))


@pytest.fixture
def proxy(tmp_path: Path, redis_url: str) -> Iterator[TlsProxy]:
    made = TlsProxy(tmp_path, urlsplit(redis_url).port or 6379)
    yield made
    made.stop()


def move(node: Node, url: str) -> None:
    """Have the node reach Redis at ``url`` from its next start on."""
    node.kill()
    credentials = urlsplit(node.identity.redis_url).netloc.rpartition("@")[0]
    node.identity.redis_url = url.replace("//", f"//{credentials}@", 1)
    identities.write(node.home, node.identity)
    node.redis.delete(f"omx:node:{node.id}:state")
    node.restart()


def test_a_node_works_by_tls(proxy: TlsProxy, make_stub: MakeStub, make_node: MakeNode) -> None:
    node = make_node(EngineChoice("openai", make_stub().url))
    move(node, f"rediss://127.0.0.1:{proxy.port}/0?ssl_ca_certs={proxy.certificate}")
    node.wait_ready()
    gateway = Gateway(node)
    assert isinstance(gateway.wait(gateway.run()).end, contract.Final)
    wait_for(lambda: "Task cluster.drain_inbox" in node.log.read_text(), what="Celery's connection")


def test_a_certificate_that_is_not_trusted_is_refused(
    proxy: TlsProxy, make_stub: MakeStub, make_node: MakeNode
) -> None:
    node = make_node(EngineChoice("openai", make_stub().url))
    move(node, f"rediss://127.0.0.1:{proxy.port}/0")

    def refused() -> set[str]:
        """Who reported that the certificate was not accepted."""
        lines = [line for line in node.log_lines() if "CERTIFICATE_VERIFY_FAILED" in str(line)]
        return {str(line["logger"]).partition(".")[0] for line in lines}

    wait_for(lambda: refused() >= {"cluster", "celery"}, what="both connections refused")
    assert node.state() is None


def test_a_node_works_by_a_unix_socket(tmp_path: Path, make_stub: MakeStub, make_node: MakeNode) -> None:
    port, socket = free_port(), tmp_path / "s"
    command = [*valkey.command(tmp_path, port, durable=False), "--unixsocket", str(socket)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        valkey.wait_ready(f"redis://127.0.0.1:{port}/0", server)
        node = make_node(EngineChoice("openai", make_stub().url), url=f"redis://127.0.0.1:{port}/0")
        move(node, f"unix://{socket}")
        node.wait_ready()
        gateway = Gateway(node)
        assert isinstance(gateway.wait(gateway.run()).end, contract.Final)
        wait_for(lambda: "Task cluster.drain_inbox" in node.log.read_text(), what="Celery's connection")
        node.stop()
    finally:
        server.terminate()
        server.wait(LONG)


def test_addresses_for_celery() -> None:
    assert broker_url("redis://h:1/0") == "redis://h:1/0"
    assert broker_url("rediss://h:1/0") == "rediss://h:1/0?ssl_cert_reqs=required"
    assert broker_url("rediss://h:1/0?ssl_cert_reqs=none") == "rediss://h:1/0?ssl_cert_reqs=none"
    assert broker_url("unix://u:p@/run/s?db=2") == "redis+socket://u:p@/run/s?virtual_host=2"


def test_the_client_checks_certificates_too() -> None:
    pool = redis.Redis.from_url("rediss://h:1/0").connection_pool
    assert pool.make_connection().cert_reqs == ssl.CERT_REQUIRED
