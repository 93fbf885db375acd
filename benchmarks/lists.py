"""How long the lists of the management API take, with many nodes and usage records: real joins, and records that go the product's own way."""

from __future__ import annotations

import asyncio
import functools
import http.client
import json
import random
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import redis

from benchmarks import usage
from benchmarks.conditions import conditions
from benchmarks.load import quantile
from benchmarks.product import ROOT, Place, ask, placed
from benchmarks.rows import rows
from benchmarks.simulated_fleet import few_at_once
from cluster.engines.build import EngineChoice
from cluster.worker.join import join
from ollamamax.bus import keys
from ollamamax.contract import encode_json
from ollamamax.embedded.environment import of_running
from ollamamax.embedded.home import Home

GOAL_MS = 100.0
WAITING = 20_000
"""Records that wait in the stream at most, so that Redis need not hold them all."""
_CHUNK = 2_000
_USES = 1000
FILTERED = {
    "requests": (
        "outcome=failed", "model=a-model-7:latest", "user=user-7", "node={node}", "slower_than_ms=9990",
        "outcome=failed&model=a-model-7:latest&user=user-7",
    ),
    "usage": ("model=a-model-7:latest", "user=user-7"),
    "nodes": ("name=sim-77", "lifecycle=ready", "engine=ollama"),
    "keys": ("name=sim-77", "revoked=false"),
    "audit": ("action=node.join", "outcome=ok"),
}  # fmt: skip


@dataclass(frozen=True)
class Size:
    records: int = 1_000_000
    nodes: int = 10_000
    keys: int = 1_000
    rounds: int = 100


@dataclass
class Found:
    """``took``: address of a list -> milliseconds of each answer, and how many rows the last one had."""

    records: int
    nodes: int
    written: float
    joined: float
    took: dict[str, tuple[list[float], int]] = field(default_factory=dict)


def measure(size: Size) -> Found:
    with placed(ROOT, nodes=0) as place:
        place.environ |= {
            "OLLAMAMAX_MAX_KEYS_PER_TENANT": str(size.keys + 1000),
            "OLLAMAMAX_MAX_NODES_PER_TENANT": str(size.nodes + 1000),
        }
        key = place.up()
        environ = of_running(Home(place.home))
        begun = time.monotonic()
        asyncio.run(_fill(size, place, key))
        joined = size.nodes / (time.monotonic() - begun)
        written = _write(size, environ)
        found = Found(size.records, size.nodes, written, joined)
        found.took = _time(place.url, key, list(_addresses(place.url, key)), size.rounds)
        return found


async def _fill(size: Size, place: Place, key: str) -> None:
    url = place.url
    await few_at_once(
        functools.partial(asyncio.to_thread, ask, f"{url}/api/v1/keys", key, {"name": f"sim-{number}"})
        for number in range(size.keys)
    )
    limits = {"expires_in": 3600, "max_uses": _USES}
    tokens = [ask(f"{url}/api/v1/nodes/tokens", key, limits)["token"] for _ in range(-(-size.nodes // _USES))]
    choice = EngineChoice("ollama", "http://127.0.0.1:1")
    await few_at_once(
        functools.partial(join, url, tokens[number // _USES], f"sim-{number}", choice) for number in range(size.nodes)
    )


def _write(size: Size, environ: dict[str, str]) -> float:
    """Records a second, from the stream into PostgreSQL by the product's own process, all of them of its one tenant."""
    ((tenant,),) = rows(environ["DATABASE_URL"], "SELECT id FROM identity_tenant")
    shape = usage.Size(records=size.records, tenants=1)
    dice = random.Random(1)
    begun = time.monotonic()
    with redis.Redis.from_url(environ["REDIS_URL"]) as client:
        for at in range(0, size.records, _CHUNK):
            while int(client.xlen(keys.USAGE)) > WAITING:
                time.sleep(0.1)
            with client.pipeline(transaction=False) as pipe:
                for number in range(at, min(at + _CHUNK, size.records)):
                    pipe.xadd(keys.USAGE, {"r": encode_json(usage.record(dice, shape, number, [tenant.hex]))})
                pipe.execute()
    while _count(environ) < size.records:
        time.sleep(0.5)
    return size.records / (time.monotonic() - begun)


def _count(environ: dict[str, str]) -> int:
    ((count,),) = rows(environ["DATABASE_URL"], "SELECT count(*) FROM metering_usagerecord")
    return int(count)


def _addresses(url: str, key: str) -> Iterator[str]:
    """Every list that the API's own description tells of: as it is, by each of its orders, by the filters above, and its second page."""
    described = ask(f"{url}/api/v1/schema?format=json", key)
    node = ask(f"{url}/api/v1/nodes?limit=1", key)["results"][0]["id"]
    for path, operations in sorted(described["paths"].items()):
        listed = {each["name"]: each for each in operations.get("get", {}).get("parameters", ())}
        if "limit" not in listed or "cursor" not in listed or "{" in path:
            continue
        # One that lists nothing without being told which kind is asked for the first kind.
        needed = [f"{name}={each['schema']['enum'][0]}" for name, each in listed.items() if each.get("required")]
        if needed:
            yield f"{path}?{'&'.join(needed)}"
            continue
        yield path
        for order in listed.get("ordering", {}).get("schema", {}).get("enum", ()):
            yield f"{path}?ordering={order}"
        for each in FILTERED.get(path.removeprefix("/api/v1/"), ()):
            yield f"{path}?{each.format(node=node)}"
        following = ask(url + path, key).get("next")
        if following:
            yield f"{path}?{urllib.parse.urlsplit(following).query}"


def _time(url: str, key: str, addresses: list[str], rounds: int) -> dict[str, tuple[list[float], int]]:
    """In turns, so that what else the machine does hits all alike."""
    took: dict[str, list[float]] = {address: [] for address in addresses}
    told = dict.fromkeys(addresses, 0)
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=60)
    for _ in range(rounds):
        for address in addresses:
            begun = time.perf_counter()
            connection.request("GET", address, headers={"Authorization": f"Bearer {key}"})
            answer = connection.getresponse()
            data = answer.read()
            took[address].append(1000 * (time.perf_counter() - begun))
            assert answer.status == 200, (address, answer.status, data[:300])
            page: Any = json.loads(data)
            told[address] = len(page["results"])
    connection.close()
    return {address: (took[address], told[address]) for address in addresses}


def missed(found: Found) -> list[str]:
    return [address for address, (took, _) in found.took.items() if quantile(took, 0.99) >= GOAL_MS]


def report(found: Found) -> str:
    lines = [
        conditions(),
        f"{found.nodes:,} nodes joined, {found.joined:,.0f} a second; {found.records:,} usage records, {found.written:,.0f} written a second",
        f"{'list':90}{'rows':>6}{'p50 ms':>9}{'p99 ms':>9}",
    ]
    for address, (took, told) in found.took.items():
        shown = address if len(address) <= 88 else address[:85] + "..."
        lines.append(f"{shown:90}{told:>6}{quantile(took, 0.5):>9.1f}{quantile(took, 0.99):>9.1f}")
    lines.append(f"{len(missed(found))} of {len(found.took)} lists have a p99 of {GOAL_MS:.0f} ms or more.")
    return "\n".join(lines)
