"""Who calls: a bearer key, checked against the directory in memory. No Django: the gateway uses it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from ollamamax.bus import clock
from ollamamax.bus.directory import Directory
from ollamamax.contract.tables import KEYS, NODE_KEYS, SIGNING_KEYS, KnownKey, Table
from ollamamax.identity.access_tokens import AccessToken, is_access_token, read_access_token
from ollamamax.identity.keys import Kind, matches, parse_key
from ollamamax.kernel import errors
from ollamamax.kernel.principal import Principal
from ollamamax.kernel.reach import require_reach

_REFUSED = "The API key is missing, wrong, expired or revoked. Send it as 'Authorization: Bearer omx_...'."
REVOKED_MEANWHILE = "The API key was revoked or has expired while the request ran."


async def authenticate(
    authorization: str | None, directory: Directory, permission: str | None, *, where: Where, kind: Kind = "key"
) -> Principal:
    """As `identify`, where only the principal matters."""
    return (await identify(authorization, directory, permission, where=where, kind=kind))[0]


class Identified(NamedTuple):
    """``identifier`` is the public part of the key's text, by which the directory knows it.

    Of an access token: ``ends`` (Unix seconds), and the permissions of its ``scope``, where it has one, to which ``key`` is bound then.
    """

    principal: Principal
    key: KnownKey
    identifier: str
    ends: float | None = None
    scope: frozenset[str] | None = None


class Where(NamedTuple):
    """At which path a key is shown, and from which address (``None`` where that is not known)."""

    path: str
    address: str | None

    @classmethod
    def of(cls, scope: Mapping[str, Any]) -> Where:
        """Of an ASGI scope, in which the server wrote the client's address, behind the proxies that it trusts."""
        client = scope.get("client")
        return cls(scope["path"], client[0] if client else None)


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
    where: Where,
    kind: Kind = "key",
    checked: Checked | None = None,
    somewhere: bool = False,
) -> Identified:
    """The principal and the key of an ``Authorization: Bearer`` header (RFC 6750). ``checked``: what `check` found, perhaps of
    another header.

    Raises `Unauthenticated` for every key that is not good, without saying why, and `Forbidden` for one that may not be used
    ``where`` it is, or lacks the permission; ``somewhere``: on some object is enough, and who calls this asks `Principal.may` again, of that one.
    A key that this process has not heard of may be new: it is refused when the directory has caught up.
    """
    if (
        checked is not None
        and checked.authorization == authorization
        and working_key(directory, checked.identifier, kind=kind) is checked.key
    ):
        require_reach(checked.key.reach, *where)
        return Identified(principal_of(checked.key, permission, somewhere=somewhere), checked.key, checked.identifier)
    scheme, _, text = (authorization or "").partition(" ")
    if kind == "key" and scheme.lower() == "bearer" and is_access_token(text.strip()):
        bound, said = await _of_token(text.strip(), directory)
        require_reach(bound.reach, *where)
        principal = principal_of(bound, permission, somewhere=somewhere)
        return Identified(principal, bound, said.identifier, said.expires_at, said.scope)
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
    require_reach(known.reach, *where)
    return Identified(principal_of(known, permission, somewhere=somewhere), known, identifier)


def check(authorization: str | None, directory: Directory) -> Checked | None:
    """A key in this process's memory, its secret checked; ``None`` for what is no such key. Never waits."""
    if authorization is None:
        return None
    scheme, _, text = authorization.partition(" ")
    if scheme.lower() == "bearer" and is_access_token(text.strip()):
        found = _token_now(text.strip(), directory)
        return None if found is None else Checked(authorization, found[1].identifier, found[0])
    parsed = parse_key(text.strip(), "key") if scheme.lower() == "bearer" else None
    if parsed is None:
        return None
    identifier, secret = parsed
    known = working_key(directory, identifier)
    return Checked(authorization, identifier, known) if known is not None and matches(secret, known.hash) else None


async def _of_token(text: str, directory: Directory) -> tuple[KnownKey, AccessToken]:
    """The key that an access token stands for, as far as it does. Raises as `identify` does."""
    found = _token_now(text, directory)
    if found is None:
        # Its key, or the one that signed it, may be new.
        await directory.catch_up()
        found = _token_now(text, directory)
    if found is None and not (directory.is_whole(KEYS) and directory.is_whole(SIGNING_KEYS)):
        raise errors.Unavailable("This gateway has not heard of any keys yet. Try again in a moment.", retry_after=2)
    if found is None:
        raise errors.Unauthenticated(_REFUSED)
    return found


def _token_now(text: str, directory: Directory) -> tuple[KnownKey, AccessToken] | None:
    """By what is in memory. Never waits."""

    def public_key_of(kid: str) -> str | None:
        signing = directory.get(SIGNING_KEYS, kid)
        return None if signing is None else signing.public

    said = read_access_token(text, public_key_of)
    known = None if said is None else working_key(directory, said.identifier)
    if said is None or known is None or not said.is_of(known.hash):
        return None
    return bound_to(known, said.scope), said


def bound_to(known: KnownKey, scope: frozenset[str] | None) -> KnownKey:
    """The key, with those of its permissions alone that are in the scope."""
    if scope is None:
        return known
    return msgspec.structs.replace(
        known,
        permissions=[name for name in known.permissions if name in scope],
        grants={name: targets for name, targets in known.grants.items() if name in scope},
    )


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
            Principal(known.kind, known.id, known.tenant, known.name, held, grants=grants, reach=known.reach),
        )
    principal = made[1]
    if permission is not None and not (known.may_somewhere(permission) if somewhere else principal.may(permission)):
        raise errors.Forbidden(f"This API key lacks the permission '{permission}'.")
    return principal
