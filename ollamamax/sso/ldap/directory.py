"""Asks a directory by LDAP: who somebody is, whether their password is right, and in which groups they are.

Only by TLS, only at addresses that the outbound rules allow, each connection to the very address that was checked, and over in time whatever
the directory does. Referrals are not followed. What somebody typed is a value in a filter, never a part of it, and an empty password is
refused: a directory would take it as an anonymous log-in, and say yes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

import ldap3
from asgiref.sync import async_to_sync
from ldap3.operation.search import parse_filter
from ldap3.utils.conv import escape_filter_chars
from ldap3.utils.dn import parse_dn

from ollamamax.outbound.addresses import OutboundRefused, Rules
from ollamamax.outbound.client import CheckedResolver
from ollamamax.sso.ldap.people import (
    BROKEN,
    MEMBER_OF,
    LdapPerson,
    LookedUp,
    Unclear,
    claims_of,
    names_of,
    person_in,
    subject_value,
)
from ollamamax.sso.ldap.sockets import SECONDS, BoundedSocket, DeadlineTls
from ollamamax.sso.refusals import SsoRefused, Why

LOG_IN_SECONDS = 12.0
LOOK_UP_SECONDS = 60.0
MOST_GROUPS, MOST_LOGIN, MOST_PASSWORD = 1000, 255, 1000
MOST_BROKEN = 3
"""Connections that break over one person each; of more the directory is the cause."""


@dataclass(frozen=True)
class LdapDirectory:
    """Where and how it is asked; see `ollamamax.sso.models.LdapSettings`. ``attributes`` are those that are claims."""

    addresses: tuple[str, ...]
    ca: str
    bind_dn: str
    bind_password: str
    base: str
    user_filter: str
    subject: str
    attributes: tuple[str, ...]
    group_base: str
    group_filter: str
    rules: Rules


def checked_address(address: str) -> SplitResult:
    """Raises `ValueError` for what is no address of a directory."""
    parts = urlsplit(address)
    port = parts.port  # raises for what is no number
    if parts.scheme not in {"ldaps", "ldap"} or not parts.hostname or "@" in parts.netloc or port == 0:
        raise ValueError("no address of a directory")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("no address of a directory")
    return parts


def check_filter(template: str, holds: str) -> None:
    """Raises `ValueError` for a filter that cannot be one, or that does not hold ``{holds}``."""
    if f"{{{holds}}}" not in template:
        raise ValueError(f"The filter does not hold {{{holds}}}.")
    try:
        parse_filter(template.replace(f"{{{holds}}}", "x"), None, True, None, None, False)
    except BROKEN as error:
        raise ValueError("The filter is none (RFC 4515).") from error


def check_dn(dn: str) -> None:
    """Raises `ValueError` for what is no distinguished name."""
    try:
        parse_dn(dn)
    except BROKEN as error:
        raise ValueError("This is no distinguished name, as dc=example,dc=com is.") from error


def log_in(directory: LdapDirectory, login: str, password: str) -> LdapPerson:
    """Whoever has this name and this password. Raises `SsoRefused`."""
    login = login.strip()
    if not password or len(password) > MOST_PASSWORD or not 0 < len(login) <= MOST_LOGIN or "\0" in login + password:
        raise SsoRefused(Why.WRONG_PASSWORD, "Without a name and a password nobody logs in.")
    deadline = time.monotonic() + LOG_IN_SECONDS
    with _bound(directory, directory.bind_dn, directory.bind_password, Why.BAD_DISCOVERY, deadline) as connection:
        found = _people(connection, directory, _filled(directory.user_filter, "login", login))
        if len(found) != 1:
            raise SsoRefused(Why.WRONG_PASSWORD, f"The directory has {len(found) or 'nobody'} of this name.")
        # In a connection of its own: what this one may see is the bind account's to say.
        with _bound(directory, found[0].dn, password, Why.WRONG_PASSWORD, deadline):
            return _with_groups(connection, directory, found[0])


def look_up(directory: LdapDirectory, subjects: Sequence[str]) -> LookedUp:
    """Those of the subjects whom the directory lets log in still. Raises `SsoRefused` when it cannot say.

    What one person has in the directory, which they may write themselves, keeps nobody else from being looked up.
    """
    told, broken = LookedUp(), 0
    deadline = time.monotonic() + LOOK_UP_SECONDS
    left = list(reversed(subjects))
    while left:
        with _bound(directory, directory.bind_dn, directory.bind_password, Why.BAD_DISCOVERY, deadline) as connection:
            while left:
                subject = left.pop()
                try:
                    found = _looked_up(connection, directory, subject)
                except Unclear as refused:
                    told.unclear[subject] = refused.detail
                except SsoRefused as refused:
                    broken += 1
                    if broken > MOST_BROKEN:
                        raise
                    told.unclear[subject] = refused.detail
                    break  # a connection that broke brings nothing more
                else:
                    if found is not None:
                        told.known[subject] = found
    return told


def require_anybody(directory: LdapDirectory) -> None:
    """Whoever finds nobody may have an account that sees nothing any more, or a base or a filter that fits nothing. Raises `SsoRefused` for that."""
    deadline = time.monotonic() + LOOK_UP_SECONDS
    wanted = f"(&{_anybody(directory)}({directory.subject}=*))"
    with _bound(directory, directory.bind_dn, directory.bind_password, Why.BAD_DISCOVERY, deadline) as connection:
        try:
            found = bool(_search(connection, directory.base, wanted, [directory.subject], 1))
        except Unclear:
            found = True  # there are more than one
    if not found:
        raise SsoRefused(
            Why.BAD_ANSWER, "The directory shows nobody at all: nobody was changed. Look at base, filter and account."
        )


def _looked_up(connection: ldap3.Connection, directory: LdapDirectory, subject: str) -> LdapPerson | None:
    wanted = f"(&{_anybody(directory)}({directory.subject}={subject_value(directory.subject, subject)}))"
    found = [each for each in _people(connection, directory, wanted) if each.subject == subject]
    return _with_groups(connection, directory, found[0]) if len(found) == 1 else None


def _anybody(directory: LdapDirectory) -> str:
    """The filter of all who may log in."""
    return directory.user_filter.replace("{login}", "*")


@contextmanager
def _bound(directory: LdapDirectory, dn: str, password: str, why: Why, deadline: float) -> Iterator[ldap3.Connection]:
    """A connection to the first address that answers, bound as ``dn``. ``why``: what it is when the password is wrong."""
    if not dn or not password:
        raise SsoRefused(why, "A directory is never asked without a name and a password.")
    told = SsoRefused(Why.UNREACHABLE, "The directory has no address.")
    for address in directory.addresses:
        try:
            connection = _connected(directory, address, dn, password, deadline)
        except OutboundRefused as error:
            told = SsoRefused(Why.ADDRESS_REFUSED, str(error))
            continue
        except BROKEN as error:
            told = SsoRefused(Why.UNREACHABLE, f"{address} could not be reached by TLS: {type(error).__name__}.")
            continue
        try:
            _bind(connection, why)
            yield connection
        finally:
            _leave(connection)
        return
    raise told


def _bind(connection: ldap3.Connection, why: Why) -> None:
    """Raises `SsoRefused`."""
    try:
        good = connection.bind()
        said = connection.result.get("description")
    except BROKEN as error:
        raise SsoRefused(Why.BAD_ANSWER, f"The directory broke off: {type(error).__name__}.") from error
    if good is not True:
        # Another address of the directory would say the same.
        raise SsoRefused(why, f"The directory did not take the password: {said}.")


def _leave(connection: ldap3.Connection) -> None:
    """Say that nothing more comes, if it still listens, and close."""
    try:
        connection.unbind()
    except BROKEN:
        connection.socket.close()


def _connected(directory: LdapDirectory, address: str, dn: str, password: str, deadline: float) -> ldap3.Connection:
    """By TLS, with a certificate of the name in the address, to an address that was checked. Raises `OutboundRefused`."""
    parts = checked_address(address)
    host, secure = parts.hostname or "", parts.scheme == "ldaps"
    port = parts.port or (636 if secure else 389)
    found = async_to_sync(_addresses)(directory.rules, host, port)
    server = ldap3.Server(
        found, port=port, use_ssl=secure, tls=DeadlineTls(host, directory.ca, deadline), get_info=ldap3.NONE,
        connect_timeout=SECONDS,
    )  # fmt: skip
    connection = ldap3.Connection(
        server, user=dn, password=password, authentication=ldap3.SIMPLE, auto_bind=ldap3.AUTO_BIND_NONE,
        auto_referrals=False, raise_exceptions=False, check_names=False,
    )  # fmt: skip
    connection.open(read_server_info=False)
    if not secure:
        connection.socket = BoundedSocket(connection.socket, deadline)
        if not connection.start_tls(read_server_info=False):
            raise OSError("the directory does not speak TLS")
    return connection


async def _addresses(rules: Rules, host: str, port: int) -> str:
    return str((await CheckedResolver(rules).resolve(host, port))[0]["host"])


def _people(connection: ldap3.Connection, directory: LdapDirectory, wanted: str) -> list[LdapPerson]:
    """Two at most: of several of one name nobody is meant."""
    wished = [*dict.fromkeys((directory.subject, *directory.attributes, MEMBER_OF))]
    return [
        person_in(entry, directory.subject, directory.attributes)
        for entry in _search(connection, directory.base, wanted, wished, 2)
    ]


def _with_groups(connection: ldap3.Connection, directory: LdapDirectory, one: LdapPerson) -> LdapPerson:
    """With the groups that are searched, where that is how they are found."""
    if not directory.group_base:
        return one
    wanted = _filled(directory.group_filter, "dn", one.dn)
    found = _search(connection, directory.group_base, wanted, ["cn"], MOST_GROUPS)
    groups = names_of([str(each["dn"]) for each in found])
    return LdapPerson(one.dn, one.subject, claims_of({**one.claims, "groups": groups}))


def _search(
    connection: ldap3.Connection, base: str, wanted: str, attributes: list[str], most: int
) -> list[dict[str, Any]]:
    """Raises `SsoRefused` when the directory cannot be searched, and `Unclear` when it finds more than ``most``."""
    try:
        connection.search(
            base, wanted, ldap3.SUBTREE, attributes=attributes, size_limit=most, time_limit=int(SECONDS),
            dereference_aliases=ldap3.DEREF_NEVER,
        )  # fmt: skip
        result, response = connection.result, connection.response or []
        found = [each for each in response if each.get("type") == "searchResEntry"]
    except BROKEN as error:
        raise SsoRefused(Why.BAD_ANSWER, f"The directory cannot be searched so: {type(error).__name__}.") from error
    if result["result"] == ldap3.core.results.RESULT_SIZE_LIMIT_EXCEEDED or len(found) > most:
        raise Unclear(Why.BAD_ANSWER, f"The directory finds more than {most}.")
    if result["result"] != ldap3.core.results.RESULT_SUCCESS:
        raise SsoRefused(Why.BAD_ANSWER, f"The directory did not search: {result['description']}.")
    return found


def _filled(template: str, name: str, value: str) -> str:
    """With the value, whatever is in it, in the place that has this name."""
    return template.replace(f"{{{name}}}", escape_filter_chars(value))
