"""What a killed node does to answers of the real llama.cpp: which go on, and whether they say what they would have said."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass

from benchmarks.interruptions import Clients, Told
from benchmarks.load import quantile
from benchmarks.prefix import MODEL, load_everywhere
from benchmarks.product import Product


@dataclass(frozen=True)
class Size:
    """``streams`` at once, each with a prompt of its own, greedy; killed when so many parts of all have come."""

    nodes: int = 3
    streams: int = 12
    tokens: int = 80
    rounds: int = 2
    parts: int = 200


@dataclass
class Outcome:
    undisturbed: list[list[Told]]
    """Two runs: whether the engine says the same twice, beside others."""
    killed: list[list[Told]]


def measure(product: Product, size: Size) -> Outcome:
    load_everywhere(product)
    undisturbed = [asyncio.run(_run(product, size, kill=False)) for _ in range(2)]
    killed = []
    for _ in range(size.rounds):
        killed.append(asyncio.run(_run(product, size, kill=True)))
        # Its supervisor starts the node again.
        time.sleep(10)
        load_everywhere(product)
    return Outcome(undisturbed, killed)


async def _run(product: Product, size: Size, *, kill: bool) -> list[Told]:
    arrived: list[tuple[float, int]] = []
    prompts = [f"Tell me a long story about number {number}." for number in range(size.streams)]
    asking = [Clients([product.url], product.key, 1, size.tokens, prompt, MODEL, arrived=arrived) for prompt in prompts]
    tasks = [asyncio.create_task(each.ask(0, product.url, 0)) for each in asking]
    while kill and sum(count for _, count in arrived) < size.parts:  # noqa: ASYNC110 - a list tells nobody
        await asyncio.sleep(0.02)
    if kill:
        serving = Counter(told.node for each in asking for told in each.under_way.values() if told.node)
        busiest = max(sorted(serving), key=serving.__getitem__)
        product.renewed(busiest).kill()
    return list(await asyncio.gather(*tasks))


def report(outcome: Outcome, size: Size) -> str:
    first, second = outcome.undisturbed
    same = sum(one.text == two.text for one, two in zip(first, second, strict=True))
    lines = [
        f"{size.nodes} nodes of llama.cpp with {MODEL}, {size.streams} greedy streams of {size.tokens} tokens at once",
        f"undisturbed, twice: {same} of {size.streams} say the same",
        "",
        "| kill | went on elsewhere | pause of those, s: median, longest | their text as undisturbed | others as undisturbed | broke |",
        "|---|---|---|---|---|---|",
    ]
    for number, told in enumerate(outcome.killed):
        pairs = list(zip(told, first, strict=True))
        went_on = [(each, before) for each, before in pairs if each.continued and each.end == "ok"]
        others = [(each, before) for each, before in pairs if not each.continued and each.end == "ok"]
        gaps = [each.gap for each, _ in went_on] or [0.0]
        lines.append(
            f"| {number + 1} | {len(went_on)} | {quantile(gaps, 0.5):.1f}, {max(gaps):.1f} | "
            f"{sum(each.text == before.text for each, before in went_on)} of {len(went_on)} | "
            f"{sum(each.text == before.text for each, before in others)} of {len(others)} | "
            f"{sum(each.end != 'ok' for each in told)} |"
        )
        lines += [f"  {each.complaint}" for each in told if each.end != "ok"]
    return "\n".join(lines)
