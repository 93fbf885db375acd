"""Our way and those of our peers in one run, in front of the same stub engine."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import ways
from benchmarks.load import Load
from benchmarks.peers.start import BARE, PEERS, Starter
from benchmarks.product import Product, ask
from benchmarks.ways import DIRECT, Measured, Way

OURS = "OllamaMax"
CARRY = ("web", "valkey", "node")
"""What a request passes through."""
MANY = 1_000_000_000
TIMES = (("portkey", 2.0, 1.5), ("litellm", 25.0, 10.0))
"""What we set out to do: streams a second, and whole answers a second, as many times a peer's."""


def set_limits(product: Product) -> None:
    """Limits that no request meets, and every request is checked against; of the key, and of its tenant."""
    limits = {"requests_per_minute": MANY, "tokens_per_minute": MANY, "concurrent_requests": 1_000_000}
    keys = ask(f"{product.url}/api/v1/keys", product.key)["results"]
    key = next(each for each in keys if each["identifier"] in product.key)
    ask(f"{product.url}/api/v1/keys/{key['id']}", product.key, {"limits": limits}, method="PATCH")
    tenant = ask(f"{product.url}/api/v1/tenant", product.key)
    ask(f"{product.url}/api/v1/tenants/{tenant['id']}", product.key, {"limits": limits}, method="PATCH")


def ours(product: Product) -> Way:
    """All of its processes but the engine; the node would be on a host of its own."""
    # The supervisor is the parent of most others, which must not be counted twice.
    names = [name for name in product.processes if name not in {"stub engine", "supervisor"}]
    names.sort(key=lambda name: name not in CARRY)
    return Way(OURS, product.url, product.key, processes={name: [product.processes[name]] for name in names})


@contextlib.contextmanager
def started(product: Product, names: Sequence[str] = tuple(PEERS)) -> Iterator[list[Way]]:
    """The engine itself, ourselves, and the peers; those that do not start are among them, with the reason."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="omx-peers-")))
        with Load() as load:
            starter = Starter(product.engine_url, folder, stack, load)
            begun = [starter.begin(name) for name in names]
            yield [Way(DIRECT, product.engine_url), ours(product), *map(starter.wait, begun)]


def measure(product: Product, rounds: int, names: Sequence[str] = tuple(PEERS)) -> Measured:
    set_limits(product)
    with started(product, names) as found:
        return ways.measure(found, rounds)


def report(measured: Measured) -> str:
    lines = [ways.report(measured), "", "| goal | | measured |", "|---|---|---|"]
    for share, name, most in ((0.5, "p50", 1.5), (0.99, "p99", 5.0)):
        lines.append(
            _least(
                f"added to first token, 1 client, {name}, ms", most, ways.added(measured, ways.ALONE.name, OURS, share)
            )
        )
    for test in (ways.PACED, ways.TOGETHER):
        added = ways.added(measured, test.name, OURS, 0.5)
        lines.append(_least(f"the same, {test.name}, p50, ms", 8.0, added))
        ratios = [a / b for a, b in zip(added, ways.added(measured, test.name, BARE, 0.5), strict=False)]
        lines.append(_least(f"that beside the {BARE}, times", None, ratios))
    for peer, streams, whole in TIMES:
        for test in ways.CARRIED:
            goal = streams if test.stream else whole
            found = ways.ratio(measured, test.name, OURS, peer)
            said = "not measured" if found is None else f"{found:.1f} times{'' if found >= goal else ', missed'}"
            lines.append(f"| {test.name}: answers/s beside {peer} | at least {goal:g} times | {said} |")
    if "portkey" in measured.memory:
        theirs, mine = sum(measured.memory["portkey"].values()), measured.memory[OURS]
        said = f"web process {mine['web']:.0f}, with Valkey and node {sum(mine[n] for n in CARRY):.0f}"
        lines.append(f"| memory beside portkey, MB | below {theirs:.0f} | {said}, all {sum(mine.values()):.0f} |")
    return "\n".join(lines)


def _least(name: str, most: float | None, values: list[float]) -> str:
    found = statistics.median(values) if values else None
    said = "not measured" if found is None else f"{found:.1f}{'' if most is None or found <= most else ', missed'}"
    return f"| {name} | {'' if most is None else f'at most {most:g}'} | {said} |"
