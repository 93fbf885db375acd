"""How much of the prompts is read again: conversations that share long system prompts, on real engines, by strategy."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from benchmarks.load import spread
from benchmarks.product import Product, ask

MODEL = "smollm2:135m"
STRATEGIES = ("round_robin", "balanced", "affinity")
_TEXT = (
    "order invoice refund parcel customer warranty address delivery price contract account payment answer question article shelf discount "
    "week month service repair return policy manager branch holiday number letter"
)


@dataclass(frozen=True)
class Size:
    """``system_words`` is the length of each system prompt; ``clients`` send at once."""

    nodes: int = 4
    rounds: int = 1
    systems: int = 4
    conversations: int = 2
    """Of each system prompt."""
    turns: int = 3
    system_words: int = 400
    question_words: int = 20
    answer_tokens: int = 8
    clients: int = 2


@dataclass
class Read:
    """``prompt``: tokens of all prompts; ``again``: those that were not cached; ``seconds``: of each request."""

    prompt: int = 0
    again: int = 0
    seconds: list[float] = field(default_factory=list)


def measure(product: Product, size: Size) -> dict[str, list[Read]]:
    """In each round each strategy, with texts of its own, so that nothing is cached when it begins."""
    load_everywhere(product)
    found: dict[str, list[Read]] = {strategy: [] for strategy in STRATEGIES}
    for number in range(size.rounds):
        for strategy in STRATEGIES:
            _choose(product, strategy)
            found[strategy].append(_run(product, size, f"{strategy} {number}"))
    return found


def load_everywhere(product: Product) -> None:
    """One node after the other takes the only request while all others are drained: else few would ever have the model in memory."""
    nodes = f"{product.url}/api/v1/nodes"
    ids = [each["id"] for each in ask(nodes, product.key)["results"]]

    def schedule(others: list[str], *, schedulable: bool) -> None:
        for node in others:
            ask(f"{nodes}/{node}", product.key, {"schedulable": schedulable}, method="PATCH")

    for node in ids:
        others = [each for each in ids if each != node]
        schedule(others, schedulable=False)
        time.sleep(1.0)
        body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello."}], "max_tokens": 1}
        ask(f"{product.url}/v1/chat/completions", product.key, body, seconds=120)
        schedule(others, schedulable=True)
    time.sleep(2.0)  # the nodes say so once a second


def _choose(product: Product, strategy: str) -> None:
    listed = ask(f"{product.url}/api/v1/models", product.key)["results"]
    (model,) = [each["id"] for each in listed if each["name"] == MODEL]
    ask(f"{product.url}/api/v1/models/{model}", product.key, {"profile": {"strategy": strategy}}, method="PATCH")
    time.sleep(1.0)  # the gateway is told by a message


def _run(product: Product, size: Size, name: str) -> Read:
    rng = random.Random(name)

    def text(words: int) -> str:
        return " ".join(rng.choices(_TEXT.split(), k=words))

    systems = [f"{name} {number} {text(size.system_words)}" for number in range(size.systems)]
    talks: list[list[dict[str, Any]]] = [
        [{"role": "system", "content": system}] for system in systems for _ in range(size.conversations)
    ]
    read = Read()

    def say(talk: list[dict[str, Any]]) -> None:
        body = {"model": MODEL, "messages": talk, "max_tokens": size.answer_tokens, "temperature": 0}
        start = time.perf_counter()
        answer = ask(f"{product.url}/v1/chat/completions", product.key, body, seconds=120)
        read.seconds.append(time.perf_counter() - start)
        usage = answer["usage"]
        read.prompt += usage["prompt_tokens"]
        read.again += usage["prompt_tokens"] - usage["prompt_tokens_details"]["cached_tokens"]
        talk.append({"role": "assistant", "content": answer["choices"][0]["message"]["content"]})

    with ThreadPoolExecutor(size.clients) as clients:
        for _ in range(size.turns):
            for talk in talks:
                talk.append({"role": "user", "content": text(size.question_words)})
            list(clients.map(say, rng.sample(talks, len(talks))))
    return read


def report(found: dict[str, list[Read]], size: Size) -> str:
    requests = size.systems * size.conversations * size.turns
    lines = [
        f"{size.nodes} nodes, {size.systems} system prompts of {size.system_words} words, {size.conversations} conversations of "
        f"each, {size.turns} turns, {size.clients} clients; {requests} requests a round, {size.rounds} rounds",
        "",
        "| strategy | prompt tokens a round | read again | share | against round robin | seconds a request |",
        "|---|---|---|---|---|---|",
    ]
    base = [read.again for read in found["round_robin"]]
    for strategy, reads in found.items():
        saved = spread([1 - read.again / other for read, other in zip(reads, base, strict=True)], "{:.0%}")
        lines.append(
            f"| {strategy} | {reads[0].prompt:,} | {spread([read.again for read in reads], '{:,.0f}')} | "
            f"{spread([read.again / read.prompt for read in reads], '{:.0%}')} | {saved} fewer | "
            f"{spread([sum(read.seconds) / len(read.seconds) for read in reads])} |"
        )
    return "\n".join(lines)
