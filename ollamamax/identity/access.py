"""Who calls: a bearer key, checked against the directory in memory. No Django: the gateway uses it."""

from __future__ import annotations

from typing import NamedTuple

from ollamamax.bus import clock
from ollamamax.bus.directory import Directory
from ollamamax.contract.tables import KEYS, NODE_KEYS, KnownKey, Table
from ollamamax.identity.keys import Kind, matches, parse_key
from ollamamax.kernel import errors
from ollamamax.kernel.principal import Principal

_REFUSED = "The API key is missing, wrong, expired or revoked. Send it as 'Authorization: Bearer omx_...'."
REVOKED_MEANWHILE = "The API key was revoked or has expired while the request ran."


async def authenticate(
    authorization: str | None, directory: Directory, permission: str | None, *, kind: Kind = "key"
) -> Principal:
    """As `identify`, where only the principal matters."""
    return (await identify(authorization, directory, permission, kind=kind))[0]


class Identified(NamedTuple):
    """``identifier`` is the public part of the key's text, by which the directory knows it."""

    principal: Principal
    key: KnownKey
    identifier: str


class Checked(NamedTuple):
    """A header ``authorization`` whose key was in memory and whose secret was right, a moment ago."""

    authorization: str
    identifier: str
    key: KnownKey


async def identify(
    authorization: str | None,
    directory: Directory,
    permission: str | None,
    *,
    kind: Kind = "key",
    checked: Checked | None = None,
    somewhere: bool = False,
) -> Identified:
    """The principal and the key of an ``Authorization: Bearer`` header (RFC 6750). ``checked``: what `check` found, perhaps of
    another header.

    Raises `Unauthenticated` for every key that is not good, without saying why, and `Forbidden` for one that lacks
    the permission; ``somewhere``: on some object is enough, and who calls this asks `Principal.may` again, of that one.
    A key that this process has not heard of may be new: it is refused when the directory has caught up.
    """
    if (
        checked is not None
        and checked.authorization == authorization
        and working_key(directory, checked.identifier, kind=kind) is checked.key
    ):
        return Identified(principal_of(checked.key, permission, somewhere=somewhere), checked.key, checked.identifier)
    scheme, _, text = (authorization or "").partition(" ")
    parsed = parse_key(text.strip(), kind) if scheme.lower() == "bearer" else None
    if parsed is None:
        raise errors.Unauthenticated(_REFUSED)
    identifier, secret = parsed
    known = working_key(directory, identifier, kind=kind)
    if known is None:
        await directory.catch_up()
        known = working_key(directory, identifier, kind=kind)
    if known is None and not directory.is_whole(_table(kind)):
        # Nobody told this process of all keys yet: that it does not know one says nothing of it.
        raise errors.Unavailable("This gateway has not heard of any keys yet. Try again in a moment.", retry_after=2)
    if known is None or not matches(secret, known.hash):
        raise errors.Unauthenticated(_REFUSED)
    return Identified(principal_of(known, permission, somewhere=somewhere), known, identifier)


def check(authorization: str | None, directory: Directory) -> Checked | None:
    """A key in this process's memory, its secret checked; ``None`` for what is no such key. Never waits."""
    if authorization is None:
        return None
    scheme, _, text = authorization.partition(" ")
    parsed = parse_key(text.strip(), "key") if scheme.lower() == "bearer" else None
    if parsed is None:
        return None
    identifier, secret = parsed
    known = working_key(directory, identifier)
    return Checked(authorization, identifier, known) if known is not None and matches(secret, known.hash) else None


def _table(kind: Kind) -> Table[KnownKey]:
    return NODE_KEYS if kind == "node" else KEYS


def working_key(directory: Directory, identifier: str, *, kind: Kind = "key") -> KnownKey | None:
    """The key of this public identifier, unless it is revoked or expired."""
    known = directory.get(KEYS if kind == "key" else _table(kind), identifier)
    if known is None or known.kind != kind or (known.expires_at is not None and known.expires_at <= clock.now()):
        return None
    return known


def identified(known: KnownKey, identifier: str) -> Identified:
    """Of a key that `working_key` found: for requests from inside a process."""
    return Identified(principal_of(known, None), known, identifier)


_MOST_MADE = 10_000
_made: dict[str, tuple[KnownKey, Principal]] = {}
"""The principals of keys that were used lately, by the keys' ids; an entry that changed is another object."""


def principal_of(known: KnownKey, permission: str | None, *, somewhere: bool = False) -> Principal:
    """Raises `Forbidden` when the key lacks the permission, in its whole tenant or (``somewhere``) on any object."""
    made = _made.get(known.id)
    if made is None or made[0] is not known:
        if len(_made) >= _MOST_MADE:
            _made.clear()
        grants = frozenset((name, on) for name, targets in known.grants.items() for on in targets)
        held = frozenset(known.permissions)
        made = _made[known.id] = (
            known,
            Principal(known.kind, known.id, known.tenant, known.name, held, grants=grants),
        )
    principal = made[1]
    if permission is not None and not (known.may_somewhere(permission) if somewhere else principal.may(permission)):
        raise errors.Forbidden(f"This API key lacks the permission '{permission}'.")
    return principal
