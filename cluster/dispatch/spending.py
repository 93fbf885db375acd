"""What a request may spend at most of the budgets that it counts in, and what it did spend. Pure.

What is reserved is an upper bound: a token is at least a byte, but for images; an answer has at most as many tokens as it was asked
for, and who did not say gets a bound (`bounded`); it lasts at most until its deadline.
"""

from __future__ import annotations

from typing import Any

import msgspec

from cluster.dispatch.request import Request
from ollamamax.contract import Inference
from ollamamax.contract.budgets import KnownBudget, rates

UNSAID_TOKENS = 8192
"""So many tokens an answer has at most that counts in a hard budget, where neither the request nor the model's context says less."""
TEMPLATE_TOKENS = 512
"""What a chat template may write besides the messages: a system prompt of its own, how tools are called."""
MESSAGE_TOKENS = 16
IMAGE_TOKENS = 4096
_GENERATES = frozenset({"chat", "completion"})
_USES_TOKENS = _GENERATES | {"embed", "rerank"}
_encode = msgspec.json.Encoder().encode

Reservation = tuple[str, str, float, bool, float, float, float, float, float, float]
"""As `budgets.lua` takes it: id, period, most, hard, warn, amount, and what a token of the prompt, one of the answer and a second take,
and how much less a token of the prompt that the engine had kept. What is reserved counts none as kept."""


def bounded(inference: Inference, num_ctx: int | None) -> Inference:
    """The inference with a bound to its answer, for who counts in a hard budget; ``num_ctx`` is the context of the model's profile."""
    most = inference.options.max_tokens
    if inference.kind not in _GENERATES or (most is not None and most >= 0):
        return inference
    context = inference.options.num_ctx or num_ctx or UNSAID_TOKENS
    options = msgspec.structs.replace(inference.options, max_tokens=context)
    return msgspec.structs.replace(inference, options=options)


def most_prompt_tokens(inference: Inference) -> int:
    """Never less than the engine counts."""
    if inference.kind not in _USES_TOKENS:
        return 0
    size = TEMPLATE_TOKENS + len(inference.prompt.encode(errors="surrogatepass")) + len(inference.context)
    size += len((inference.suffix or "").encode(errors="surrogatepass")) + len(inference.prompt_ids)
    for text in inference.inputs:
        # Of a reranker each document goes with the query.
        size += len(text.encode(errors="surrogatepass")) + MESSAGE_TOKENS
        size += len(inference.prompt.encode(errors="surrogatepass")) if inference.kind == "rerank" else 0
    size += sum(map(len, inference.input_ids))
    for message in inference.messages:
        size += MESSAGE_TOKENS + _bytes(message)
    for part in (inference.tools, inference.format):
        size += len(_encode(part)) if part else 0
    return size


def _bytes(message: dict[str, Any]) -> int:
    content = message.get("content")
    if not isinstance(content, list):
        return len(_encode(message))
    size = sum(len(_encode(value)) for name, value in message.items() if name != "content")
    for part in content:
        is_image = isinstance(part, dict) and part.get("type") == "image_url"
        size += IMAGE_TOKENS if is_image else len(_encode(part))
    return size


def reservations(request: Request, now: float) -> list[Reservation]:
    """What it may take at most from each budget that it counts in; empty where there is none. ``now`` is Unix time."""
    asked = request.asked
    if not asked.budgets:
        return []
    prompt = most_prompt_tokens(asked.inference)
    most = asked.inference.options.max_tokens
    answer = 0 if asked.inference.kind not in _GENERATES else UNSAID_TOKENS if most is None or most < 0 else most
    seconds = max(0.0, asked.deadline - now)
    found: list[Reservation] = []
    for budget in asked.budgets:
        of_prompt, of_answer, of_second, less_if_kept = rates(budget.unit, asked.price)
        amount = prompt * of_prompt + answer * of_answer + seconds * of_second
        found.append(
            (
                *(budget.id, budget.period, float(budget.most), budget.hard, budget.warn, amount),
                *(of_prompt, of_answer, of_second, less_if_kept),
            )
        )
    return found


def used(request: Request, now: float) -> tuple[int, int, float, int] | None:
    """Tokens of the prompt and of the answer, seconds that it had slots, and tokens of the prompt that the engine had kept (0 where
    it does not say); ``None`` where it had an answer and no engine counted it."""
    if not request.asked.budgets:
        return None
    tokens = request.prompt_tokens + request.completion_tokens
    ended_well = request.ended is not None and request.ended.outcome == "ok"
    if tokens == 0 and request.inference.kind in _USES_TOKENS and (ended_well or request.spoke):
        return None
    attempts, seconds = request.route.attempts, 0.0
    for index, attempt in enumerate(attempts):
        last = attempts[index + 1].given_at if index + 1 < len(attempts) else now
        seconds += 0.0 if attempt.started_at is None else max(0.0, last - attempt.started_at)
    return request.prompt_tokens, request.completion_tokens, seconds, kept_tokens(request) or 0


def kept_tokens(request: Request) -> int | None:
    """Of the prompt's tokens those that the engine had kept, never more than it has; ``None`` where nobody said."""
    return None if request.cached_tokens is None else min(request.cached_tokens, request.prompt_tokens)


def refusal(budget: KnownBudget) -> str:
    """What whoever is refused is told."""
    whose = {"tenant": "organisation", "team": "team", "user": "user", "key": "API key"}[budget.whose]
    unit = budget.unit.replace("_", " ")
    what = "" if budget.unit == "money" else f" of {budget.most:.15g} {unit}"
    return (
        f"The budget{what} of this {whose} for the {budget.period} has not enough left for this request:"
        " ask for a shorter answer (max_tokens), or come back when the next begins."
    )
