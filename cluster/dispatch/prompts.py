"""Prompts of tenants that want them kept: sealed by the gateway, which cannot open them, and written to a stream of Redis with the settlements.

What is kept on the way is bounded, here in bytes and in Redis in entries. What finds no room is lost, and that is logged and counted.
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Iterator

import msgspec

from cluster.dispatch.request import Request
from ollamamax import logs
from ollamamax.bus import keys
from ollamamax.bus.link import Command
from ollamamax.bus.pipelined import Pipelined
from ollamamax.contract import Inference
from ollamamax.contract.prompts import (
    MOST_BYTES,
    Prompt,
    PromptPart,
    SealedPrompt,
    encode_prompt,
    encode_sealed,
    place_of,
)
from ollamamax.observability.instruments import counter
from ollamamax.sealed_to import seal_to

KINDS = frozenset({"chat", "completion", "embed", "rerank"})
"""What has a prompt."""
MOST_WAITING_BYTES = 64 * 2**20
MOST_IN_REDIS = 8192
"""Entries of the stream, of little more than 64 KiB each at most."""
_BATCH = 50
_MOST_PARTS = 2000
_MOST_ROLE = 40
"""Characters."""
_LOST = counter("ollamamax_prompts_lost_total")
_log = logs.get(__name__)
_encode_json = msgspec.json.Encoder().encode


class Prompts:
    """What this process has sealed and not yet written."""

    def __init__(self, commands: Pipelined) -> None:
        self._commands = commands
        self._waiting: deque[tuple[str, bytes]] = deque()
        """Each with the id of its request."""
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, request: Request) -> None:
        """Queue the prompt of a request whose tenant has them kept."""
        asked = request.asked
        try:
            public = base64.b64decode(asked.prompt_key, validate=True)
            sealed = seal_to(public, encode_prompt(prompt_of(asked.inference)), place_of(asked.tenant, request.id))
        except ValueError as error:
            self._lose(request.id, str(error))
            return
        entry = encode_sealed(
            SealedPrompt(request.id, asked.tenant, asked.key, asked.received_at, sealed, user=asked.user)
        )
        if self._bytes + len(entry) > MOST_WAITING_BYTES:
            self._lose(request.id, "too many wait in this gateway")
            return
        self._waiting.append((request.id, entry))
        self._bytes += len(entry)

    async def flush(self) -> None:
        """Write all that waits. Raises `RedisError`; what was not written still waits.

        Done again after a lost answer it leaves a second entry with the same id, of which Postgres keeps the first.
        """
        while self._waiting:
            room = MOST_IN_REDIS - int(await self._commands.do("XLEN", keys.PROMPTS))
            some = [self._waiting[index] for index in range(min(_BATCH, len(self._waiting)))]
            written: list[Command] = [("XADD", keys.PROMPTS, "*", "r", entry) for _, entry in some[: max(0, room)]]
            if written:
                await self._commands.do_all(written)
            for number, (request, entry) in enumerate(some):
                self._waiting.popleft()
                self._bytes -= len(entry)
                if number >= len(written):
                    self._lose(request, "too many wait in Redis for Postgres")

    def _lose(self, request: str, why: str) -> None:
        _LOST.inc()
        _log.error("prompt_lost", request=request, why=why)


def prompt_of(inference: Inference) -> Prompt:
    """The text of what was asked, `MOST_BYTES` of it; of a picture its size alone. Pure."""
    parts: list[PromptPart] = []
    size, left = 0, MOST_BYTES
    for role, text in _texts(inference):
        data = text.encode(errors="replace")
        size += len(data)
        if left > 0 or not data:
            # A character that the cut goes through is left out.
            parts.append(PromptPart(role, data[:left].decode(errors="ignore")))
        left = max(0, left - len(data))
    return Prompt(inference.kind, parts[:_MOST_PARTS], size, cut=size > MOST_BYTES or len(parts) > _MOST_PARTS)


def _texts(inference: Inference) -> Iterator[tuple[str, str]]:
    for message in inference.messages:
        yield str(message.get("role", ""))[:_MOST_ROLE], _message(message)
    if inference.prompt:
        yield "prompt", inference.prompt
    if inference.suffix:
        yield "suffix", inference.suffix
    for text in inference.inputs:
        yield "input", text
    for ids in (inference.context, inference.prompt_ids, *inference.input_ids):
        if ids:
            yield "tokens", " ".join(map(str, ids))


def _message(message: dict[str, object]) -> str:
    content, lines = message.get("content"), []
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            lines.append(part)
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            lines.append(part["text"])
        elif part is not None:
            kind = part.get("type", "") if isinstance(part, dict) else ""
            lines.append(f"[{kind or 'part'}, {len(_encode_json(part))} bytes]")
    calls = message.get("tool_calls")
    if calls:
        lines.append(_encode_json(calls).decode(errors="replace"))
    return "\n".join(lines)
