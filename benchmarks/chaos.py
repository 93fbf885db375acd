"""The chaos suite: each fault some times on a whole installation under load, each time beside a phase without it, and what clients saw in both.

Writes its table into ``docs/chaos.md``. The last row is an experiment of the product itself: described, run and reported by its API.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.chaos_faults import TRIALS, Site, Trial, until
from benchmarks.chaos_report import Result, Seen, Size, line, recovery, report, write
from benchmarks.client import expected_text
from benchmarks.conditions import conditions
from benchmarks.fleet import fleet
from benchmarks.interruptions import Clients
from benchmarks.product import NotStarted, ask
from ollamamax.contract.experiment import NodeFault

AFTER = 4.0
"""Seconds that are watched after a fault, and likewise in a phase without one."""
CALM = 2.0
BY_API: NodeFault = "engine_freeze"


@contextlib.contextmanager
def site(size: Size) -> Iterator[Site]:
    """Everything that the trials need, running."""
    made = Site()
    with fleet(
        nodes=size.nodes,
        slots=size.slots,
        gateways=size.gateways,
        engine=size.engine,
        node_options=["--allow-fault", BY_API],
        redis_of=made.redis_of,
        prepare=made.prepare,
    ) as running:
        made.fleet = running
        yield made


def measure(made: Site, size: Size, names: Sequence[str] = ()) -> list[Result]:
    """Those trials whose names begin with one of ``names``, or all."""
    chosen = [trial for trial in TRIALS if not names or any(trial.name.startswith(name) for name in names)]
    if any(trial.recovered is not None for trial in chosen):
        made.join_blobs()
    return asyncio.run(_measure(made, size, chosen))


async def _measure(made: Site, size: Size, chosen: Sequence[Trial]) -> list[Result]:
    rng = random.Random(size.seed)
    clients = Clients(
        list(made.made.gateways), made.made.key, size.streams, size.tokens, f"Count, every {size.every} ms"
    )
    over = asyncio.Event()
    running = asyncio.create_task(clients.run(over, expected_text(size.tokens)))
    began = time.monotonic()
    await asyncio.sleep(4)
    results = [Result(trial) for trial in chosen]
    for result in results:
        if result.trial.needs_small_disk and not made.has_small_disk:
            result.left_out = "only root can mount a small disk"
    # Each once before any a second time: when the minutes are over, fewer pairs are missing rather than whole rows.
    for number in range(size.repeats):
        for result in results:
            if not result.left_out and time.monotonic() - began > size.most_seconds:
                result.left_out = f"{size.most_seconds / 60:.0f} minutes were over"
            if not result.left_out:
                await _once(made, clients, result, rng.randrange(size.nodes), number)
                print(f"  {number + 1} {line(result)}", flush=True)
    over.set()
    await running
    return results


async def _once(made: Site, clients: Clients, result: Result, victim: int, number: int) -> None:
    try:
        known = await _incidents(made)
        result.pairs.append(await _pair(made, clients, result.trial, victim, number))
        result.incidents |= {kind for id_, kind in (await _incidents(made)).items() if id_ not in known}
    except (NotStarted, OSError) as error:
        # What the others show is kept; what comes next begins when all is whole again, or says the same.
        result.left_out = str(error)[:200]


async def _incidents(made: Site) -> dict[str, str]:
    """Kinds by id; the API may be busy, and is asked again."""
    found: dict[str, str] = {}

    def asked() -> bool:
        found.update(made.incidents())
        return True

    await asyncio.to_thread(until, asked, "the list of incidents")
    return found


async def _pair(made: Site, clients: Clients, trial: Trial, victim: int, number: int) -> tuple[Seen, Seen]:
    """One phase of each kind. The one without the fault comes first in every other pair."""
    if number % 2 == 0:
        control = await _phase(made, clients, trial, None)
        fault = await _phase(made, clients, trial, victim)
    else:
        fault = await _phase(made, clients, trial, victim)
        control = await _phase(made, clients, trial, None)
    if trial.recovered is None:
        fault.back = recovery(control, fault)
    return control, fault


async def _phase(made: Site, clients: Clients, trial: Trial, victim: int | None) -> Seen:
    await asyncio.sleep(CALM)
    at, before = time.monotonic(), len(clients.told)
    waited: float | None = 0.0
    if victim is None:
        await asyncio.sleep(trial.seconds)
    else:
        fault = trial.fault(made, victim)
        await asyncio.to_thread(fault.__enter__)
        try:
            await asyncio.sleep(trial.seconds)
        finally:
            await asyncio.to_thread(fault.__exit__, None, None, None)
        waited = await _come_about(made, trial, at)
    end = time.monotonic() + AFTER
    await asyncio.sleep(AFTER)
    still = [each for each in clients.under_way.values() if each.begun < end]
    limit = time.monotonic() + 40
    while any(each in clients.under_way.values() for each in still) and time.monotonic() < limit:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    if victim is not None:
        await asyncio.to_thread(until, made.made.whole, f"the fleet whole again after '{trial.name}'")
    return Seen([each for each in clients.told[before:] if each.begun < end], at, waited)


async def _come_about(made: Site, trial: Trial, at: float) -> float | None:
    """Seconds until what the trial waits for was so; ``None``: it was not in time."""
    if trial.recovered is None:
        return 0.0
    check = trial.recovered
    try:
        await asyncio.to_thread(until, lambda: check(made), trial.name, trial.recovery + 30)
    except NotStarted:
        return None
    return round(time.monotonic() - at, 1)


def experiment(made: Site, size: Size) -> dict[str, Any]:
    """The same fault as an experiment of the product, by its API: its last run, as it reports it."""
    product = made.made
    nodes = {each["name"]: each["id"] for each in ask(f"{product.url}/api/v1/nodes", product.key)["results"]}
    body = {
        "name": "An engine hangs",
        "fault": BY_API,
        "nodes": [nodes["node-1"], nodes["node-2"]],
        "seconds": 10,
        "repeats": max(2, size.repeats),
        "hypothesis": {"failed_share": 0.0, "recovery_seconds": 20.0},
    }
    where = f"{product.url}/api/v1/experiments/{ask(f'{product.url}/api/v1/experiments', product.key, body)['id']}"
    return asyncio.run(_experiment(made, size, where))


async def _experiment(made: Site, size: Size, where: str) -> dict[str, Any]:
    key = made.made.key
    clients = Clients(list(made.made.gateways), key, size.streams, size.tokens, f"Count, every {size.every} ms")
    over = asyncio.Event()
    running = asyncio.create_task(clients.run(over, expected_text(size.tokens)))
    await asyncio.sleep(4)
    await asyncio.to_thread(ask, f"{where}/runs", key, {})
    run: dict[str, Any] = {"state": "running"}
    while run["state"] == "running":
        await asyncio.sleep(2)
        run = (await asyncio.to_thread(ask, f"{where}/runs", key))["results"][0]
    over.set()
    await running
    return run


def main(size: Size, names: Sequence[str], *, keep: bool) -> bool:
    """Whether every hypothesis held that there is data for."""
    began, before = time.monotonic(), conditions()
    with site(size) as made:
        results = measure(made, size, names)
        run = None
        if not names:
            try:
                run = experiment(made, size)
            except OSError as error:
                # The product refuses to begin where a node is not well, for one: what the suite saw is kept all the same.
                print(f"the product's own experiment: {error}", flush=True)
    text = report(results, run, size, before, time.monotonic() - began)
    print("\n" + text)
    if keep:
        write(text)
    return all(result.verdict != "broken" for result in results)
