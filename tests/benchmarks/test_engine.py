"""The stub engine of the benchmarks says what the stub engine of the tests says."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import uvloop

from benchmarks import client
from benchmarks.client import Job
from benchmarks.engine import Connection, _now
from benchmarks.product import end, wait_for
from tests.servers import free_port

SAID = "".join(f"t{number} " for number in range(5))


@pytest.fixture(scope="module", params=["benchmarks.engine", "tests.fakes.stub_engine"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port, log = free_port(), tmp_path_factory.mktemp("engine") / "engine.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", request.param, "--port", str(port)], stdout=out, stderr=subprocess.STDOUT
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: _answers(url), process, log)
        yield url
    finally:
        end(process)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.parametrize("stream", [True, False])
async def test_every_token_is_there(engine: str, stream: bool) -> None:
    result = await client.run(Job(engine, "stub", "", concurrency=4, requests=20, tokens=50, stream=stream))
    assert (result.wrong, result.complaint, len(result.duration)) == (0, "", 20)


async def test_tokens_come_at_their_pace(engine: str) -> None:
    result = await client.run(Job(engine, "stub", "", concurrency=2, requests=2, tokens=5, first=200, every=50))
    assert result.wrong == 0
    # Clocks of two processes: a timer may be a millisecond early.
    assert min(result.first_token) > 0.195
    assert min(result.duration) > 0.195 + 4 * 0.05


def test_it_waits_for_the_next_token_without_looking_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, say = 0, Connection._say

    def counted(self: Connection, *given: Any) -> None:
        nonlocal looks
        looks += 1
        say(self, *given)

    async def speak() -> list[bytes]:
        connection, written = Connection(), Written()
        connection.connection_made(written)
        # Not whole milliseconds: the first timer is due before the first token.
        connection._say(list(map(bytes, range(20))), 0, 20, _now() + 0.5, 2.5)
        while len(written.parts) < 20:
            await asyncio.sleep(0.01)
        return written.parts

    monkeypatch.setattr(Connection, "_say", counted)
    assert len(uvloop.run(speak())) == 20
    # Nor is it more than one look for each token, and one that is a millisecond early now and then.
    assert looks <= 30


class Written(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[bytes] = []

    def write(self, data: Any) -> None:
        self.parts.append(data)


@pytest.mark.parametrize("stream", [True, False])
def test_it_speaks_as_much_of_ollamas_api_as_its_proxies_need(engine: str, stream: bool) -> None:
    asked = {"model": "stub", "messages": [{"role": "user", "content": "Count"}], "options": {"num_predict": 5}}
    body = msgspec.json.encode(asked | {"stream": stream})
    with urllib.request.urlopen(urllib.request.Request(f"{engine}/api/chat", body), timeout=30) as answer:
        lines = [msgspec.json.decode(line) for line in answer.read().splitlines()]
    assert "".join(line["message"]["content"] for line in lines) == SAID
    assert (lines[-1]["done"], lines[-1]["eval_count"], len(lines)) == (True, 5, 6 if stream else 1)
    for path, key in (("version", "version"), ("tags", "models"), ("ps", "models")):
        with urllib.request.urlopen(f"{engine}/api/{path}", timeout=30) as answer:
            assert msgspec.json.decode(answer.read())[key]


def test_what_it_does_not_have_is_not_found(engine: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{engine}/v1/nothing", timeout=30)
