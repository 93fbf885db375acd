"""One request as dispatch follows it: what was asked (frozen), its attempts, how it ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import msgspec

from cluster.dispatch.token_stream import TokenStream
from cluster.scheduling.candidate import Ranked, Wanted
from cluster.scheduling.fairness import Priority
from cluster.scheduling.prompt import estimate_tokens, home, prefixes
from ollamamax.contract import Failure, Final, Inference, Outcome, Route, Started
from ollamamax.contract.budgets import FREE, KnownBudget, Price
from ollamamax.contract.profile import Profile
from ollamamax.kernel import trace
from ollamamax.kernel.limits import Limits
from ollamamax.kernel.timers import Timer

_NONE = Limits()
_PROFILE = Profile()


class Interrupted(Exception):
    """What a request waits for is not wanted any more: its client left, or its time is over."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Waited(Exception):
    """A request had no slot for as long as it was to wait at first. It keeps its place until it waits on, or leaves."""

    def __init__(self, request: Request, seconds: float) -> None:
        super().__init__(f"It waited for {seconds:g} s.")
        self.request = request
        self.seconds = seconds


class Level(msgspec.Struct, frozen=True):
    """Of a limit of a rate: ``left`` of the ``most`` ``requests`` or ``tokens`` in a minute, and seconds until all of it is."""

    what: str
    most: int
    left: int
    seconds: float
    window: int = 60
    """Seconds in which there is so much."""


