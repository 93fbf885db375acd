"""Request: one inference request of a client, as dispatch follows it."""

from __future__ import annotations

from dataclasses import dataclass, field

from cluster.dispatch.stream import Stream
from cluster.scheduling.profile import Profile
from cluster.wire import Inference


@dataclass(slots=True)
class Request:
    """One inference request of a client, from its receipt to its settlement."""

    id: str
    tenant: str
    key: str
    model: str
    version: str
    api: str
    traceparent: str
    trace: str
    received_at: float
    deadline: float
    inference: Inference
    profile: Profile = Profile()  # noqa: RUF009 - frozen
    attempt: int = 0
    node: str = ""
    node_name: str = ""
    admitted_at: float | None = None
    started_at: float | None = None
    first_token_at: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    tried: set[str] = field(default_factory=set)
    stream: Stream | None = None
    payload: bytes = b""
    reload_avoided: bool = False
    """Its load options differ from those of the instance that serves it, which was not loaded again for that."""

    @property
    def ticket(self) -> str:
        return f"{self.id}.{self.attempt}"
