"""What a client asks, as a value, and how the answer becomes bytes: all that `run` knows of a protocol."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import msgspec

from cluster.dispatch.queue_position import Outlook
from ollamamax.contract import Delta, Final, Inference
from ollamamax.contract.ignored import Ignored
from ollamamax.gateway import inference_checks
from ollamamax.kernel import errors

if TYPE_CHECKING:
    from ollamamax.gateway.call import Call

MOST_USER = 256
MOST_PAIRS, MOST_NAME, MOST_VALUE = 16, 64, 512
_LARGEST_SEED = (1 << 63) - 1


class Notes:
    """What a body tells beside its question, gathered while it is parsed; it stands when the body is refused.

    ``strict``: fields that nobody knows are refused, instead of ignored.
    """

    __slots__ = ("ignored", "metadata", "model", "strict", "user")

    def __init__(self) -> None:
        self.strict = False
        self.ignored = Ignored()
        self.model = ""
        """As its client names it."""
        self.user = ""
        self.metadata: dict[str, str] = {}

    def take(self, model: str, user: Any = None, metadata: Any = None) -> None:
        """What its client wants noted; more than fits is cut."""
        self.model = model
        self.user = str(user)[:MOST_USER] if isinstance(user, str | int) else ""
        if isinstance(metadata, dict):
            pairs = list(metadata.items())[:MOST_PAIRS]
            self.metadata = {tidy(str(name)[:MOST_NAME]): tidy(str(value)[:MOST_VALUE]) for name, value in pairs}


class Asked(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One request of a client, parsed; another model that answers it is asked the very same.

    Raises `InvalidRequest` and `Unsupported` when it is made with inferences that no engine is to see.
    """

    model: str
    inferences: list[Inference]
    """One for each answer that is wanted. They differ in their prompts and seeds alone."""
    body: Any = None
    """What the protocol's own `render` looks at."""
    stream: bool = False
    may_fall_back: bool = True
    """Whether another model may do it; not when it is about the model itself."""
    tier: str | None = None
    """OpenAI's ``service_tier``."""
    affinity: str = ""
    """Requests with the same one are at home on the same node."""

    def __post_init__(self) -> None:
        for inference in self.inferences:
            inference_checks.check(inference)


def several(inference: Inference, count: int) -> list[Inference]:
    """The same request ``count`` times. A seed is counted up, so that the answers differ and can be had again."""
    seed = inference.options.seed
    if seed is None:
        return [msgspec.structs.replace(inference) for _ in range(count)]
    return [
        msgspec.structs.replace(
            inference,
            options=msgspec.structs.replace(
                inference.options, seed=(seed + index) if seed + index <= _LARGEST_SEED else index
            ),
        )
        for index in range(count)
    ]


@dataclass
class Output:
    """All that a model said; ``final`` has its counts."""

    final: Final
    text: str = ""
    thinking: str = ""
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    logprobs: list[dict[str, Any]] = field(default_factory=list)


class ChoiceRenderer(Protocol):
    """Renders the stream of one of the answers that were asked for."""

    def first(self) -> bytes:
        """What comes before any output."""

    def delta(self, delta: Delta) -> bytes: ...

    def end(self, final: Final) -> bytes: ...


class Renderer:
    """Renders one answer, whole or as a stream, in the words of one protocol. Every model that is tried has one of its own."""

    content_type: ClassVar[bytes] = b""
    """Of a stream."""
    shrinks = True
    """Whether it could pay to compress a whole answer."""
    headers: list[tuple[bytes, bytes]] = []
    """What the protocol adds to every response's headers."""
    before_end: Callable[[], Awaitable[None]] | None = None
    """Waited for before the last part of the answer goes out, or the whole of it."""

    def sign(self, outlook: Outlook | None) -> bytes:
        """A sign of life, which the protocol's clients read over."""
        return comment(outlook)

    def whole(self, outputs: list[Output]) -> bytes:
        raise NotImplementedError

    def choice(self, index: int) -> ChoiceRenderer:
        raise NotImplementedError

    def done(self, finals: list[Final]) -> bytes:
        """The end of a stream, after all its choices have ended."""
        return b""

    def failed(self, error: errors.OllamaMaxError) -> None:
        """Its stream breaks off."""


def comment(outlook: Outlook | None) -> bytes:
    """A comment in an event stream (https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream).

    One line: after a blank one simple parsers take it for an event without data, and fail.
    """
    if outlook is None:
        return b": waiting\n"
    when = "" if outlook.seconds is None else f", about {outlook.seconds:.0f} s"
    return f": waiting, place {outlook.position} of {outlook.waiting}{when}\n".encode()


Parse = Callable[[bytes, Notes], Asked]
"""A body to what it asks. Pure. Raises `InvalidRequest` and `Unsupported`, naming the field."""
Render = Callable[[Asked, "Call", str], Renderer]
"""What is asked, the call that answers it, and the model that does, by the name that the client is told. Pure."""


def tidy(text: str) -> str:
    """Without what a database cannot hold and a log should not."""
    return text if text.isprintable() else "".join(each if each.isprintable() else "?" for each in text)