class Submission(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """What is asked of the nodes, by whom, and within which bounds; nothing of it changes. Times are Unix seconds."""

    tenant: str
    key: str
    model: str
    version: str
    api: str
    traceparent: str
    trace: str
    received_at: float
    deadline: float
    allowed: float
    """Seconds that it had at its receipt, had its client not asked for less."""
    inference: Inference
    profile: Profile = _PROFILE
    idle_only: bool = False
    """Take a slot that nobody waits for, or none."""
    shadow_of: str = ""
    """The request that it runs again, whose answer nobody is shown."""
    at_once: bool = False
    """Take a free slot or none, in its first attempt. It is in another's stead, to which the limits were applied."""
    waits_for_nodes: bool = True
    """Wait for nodes that may be back in a moment; not where another model may be asked instead."""
    fetched_by: str = ""
    """The tenant whose nodes fetch the version from the registry; empty for one that an engine keeps by itself."""
    kept_by: str = ""
    """The engine that keeps the version by itself."""
    weight: float = 1.0
    """Of the tenant, when slots are short."""
    key_limits: Limits = _NONE
    tenant_limits: Limits = _NONE
    budgets: tuple[KnownBudget, ...] = ()
    """Those that it counts in."""
    price: Price = FREE
    affinity: str = ""
    """Requests with the same one are at home on the same node."""
    user: str = ""
    metadata: dict[str, str] = {}
    prompt_key: str = ""
    """As of `KnownTenant`: to whom its prompt is sealed and kept; empty where it is not."""


class NodeAttempt(msgspec.Struct, eq=False):
    """One attempt to have a node run it: its ticket, and how it waits for a slot."""

    number: int
    ticket: str
    traceparent: str = ""
    offered: dict[str, None] = msgspec.field(default_factory=dict)
    """Every node that it may have been given to, in order."""
    payload: bytes = b""
    place: asyncio.Future[str] | None = None
    """Resolves to the node, once there is one."""
    kept: TokenStream | None = None
    """Of the ticket, as long as it waits for a slot."""
    patience: Timer | None = None

    @property
    def waits(self) -> bool:
        """It keeps its place, and its turn has not come."""
        return self.kept is not None and self.place is not None and not self.place.done()


class RequestOutcome(msgspec.Struct, frozen=True):
    """How it ended."""

    outcome: Outcome
    error: str
    status: int
    at: float = 0.0
    """Unix seconds."""


class Request(msgspec.Struct, eq=False):
    """One request from its admission to its settlement: what was asked, the attempt under way, what came of it. Times are Unix seconds."""

    id: str
    asked: Submission
    attempt: NodeAttempt
    inference: Inference
    """What the node is asked: it may go on from what another had said."""
    spans: list[str] = msgspec.field(default_factory=list)
    """Of each attempt the id of its span, which the node's engine is told as the one above its own."""
    priority: Priority = "normal"
    levels: tuple[Level, ...] = ()
    """How far the limits of key and tenant were from being reached when it was admitted."""
    expected_prompt_tokens: int = 0
    expected_completion_tokens: int = 0
    node: str = ""
    """That has it, or had it last."""
    node_name: str = ""
    admitted_at: float | None = None
    given_at: float | None = None
    started_at: float | None = None
    first_token_at: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int | None = None
    """Of the prompt's those that the engine had kept; ``None`` where it did not say, or another node went on."""
    tried: set[str] = msgspec.field(default_factory=set)
    stream: TokenStream | None = None
    wanted: Wanted | None = None
    final: Final | None = None
    suspect: str = ""
    """Its name among the suspects, when it is one: see `quarantine`."""
    deaths: int = 0
    died_alone: bool = False
    said: list[str] | None = None
    """What the client has of the answer, as long as another node could go on with it."""
    continued: int = 0
    completion_tokens_before: int = 0
    """Of the parts before the one under way."""
    anew: int = 0
    """How many times its output began anew: what was there before is void."""
    reload_avoided: bool = False
    """Its load options differ from those of the instance that serves it, which was not loaded again for that."""
    ranked: Sequence[Ranked] = ()
    """Where it may run, best first, as it was ranked last."""
    route: Route = msgspec.field(default_factory=Route)
    same_answer: bool | None = None
    """Of one that runs another again: whether both said the same, where that is known."""
    cancelled_by: str = ""
    """Who wants it cancelled by the management API."""
    ended: RequestOutcome | None = None
    """How it ended; ``None`` until it is settled."""
    settled: asyncio.Future[None] | None = None
    """Of whoever waits for its outcome."""
    interruption: Failure | None = None
    """Why it is not wanted any more, where that was said."""

    @staticmethod
    def of(name: str, asked: Submission, priority: Priority = "normal") -> Request:
        """``name`` is its id."""
        return Request(name, asked, NodeAttempt(0, f"{name}.0"), asked.inference, priority=priority)

    def next_attempt(self) -> NodeAttempt:
        number = self.attempt.number + 1
        self.attempt = NodeAttempt(number, f"{self.id}.{number}")
        if number == 1:
            self.attempt.traceparent = self.asked.traceparent
        elif self.asked.traceparent:
            self.attempt.traceparent = trace.below(self.asked.traceparent)
        self.spans.append(self.attempt.traceparent[36:52])
        return self.attempt

    def wants(self) -> Wanted:
        """What routing looks at, made when it is first asked for."""
        if self.wanted is None:
            asked = self.asked
            self.wanted = Wanted(
                tenant=asked.tenant,
                version=asked.version,
                profile=asked.profile,
                prefixes=prefixes(self.inference),
                num_ctx=self.inference.options.num_ctx,
                prompt_tokens=estimate_tokens(self.inference),
                home=home(asked.tenant, asked.affinity) if asked.affinity else None,
            )
        return self.wanted

    def began(self, event: Started) -> float:
        """Its node says that it began: when that was, by this process's clock."""
        self.started_at = max(self.given_at or 0.0, time.time() - max(0.0, event.ago))
        return self.started_at

    @property
    def spoke(self) -> bool:
        """Some output has come, from the node that has it now or from one that it went on from."""
        return self.continued > 0 or (self.stream is not None and self.stream.spoke)

    @property
    def came_at_once(self) -> bool:
        """Its first output came with the end of its first part: when it was made is not known."""
        ended = self.continued > 0 or (self.stream is not None and self.stream.ended)
        return self.inference.delivery != "stream" and ended

    def begin_anew(self) -> None:
        """Nobody has seen what was said until now."""
        self.anew += 1
        self.inference = self.asked.inference
        self.first_token_at = None
        self.completion_tokens = self.completion_tokens_before = self.continued = 0
        self.said = None if self.said is None else []

    def as_it_is(self) -> Request:
        """For work that goes on when the request itself is elsewhere."""
        attempt = msgspec.structs.replace(self.attempt, offered=dict(self.attempt.offered))
        return msgspec.structs.replace(self, attempt=attempt)

    def end(self, outcome: Outcome, error: str, status: int) -> None:
        """It is over; whoever waits for that hears of it."""
        self.ended = RequestOutcome(outcome, error, status, time.time())
        if self.settled is not None and not self.settled.done():
            self.settled.set_result(None)

    def interrupt(self, failure: Failure) -> None:
        """Give whoever waits for this request ``failure`` next; a further attempt does not begin."""
        self.interruption = failure
        place = self.attempt.place
        if place is not None and not place.done():
            place.set_exception(Interrupted(failure))
        elif self.stream is not None:
            self.stream.interrupt(failure)
