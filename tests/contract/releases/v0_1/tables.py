"""The directory's tables as they were."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

import msgspec


class _Change(msgspec.Struct, array_like=True):
    table: str
    set: dict[str, bytes]
    delete: list[str]


class Limits(msgspec.Struct, frozen=True, omit_defaults=True):
    """``tokens_per_minute`` counts prompt and completion; ``concurrent`` counts requests that run or wait."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent: int | None = None


Strategy = Literal["balanced", "least_busy", "round_robin", "fastest", "affinity", "cheapest"]


Outside = Literal["refuse", "route"]


class Profile(msgspec.Struct, frozen=True, omit_defaults=True):
    """``num_ctx`` and ``num_gpu`` are fixed for every instance, because a request that differs would force a reload."""

    strategy: Strategy = "balanced"
    num_ctx: int | None = None
    """Tokens of context that instances are loaded with; ``None`` is the engine's own default."""
    num_gpu: int | None = None
    """Layers on GPUs; ``None`` is the engine's own default."""
    outside: Outside = "refuse"
    """A request that needs more context than the profile gives: an error, or a node whose loaded instance has it."""
    continue_streams: bool = True
    """Whether a stream whose node died goes on elsewhere by re-prompting with what was sent."""
    first_byte_seconds: float = 120.0
    """Without any output for so long after a node began, the engine counts as hung. Loading a model counts, too."""
    regions: tuple[str, ...] = ()
    """Where the model may run; empty is everywhere."""
    labels: dict[str, str] = {}
    """Labels that a node must have."""


Cause = Literal["no_capacity", "context_too_long", "engine_error"]


CAUSES: tuple[Cause, ...] = get_args(Cause)


class Fallback(msgspec.Struct, frozen=True):
    """``model`` is a name of the same tenant, a model's or an alias's; its own fallbacks are not followed."""

    model: str
    causes: tuple[Cause, ...] = CAUSES
    after_seconds: float | None = None
    """It serves ``no_capacity`` after so long in the queue, too; ``None``: only when the request is refused."""


class PublishedBlob(msgspec.Struct):
    """Directory table ``blobs``, field ``<tenant>/<digest>``."""

    size: int


class Registered(msgspec.Struct):
    """Directory table ``nodes``; a node's own word on this is not asked."""

    tenant: str
    name: str
    schedulable: bool = True
    shared: bool = False
    """Whether it runs requests of every tenant, for models that it has."""
    region: str = ""
    labels: dict[str, str] = {}
    hourly_cost: float | None = None
    """What an hour of it costs, in whatever currency the operator counts; ``None`` when nobody said."""


Priority = Literal["high", "normal", "low"]


class KnownKey(msgspec.Struct):
    """A key as the directory holds it: never the secret, only its SHA-256."""

    hash: str
    kind: Literal["key", "node"]
    id: str
    tenant: str
    name: str
    permissions: list[str] = []
    expires_at: float | None = None
    limits: Limits = Limits()
    priority: Priority = "normal"
    """The highest class that the key may ask for."""


class KnownTenant(msgspec.Struct):
    """A tenant as the directory holds it (table ``tenants``, by its id). ``weight`` is its share of what all wait for."""

    weight: float = 1.0
    limits: Limits = Limits()
    show_route: bool = True
    """Whether responses say in headers which node served them, and why."""
    store_responses: bool = False
    """Whether answers of ``/v1/responses`` are kept, where the request does not say otherwise."""
    strict_fields: bool = False
    """Whether fields that nobody knows are refused in OpenAI's and Anthropic's protocols."""


class Details(msgspec.Struct, omit_defaults=True):
    """What is known of a version's weights; what is not known is empty."""

    format: str = ""
    family: str = ""
    parameter_size: str = ""
    quantization_level: str = ""
    context_length: int | None = None
    parent_model: str = ""
    """The name of the model that it was made from by `create`."""


class Listed(msgspec.Struct):
    """One name (``name:tag``) of a model."""

    version: str
    size: int
    modified_at: float
    details: Details = msgspec.field(default_factory=Details)
    profile: Profile = Profile()
    fallbacks: tuple[Fallback, ...] = ()
    alias_of: str = ""
    """The full name of the model, when the name that was looked up is an alias, or another spelling of it."""


class Alias(msgspec.Struct):
    """A further name for a model (table ``aliases``)."""

    target: str
    modified_at: float
    fallbacks: tuple[Fallback, ...] = ()

    def listing(self, target: Listed) -> Listed:
        """What the name stands for; its own fallbacks go before those of the model."""
        fallbacks = self.fallbacks or target.fallbacks
        return msgspec.structs.replace(target, alias_of=self.target, fallbacks=fallbacks, modified_at=self.modified_at)


TableChange, ListedAlias = _Change, Alias
encode_change = msgspec.msgpack.encode
decode_change = msgspec.msgpack.Decoder(_Change).decode


class _Table(NamedTuple):
    name: str
    encode: Any
    decode: Any


_ENTRIES = {
    "keys": KnownKey,
    "node_keys": KnownKey,
    "tenants": KnownTenant,
    "models": Listed,
    "aliases": Alias,
    "blobs": PublishedBlob,
    "nodes": Registered,
}
ALL = [_Table(name, msgspec.json.encode, msgspec.json.Decoder(kind).decode) for name, kind in _ENTRIES.items()]
