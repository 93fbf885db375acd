"""Many consoles on one web process: how old telemetry is when it arrives, how soon a request that ended is in every list, and what is sent."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field

import aiohttp

from benchmarks.product import MODEL, Product, ask

TOPICS = ("fleet", "nodes", "requests", "queue")
SOCKETS_OF_A_KEY = 50


@dataclass(frozen=True)
class Size:
    consoles: int = 200
    requests: int = 40
    """One after another, so that the end of each is seen by itself."""


@dataclass
class Found:
    """Seconds: ages of nodes' reports, and of requests' ends, when each console has them."""

    consoles: int
    telemetry: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    missed: int = 0
    closed: list[int | None] = field(default_factory=list)
    """Close codes of consoles that did not stay."""
    seconds: float = 0.0
    received: int = 0
    processor: dict[str, float] = field(default_factory=dict)


def measure(product: Product, size: Size) -> Found:
    keys = [
        ask(
            f"{product.url}/api/v1/keys",
            product.key,
            {"name": f"console-{n}", "permissions": ["node.view", "usage.view"]},
        )
        for n in range(-(-size.consoles // SOCKETS_OF_A_KEY))
    ]
    return asyncio.run(_measure(product, [key["secret"] for key in keys], size))


async def _measure(product: Product, keys: list[str], size: Size) -> Found:
    found = Found(size.consoles)
    ends: dict[str, float] = {}
    arrivals: list[tuple[str, float]] = []
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:
        node = ask(f"{product.url}/api/v1/nodes", product.key)["results"][0]["id"]
        entered = asyncio.Semaphore(size.consoles)

        async def console(key: str) -> None:
            address = f"{product.url}/ws/live/"
            async with http.ws_connect(address, headers={"Authorization": f"Bearer {key}"}, max_msg_size=0) as socket:
                for topic in TOPICS:
                    await socket.send_json({"type": "subscribe", "topic": topic})
                await socket.send_json({"type": "subscribe", "topic": "node", "ids": [node.replace("-", "")]})
                async for message in socket:
                    at = time.time()
                    found.received += len(message.data)
                    told = json.loads(message.data)
                    if told["type"] == "snapshot" and told["topic"] == "node":
                        entered.release()
                    if told["type"] != "event":
                        continue
                    if told["topic"] == "node":
                        found.telemetry += [at - n["state"]["at"] for n in told["data"]["nodes"] if n["state"]]
                    elif told["topic"] == "requests":
                        arrivals.extend((each["request"], at) for each in told["data"]["finished"])
                found.closed.append(socket.close_code)

        for _ in range(size.consoles):
            await entered.acquire()
        consoles = [asyncio.create_task(console(keys[n % len(keys)])) for n in range(size.consoles)]
        try:
            try:
                async with asyncio.timeout(60):
                    for _ in range(size.consoles):
                        await entered.acquire()
            except TimeoutError:
                failed = [task.exception() for task in consoles if task.done()]
                raise RuntimeError(
                    f"not all entered: closed with {sorted(map(str, found.closed))}, failed: {failed}"
                ) from None
            await asyncio.sleep(3)
            found.telemetry.clear()
            found.received = 0
            before, began = product.cpu(), time.monotonic()
            for _ in range(size.requests):
                body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}
                headers = {"Authorization": f"Bearer {product.key}"}
                async with http.post(f"{product.url}/v1/chat/completions", json=body, headers=headers) as response:
                    await response.read()
                    ends[response.headers["x-request-id"]] = time.time()
                await asyncio.sleep(0.37)
            found.seconds = time.monotonic() - began
            after = product.cpu()
            await asyncio.sleep(2)
        finally:
            for task in consoles:
                task.cancel()
            await asyncio.gather(*consoles, return_exceptions=True)
    found.processor = {name: (spent - before.get(name, 0.0)) / found.seconds for name, spent in after.items()}
    found.ended = [max(0.0, at - ends[request]) for request, at in arrivals if request in ends]
    found.missed = size.requests * size.consoles - len(found.ended)
    return found


def _of(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def report(found: Found) -> str:
    lines = [
        f"{found.consoles} consoles on one web process, {found.seconds:.0f} s, {found.missed} ends not told, closed: {found.closed or 'none'}"
    ]
    for name, values in (("node's report to console", found.telemetry), ("request's end to console", found.ended)):
        shown = ", ".join(f"p{round(share * 100)} {_of(values, share):.2f} s" for share in (0.5, 0.95, 0.99))
        lines.append(f"  {name:26} {shown} ({len(values)} times)")
    lines.append(
        f"  sent to each               {found.received / found.consoles / max(found.seconds, 1) / 1000:.1f} kB/s"
    )
    busy = sorted(found.processor.items(), key=lambda each: -each[1])[:4]
    lines.append("  processor                  " + ", ".join(f"{name} {share:.0%}" for name, share in busy))
    return "\n".join(lines)
