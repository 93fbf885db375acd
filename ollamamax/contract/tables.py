"""The directory's tables: what the control plane tells the data plane, each with its type, its codec and how its fields are named.

Who publishes and who reads use the same `Table`. A field that is added to an entry has a default, so that older and newer programs read each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Literal, TypeVar, get_args

import msgspec

from ollamamax.contract.budgets import KnownBudgets
from ollamamax.contract.profile import Profile
from ollamamax.kernel.limits import Limits
from ollamamax.kernel.reach import EVERYWHERE, Reach

T = TypeVar("T")


class Table(Generic[T]):
    """``name`` is that of its hash in Redis. ``encode`` and ``decode`` are of one entry; ``decode`` raises `ValueError` or `msgspec.MsgspecError`."""

    __slots__ = ("decode", "encode", "name")

    def __init__(self, name: str, encode: Callable[[T], bytes], decode: Callable[[bytes], T]) -> None:
        self.name = name
        self.encode = encode
        self.decode = decode

    @classmethod
    def of(cls, name: str, entry: type[T]) -> Table[T]:
        """A table of one type of entry, in JSON: people read it."""
        return cls(name, msgspec.json.encode, msgspec.json.Decoder(entry).decode)


class TableChange(msgspec.Struct, array_like=True):
    """One numbered change of a table, as the readers are told of it: encoded entries, and the fields that are no more."""

    table: str
    set: dict[str, bytes]
    delete: list[str]


encode_change = msgspec.msgpack.Encoder().encode
decode_change = msgspec.msgpack.Decoder(TableChange).decode

# -- keys and tenants --------------------------------------------------------------------------------------------------

Priority = Literal["high", "normal", "low"]


class KnownKey(msgspec.Struct):
    """A key as the directory holds it, by the public part of its text: never the secret, only its SHA-256."""

    hash: str
    kind: Literal["key", "node"]
    id: str
    tenant: str
    name: str
    permissions: list[str] = []
    expires_at: float | None = None
    """Unix seconds."""
    limits: Limits = Limits()
    priority: Priority = "normal"
    """The highest class that the key may ask for."""
    strict_fields: bool | None = None
    """Whether fields that nobody knows are refused; ``None``: as the tenant says."""
    grants: dict[str, list[str]] = {}
    """Permission to the objects on which the key has it, such as ``model:<id>``, besides ``permissions``, which it has everywhere."""

    made_by: str = ""
    """The user whose it is (hex); empty where the system made it."""
    teams: list[str] = []
    """That this user is in, by id (hex)."""
    reach: Reach = EVERYWHERE
    """From where, at which routes and for which models it may be used."""

    def may(self, permission: str, on: str | None = None) -> bool:
        return permission in self.permissions or (on is not None and on in self.grants.get(permission, ()))

    def may_somewhere(self, permission: str) -> bool:
        return permission in self.permissions or bool(self.grants.get(permission))


class KnownTenant(msgspec.Struct):
    """A tenant as the directory holds it, by its id. ``weight`` is its share of what all wait for."""

    weight: float = 1.0
    limits: Limits = Limits()
    show_route: bool = True
    """Whether responses say in headers which node served them, and why."""
    store_responses: bool = False
    """Whether answers of ``/v1/responses`` are kept, where the request does not say otherwise."""
    strict_fields: bool = False
    """Whether fields that nobody knows are refused in OpenAI's and Anthropic's protocols."""
    prompt_key: str = ""
    """To whom its prompts are sealed, which it wants kept (X25519, base64); empty where it keeps none."""


class KnownSigningKey(msgspec.Struct):
    """The public half (PEM, ES256) of a key that signs access tokens, by the name that tokens call it (``kid``)."""

    public: str


# -- models ------------------------------------------------------------------------------------------------------------

Cause = Literal["no_capacity", "context_too_long", "engine_error"]
CAUSES: tuple[Cause, ...] = get_args(Cause)


class Fallback(msgspec.Struct, frozen=True):
    """``model`` is a name of the same tenant, a model's or an alias's; its own fallbacks are not followed."""

    model: str
    causes: tuple[Cause, ...] = CAUSES
    after_seconds: float | None = None
    """It serves ``no_capacity`` after so long in the queue, too; ``None``: only when the request is refused."""


class Details(msgspec.Struct, omit_defaults=True):
    """What is known of a version's weights; what is not known is empty."""

    format: str = ""
    family: str = ""
    parameter_size: str = ""
    quantization_level: str = ""
    context_length: int | None = None
    parent_model: str = ""
    """The name of the model that it was made from by `create`."""


