"""From an execution to its client: as a stream in a protocol's own form, or gathered into one answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cluster.wire import Delta, Final
from ollamamax.gateway import http
from ollamamax.gateway.execution import Execution
from ollamamax.gateway.http import Send


@dataclass
class Output:
    """All that a model said; ``final`` has its counts."""

    final: Final
    text: str = ""
    thinking: str = ""
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    logprobs: list[dict[str, Any]] = field(default_factory=list)


async def gather(execution: Execution) -> Output:
    """The whole output. Raises what `Execution.next` raises."""
    text: list[str] = []
    thinking: list[str] = []
    output = Output(Final())
    while (delta := await execution.next()) is not None:
        text.append(delta.text)
        thinking.append(delta.thinking)
        output.tool_calls += delta.tool_calls
        output.logprobs += delta.logprobs
    assert execution.final is not None  # noqa: S101 - next returned None
    output.final, output.text, output.thinking = execution.final, "".join(text), "".join(thinking)
    return output


async def stream(
    execution: Execution,
    send: Send,
    content_type: bytes,
    headers: list[tuple[bytes, bytes]] | None = None,
    *,
    first: Callable[[], bytes],
    delta: Callable[[Delta], bytes],
    last: Callable[[Final], bytes],
) -> None:
    """Send what ``first``, ``delta`` and ``last`` make of the output. Raises what `Execution.next` raises."""
    # Nothing is sent before the first event, so that a failure until then has its true status.
    event = await execution.next()
    await http.begin(send, content_type, execution.headers() if headers is None else headers + execution.headers())
    part = first()
    while event is not None:
        part += delta(event)
        # An event may add nothing to what a protocol shows; an empty body would be a needless write.
        if part and not execution.has_more:
            await http.write(send, part)
            part = b""
        event = await execution.next()
    assert execution.final is not None  # noqa: S101 - next returned None
    await http.finish(send, part + last(execution.final))
