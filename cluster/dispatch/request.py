"""Request: one inference request of a client, as dispatch follows it."""

from __future__ import annotations

from dataclasses import dataclass, field

from cluster.dispatch.stream import Stream
from cluster.scheduling.candidate import Wanted
from cluster.scheduling.profile import Profile
from cluster.scheduling.prompt import estimate_tokens, prefixes
from cluster.wire import Final, Inference


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
    wanted: Wanted | None = None
    final: Final | None = None
    reload_avoided: bool = False
    """Its load options differ from those of the instance that serves it, which was not loaded again for that."""

    def wants(self) -> Wanted:
        """What routing looks at, made when it is first asked for."""
        if self.wanted is None:
            self.wanted = Wanted(
                tenant=self.tenant,
                version=self.version,
                profile=self.profile,
                prefixes=prefixes(self.inference),
                num_ctx=self.inference.options.num_ctx,
                prompt_tokens=estimate_tokens(self.inference),
            )
        return self.wanted

    @property
    def ticket(self) -> str:
        return f"{self.id}.{self.attempt}"
