"""What is asked of a model, in the engines' common form."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Kind = Literal["chat", "completion", "embed", "rerank", "show", "count"]
Delivery = Literal["stream", "whole", "once"]


class Options(msgspec.Struct, omit_defaults=True):
    """Sampling and load options in one vocabulary; ``None`` means the engine's own default."""

    max_tokens: int | None = None
    """-1: as many as the model makes, whatever the version's own default says."""
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    stop: list[str] = []
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repeat_penalty: float | None = None
    num_ctx: int | None = None
    logit_bias: dict[str, float] = {}
    """Token, as a number in decimal -> what is added to its logit."""
    min_tokens: int | None = None
    stop_token_ids: list[int] = []
    ignore_eos: bool | None = None
    typical_p: float | None = None
    repeat_last_n: int | None = None
    mirostat: int | None = None
    mirostat_tau: float | None = None
    mirostat_eta: float | None = None


class Inference(msgspec.Struct, omit_defaults=True):
    """One request in the engines' common form.

    ``messages`` are OpenAI chat messages (dicts with ``role``, ``content``, perhaps ``tool_calls`` and
    ``tool_call_id``; images as ``image_url`` parts). ``prompt`` is for ``completion`` (no chat template
    applied); ``inputs`` for ``embed``; ``rerank`` has its query in ``prompt`` and its documents in ``inputs``. ``format`` is ``"json"`` or a JSON schema. ``think`` is passed on
    where the engine knows it. ``keep_alive`` is in seconds, negative for ever; nodes obey their own tenant's. A ``chat`` without messages and a
    ``completion`` without a prompt load the model, or unload it when ``keep_alive`` is 0. ``show`` asks what the
    engine knows of the model, ``count`` for the number of tokens that the messages and tools are.
    """

    kind: Kind
    messages: list[dict[str, Any]] = []
    prompt: str = ""
    suffix: str | None = None
    inputs: list[str] = []
    prompt_ids: list[int] = []
    """In place of ``prompt``: tokens of the model's own tokenizer."""
    input_ids: list[list[int]] = []
    """In place of ``inputs``, each as tokens of the model's own tokenizer."""
    tools: list[dict[str, Any]] = []
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    """Whether the model may call several tools at once; ``None`` is the engine's own habit."""
    format: str | dict[str, Any] | None = None
    think: bool | str | None = None
    think_if_able: bool = False
    """``think`` is a wish: a model that cannot think answers without, instead of refusing."""
    template_kwargs: dict[str, Any] = {}
    """Switches for the model's chat template, by the template's own names."""
    keep_alive: float | None = None
    options: Options = msgspec.field(default_factory=Options)
    logprobs: bool = False
    top_logprobs: int = 0
    """How many alternatives to each token, with ``logprobs``."""
    dimensions: int | None = None
    context: list[int] = []
    """The conversation before a ``chat``, as tokens that an earlier `Final.context` told."""
    with_context: bool = False
    """Whether a ``chat`` is to end with `Final.context`, where the engine has a tokenizer."""
    truncate: bool | None = None
    """Whether ``embed`` shortens inputs that are too long; ``None`` is the engine's own habit."""
    verbose: bool = False
    """Whether ``show`` tells long arrays too, such as all tokens."""
    continued: str = ""
    """What was answered before, by another node: the answer goes on from there. In a ``completion`` the prompt ends in it."""
    continued_tokens: int = 0
    """How many tokens that was; engines leave them out of `Final.prompt_tokens`."""
    delivery: Delivery = "stream"
    """``whole``: the client reads nothing before the end, so that output may gather. ``once``: it is short besides, and may
    be had from the engine in one piece, which costs engine and node less; broken off, nothing is known of it."""


class Load(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the model's profile fixes of every loaded instance; ``None`` is the engine's own default."""

    num_ctx: int | None = None
    num_gpu: int | None = None


NOTHING_FIXED = Load()