class Trial(msgspec.Struct, frozen=True, omit_defaults=True):
    """A share of a channel's requests has another version than it points at: a rollout is under way."""

    rollout: str
    """Its id: what decides, with the conversation, who is among the share."""
    share: float
    """Of conversations, from 0 to 1."""
    name: str
    """Of the other version, ``model@sha256:...``."""
    shadow: float = 0.0
    """Of requests, from 0 to 1: so many are run again on the other version, and what that answers is not shown."""


class Listed(msgspec.Struct, omit_defaults=True):
    """One name of a model, by tenant and name (`model_field`, `shared_field`)."""

    version: str
    size: int
    modified_at: float
    details: Details = msgspec.field(default_factory=Details)
    profile: Profile = Profile()
    fallbacks: tuple[Fallback, ...] = ()
    model: str = ""
    """What grants on the model name it by: ``model:<id>``."""
    owner: str = ""
    """The tenant whose model it is, also under a shared name: its nodes fetch the version from the registry."""
    engine: str = ""
    """The kind of engine that keeps the version by itself, so that no node fetches it; empty for one of the registry."""
    deprecated: bool = False
    """Whether it ought not to be used any more: answers say so."""
    trial: Trial | None = None
    """Of a channel, while it is moved in steps."""
    alias_of: str = ""
    """Never published: readers note here the full name of the model, when the name that was looked up is an alias, or another spelling."""


class ListedAlias(msgspec.Struct):
    """A further name for a model, by tenant and name (`model_field`)."""

    target: str
    modified_at: float
    fallbacks: tuple[Fallback, ...] = ()

    def listing(self, target: Listed) -> Listed:
        """What the name stands for; its own fallbacks go before those of the model."""
        fallbacks = self.fallbacks or target.fallbacks
        return msgspec.structs.replace(target, alias_of=self.target, fallbacks=fallbacks, modified_at=self.modified_at)


class PublishedBlob(msgspec.Struct):
    """A blob that a tenant's nodes may fetch, by tenant and digest (`blob_field`)."""

    size: int
    rate: int | None = None
    """Bytes a second that a node should have of it at most."""
    region_rate: int | None = None
    """Bytes a second that all nodes of a region should have together, of all blobs of the tenant."""


SHARED = "*"
"""Stands for the tenant in the names of shared models: a tenant finds its own names first, then these."""


def model_field(tenant: str, name: str) -> str:
    """``name`` is a full one, ``name:tag``."""
    return f"{tenant}/{name}"


def shared_field(name: str) -> str:
    return f"{SHARED}/{name}"


def blob_field(tenant: str, digest: str) -> str:
    return f"{tenant}/{digest}"


# -- nodes -------------------------------------------------------------------------------------------------------------


EVERYBODY = "*"
"""In a node's access list: all tenants."""


class Registered(msgspec.Struct):
    """A node as the directory holds it, by its id; a node's own word on this is not asked."""

    tenant: str
    name: str
    schedulable: bool = True
    shared: bool = False
    """Whether all tenants have access. Gateways of release 0.1 read this and nothing of ``access``, so that they give a node
    to all or to none."""
    region: str = ""
    labels: dict[str, str] = {}
    hourly_cost: float | None = None
    """What an hour of it costs; ``None`` when nobody said."""
    access: list[str] = []
    """The tenants whose requests it runs besides its own tenant's, for models that it has; `EVERYBODY` stands for all."""
    currency: str = ""
    """Of the cost (ISO 4217); empty where the installation names none."""
    taints: list[str] = []
    """What keeps requests away that do not tolerate it (`cluster.scheduling.taints`). Gateways of older releases go by none."""
    lifecycle: str = ""
    """The state of the node as the control plane has it, for who shows it; empty, by an older one. Gateways decide by what they hear themselves."""

    def serves(self, tenant: str) -> bool:
        """Whether it may run the tenant's requests."""
        return tenant == self.tenant or self.shared or tenant in self.access or EVERYBODY in self.access


KEYS = Table.of("keys", KnownKey)
NODE_KEYS = Table.of("node_keys", KnownKey)
TENANTS = Table.of("tenants", KnownTenant)
MODELS = Table.of("models", Listed)
ALIASES = Table.of("aliases", ListedAlias)
BLOBS = Table.of("blobs", PublishedBlob)
NODES = Table.of("nodes", Registered)
BUDGETS = Table.of("budgets", KnownBudgets)
"""By tenant."""
SIGNING_KEYS = Table.of("signing_keys", KnownSigningKey)
ALL: tuple[Table[Any], ...] = (
    KEYS,
    NODE_KEYS,
    TENANTS,
    MODELS,
    ALIASES,
    BLOBS,
    NODES,
    BUDGETS,
    SIGNING_KEYS,
)
