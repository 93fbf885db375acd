"""A node that lies and floods: ``python -m benchmarks.liar`` reads a JSON `Liar`, and says what nobody can use until it is ended.

It has what joining gives a node, and says with it all that its Redis user may: states of megabytes and states that are none, frames of
requests that nobody made and frames that are none.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import redis

from benchmarks.fleet import Fleet
from benchmarks.product import ROOT, NotStarted, ask
from cluster.worker.identity import FILE
from ollamamax.bus import keys

_MODELS = 30_000
"""In a state of 6 MiB."""
_EACH_SECONDS = 0.2
_JUNK = 20
"""States and frames that cannot be read, each time."""


class Liar(msgspec.Struct):
    """``gateways`` are those that it writes to."""

    redis_url: str
    node: str
    gateways: list[str]


@contextlib.contextmanager
def lying(fleet: Fleet, name: str) -> Iterator[None]:
    """A node joins, and lies as long as this lasts."""
    with tempfile.TemporaryDirectory(prefix="omx-liar-") as home:
        token = ask(f"{fleet.url}/api/v1/nodes/tokens", fleet.key, {"expires_in": 600, "max_uses": 1})["token"]
        joined = subprocess.run(
            [
                sys.executable, "-m", "cluster.worker.cli", "join", fleet.url, "--token", token, "--engine", "openai",
                "--engine-url", "http://127.0.0.1:9", "--home", home, "--name", name, "--slots", "64",
            ],
            cwd=ROOT, env=fleet.environ, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        if joined.returncode:
            raise NotStarted(joined.stdout + joined.stderr)
        known = json.loads((Path(home) / FILE).read_text())
        before = keys.granted("")
        gateways = [found.decode().removeprefix(before) for found in fleet.redis.pubsub_channels(before + "*")]
        process = subprocess.Popen([sys.executable, "-m", "benchmarks.liar"], cwd=ROOT, stdin=subprocess.PIPE)
        try:
            assert process.stdin is not None
            process.stdin.write(msgspec.json.encode(Liar(known["redis_url"], known["node"], gateways)) + b"\n")
            process.stdin.flush()
            yield
        finally:
            process.kill()
            process.wait(30)


def _state(node: str) -> bytes:
    models = [
        {
            "version": f"sha256:{number:064x}",
            "name": f"m{number}:latest",
            "state": "present",
            "engine": "ollama",
            "size": 5,
        }
        for number in range(_MODELS)
    ]
    return msgspec.json.encode(
        {"node": node, "boot": "b", "seq": 1, "at": time.time(), "models": models, "filler": "x" * (1 << 20)}
    )


def main() -> None:
    liar = msgspec.json.decode(sys.stdin.buffer.readline(), type=Liar)
    large, pack = _state(liar.node), msgspec.msgpack.encode
    deep = b'{"x":' + b"[" * 100_000
    while True:
        # Whoever is cut off comes again.
        with contextlib.suppress(redis.RedisError):
            client = redis.Redis.from_url(liar.redis_url, socket_timeout=5)
            while True:
                channel = keys.node_state_channel(liar.node)
                client.publish(channel, large)
                with client.pipeline(transaction=False) as pipe:
                    for number in range(_JUNK):
                        pipe.publish(channel, (b'{"node":"\xff"}', deep, os.urandom(1000))[number % 3])
                        for gateway in liar.gateways:
                            nobodys = pack([[f"{os.urandom(16).hex()}.1", 0, [["d", "x" * 1000, "", 1]]]] * 20)
                            pipe.publish(keys.tokens(liar.node, gateway), (nobodys, b"\x91" * 100_000)[number % 2])
                    pipe.execute()
                time.sleep(_EACH_SECONDS)
        time.sleep(_EACH_SECONDS)


if __name__ == "__main__":
    main()
