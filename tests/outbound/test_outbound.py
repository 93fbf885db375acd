"""The client for addresses that tenants choose, against names, numbers and servers that want it to speak with the wrong ones."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from ollamamax.outbound import names
from ollamamax.outbound.addresses import OutboundRefused, Rules, checked_url, require_allowed
from ollamamax.outbound.client import CheckedResolver, OutboundFailed, send
from tests.patience import LONG

LOCAL = Rules(networks=[ipaddress.ip_network("127.0.0.0/8")], http=True)
PLAIN = Rules(http=True)
Serve = Callable[[Callable[[asyncio.StreamWriter], Awaitable[None]]], Awaitable[int]]


@pytest_asyncio.fixture
async def serve() -> AsyncIterator[Serve]:
    servers: list[asyncio.Server] = []

    async def start(answer: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> int:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await reader.readuntil(b"\r\n\r\n")
                await answer(writer)
                await writer.drain()
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        servers.append(await asyncio.start_server(handle, "127.0.0.1", 0))
        port: int = servers[-1].sockets[0].getsockname()[1]
        return port

    yield start
    for server in servers:
        server.close()


async def _fine(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


class Says(CheckedResolver):
    """Finds for a name what the test says, one answer after another."""

    def __init__(self, rules: Rules, *answers: list[str]) -> None:
        super().__init__(rules)
        self.answers = list(answers)
        self.asked = 0

    async def look_up(self, host: str, port: int, family: int) -> list[tuple[int, str]]:
        self.asked += 1
        found = self.answers[min(self.asked, len(self.answers)) - 1]
        return [(10 if ":" in address else 2, address) for address in found]


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "https://",
        "https:///path",
        "https://user:secret@example.com/",
        "https://example.com\\@127.0.0.1/",
        "https://example.com/\r\nX: y",
        "https://exa mple.com/",
        "https://example.com:99999/",
        "https://example.com:0/",
        "https://%31%32%37.0.0.1/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[fe80::1%25eth0]/",
        "https://[::ffff:10.0.0.1]/",
        "https://169.254.169.254/latest/meta-data",
        "https://0.0.0.0/",
        "https://" + "a" * 3000 + ".example/",
    ],
)
def test_what_is_no_address_of_somebody_else_is_refused_before_anything_is_tried(url: str) -> None:
    with pytest.raises(OutboundRefused):
        checked_url(url, Rules())


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.1",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:a9fe:a9fe",
        "64:ff9b::7f00:1",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
    ],
)
def test_no_address_inside_is_allowed_in_whatever_form(address: str) -> None:
    with pytest.raises(OutboundRefused):
        require_allowed(ipaddress.ip_address(address), Rules())


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "64:ff9b::101:101"])
def test_public_addresses_are_allowed(address: str) -> None:
    require_allowed(ipaddress.ip_address(address), Rules())


@given(st.ip_addresses(v=4))
def test_an_address_carried_in_another_is_judged_like_itself(address: ipaddress.IPv4Address) -> None:
    def allowed(each: Any) -> bool:
        try:
            require_allowed(each, Rules())
        except OutboundRefused:
            return False
        return True

    for carrier in (f"::ffff:{address}", f"64:ff9b::{address}"):
        assert allowed(ipaddress.IPv6Address(carrier)) == allowed(address)
    sixtofour = ipaddress.IPv6Address((0x2002 << 112) | (int(address) << 80))
    assert allowed(sixtofour) <= allowed(address)


def test_the_operator_may_allow_a_network_and_no_more_than_that() -> None:
    rules = Rules(networks=[ipaddress.ip_network("10.1.0.0/16")])
    require_allowed(ipaddress.ip_address("10.1.2.3"), rules)
    require_allowed(ipaddress.ip_address("::ffff:10.1.2.3"), rules)
    with pytest.raises(OutboundRefused):
        require_allowed(ipaddress.ip_address("10.2.0.1"), rules)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost"])
async def test_this_machine_is_not_spoken_to_by_any_of_its_spellings(serve: Serve, host: str) -> None:
    port = await serve(_fine)
    # Where the system does not know a spelling, nothing is reached either.
    with pytest.raises((OutboundRefused, OutboundFailed)):
        await send("GET", f"http://{host}:{port}/", rules=PLAIN)


async def test_a_name_that_changes_its_mind_is_asked_once_and_the_checked_address_is_used(serve: Serve) -> None:
    """DNS rebinding: the first answer is fine, the second is inside. There is no second question."""
    port = await serve(_fine)
    resolver = Says(LOCAL, ["127.0.0.1"], ["10.0.0.1"])
    answer = await send("GET", f"http://rebinding.example:{port}/", rules=LOCAL, resolver=resolver)
    assert (answer.status, answer.body, resolver.asked) == (200, b"ok", 1)


@pytest.mark.parametrize("found", [["10.0.0.1"], ["1.1.1.1", "10.0.0.1"], ["::ffff:127.0.0.1"], ["fe80::1%eth0"]])
async def test_a_name_with_one_address_inside_is_refused_whole(found: list[str]) -> None:
    with pytest.raises(OutboundRefused):
        await send("GET", "http://name.example/", rules=PLAIN, resolver=Says(PLAIN, found))


async def test_a_name_that_nobody_knows_fails() -> None:
    with pytest.raises(OutboundFailed):
        await send("GET", "http://name.example/", rules=PLAIN, resolver=Says(PLAIN, []))


async def test_a_redirect_is_an_answer_and_is_not_followed(serve: Serve) -> None:
    async def redirect(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 307 Go\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n")

    port = await serve(redirect)
    answer = await send("POST", f"http://127.0.0.1:{port}/", rules=LOCAL, body=b"{}")
    assert (answer.status, answer.headers["Location"]) == (307, "http://169.254.169.254/")


async def test_a_body_that_never_ends_or_comes_slowly_or_is_too_long_ends(serve: Serve) -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 1000)
            await writer.drain()

    async def slow(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(100):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    async def headers(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n")

    for answer, seconds in ((endless, 10.0), (slow, 0.3), (headers, 10.0)):
        port = await serve(answer)
        with pytest.raises(OutboundFailed):
            await send("GET", f"http://127.0.0.1:{port}/", rules=LOCAL, seconds=seconds, most_answer=10_000)


async def test_what_is_compressed_is_not_blown_up(serve: Serve) -> None:
    import gzip

    packed = gzip.compress(b"0" * 5_000_000)

    async def bomb(writer: asyncio.StreamWriter) -> None:
        length = str(len(packed)).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: " + length + b"\r\n\r\n" + packed)

    port = await serve(bomb)
    assert (await send("GET", f"http://127.0.0.1:{port}/", rules=LOCAL)).body == packed


async def test_no_proxy_of_the_environment_is_used(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    port = await serve(_fine)
    assert (await send("GET", f"http://127.0.0.1:{port}/", rules=LOCAL)).body == b"ok"


def _ask(host: str, seconds: float) -> str:
    with pytest.raises(OutboundFailed) as failed:
        asyncio.run(send("GET", f"http://{host}/", rules=LOCAL, seconds=seconds))
    return str(failed.value)


def test_a_name_that_nobody_answers_for_takes_no_longer_than_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver cannot be interrupted: neither the one who asked nor the end of their loop waits for it."""
    answered, real = threading.Event(), socket.getaddrinfo

    def slow(host: Any, *given: Any, **named: Any) -> Any:
        if host.endswith("slow.example"):
            answered.wait(LONG)
            return []
        return real(host, *given, **named)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    try:
        assert "0.1 seconds" in _ask("a.slow.example", 0.1)
        assert not answered.is_set()
        # Whoever has many such names slows these alone.
        for number in range(names.DOMAIN_AT_ONCE - 1):
            _ask(f"n{number}.slow.example", 0.01)
        assert "OSError" in _ask("one-more.slow.example", LONG) or "Connector" in _ask("one-more.slow.example", LONG)
        assert "seconds" not in _ask("localhost:1", LONG)
    finally:
        answered.set()
