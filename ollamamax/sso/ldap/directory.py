"""Asks a directory by LDAP: who somebody is, whether their password is right, and in which groups they are.

Only by TLS, only at addresses that the outbound rules allow, each connection to the very address that was checked, and over in time whatever
the directory does. Referrals are not followed. What somebody typed is a value in a filter, never a part of it, and an empty password is
refused: a directory would take it as an anonymous log-in, and say yes.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

import ldap3
from asgiref.sync import async_to_sync
from ldap3.core.exceptions import LDAPException
from ldap3.operation.search import parse_filter
from ldap3.utils.conv import escape_filter_chars
from ldap3.utils.dn import parse_dn

from ollamamax.outbound.addresses import OutboundRefused, Rules
from ollamamax.outbound.client import CheckedResolver
from ollamamax.sso.claims import of_person
from ollamamax.sso.ldap.sockets import SECONDS, BoundedSocket, DeadlineTls
from ollamamax.sso.refusals import SsoRefused, Why
from ollamamax.sso.tokens import MOST_SUBJECT

LOG_IN_SECONDS = 12.0
LOOK_UP_SECONDS = 60.0
MOST_GROUPS, MOST_LOGIN, MOST_PASSWORD = 1000, 255, 1000
MEMBER_OF = "memberOf"
_BROKEN = (LDAPException, ArithmeticError, AttributeError, LookupError, OSError, RecursionError, TypeError, ValueError)
"""What the library raises for a directory that breaks off, or whose messages are none."""


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


@dataclass(frozen=True)
class LdapPerson:
    """Somebody in the directory. ``claims`` are their attributes, and ``groups``."""

    dn: str
    subject: str
    claims: Mapping[str, Any]


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
    except _BROKEN as error:
        raise ValueError("The filter is none (RFC 4515).") from error


def check_dn(dn: str) -> None:
    """Raises `ValueError` for what is no distinguished name."""
    try:
        parse_dn(dn)
    except _BROKEN as error:
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


def look_up(directory: LdapDirectory, subjects: Sequence[str]) -> dict[str, LdapPerson]:
    """Those of the subjects whom the directory lets log in still, by subject. Raises `SsoRefused` when it cannot say."""
    known: dict[str, LdapPerson] = {}
    deadline = time.monotonic() + LOOK_UP_SECONDS
    among = directory.user_filter.replace("{login}", "*")
    with _bound(directory, directory.bind_dn, directory.bind_password, Why.BAD_DISCOVERY, deadline) as connection:
        for subject in subjects:
            wanted = f"(&{among}({directory.subject}={_subject_value(directory, subject)}))"
            found = [each for each in _people(connection, directory, wanted) if each.subject == subject]
            if len(found) == 1:
                known[subject] = _with_groups(connection, directory, found[0])
    return known


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
        except _BROKEN as error:
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
    except _BROKEN as error:
        raise SsoRefused(Why.BAD_ANSWER, f"The directory broke off: {type(error).__name__}.") from error
    if good is not True:
        # Another address of the directory would say the same.
        raise SsoRefused(why, f"The directory did not take the password: {said}.")


def _leave(connection: ldap3.Connection) -> None:
    """Say that nothing more comes, if it still listens, and close."""
    try:
        connection.unbind()
    except _BROKEN:
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
    people = []
    for entry in _search(connection, directory.base, wanted, wished, 2):
        values = {name.lower(): list(value) for name, value in entry["raw_attributes"].items()}
        if any(name.startswith("memberof;range=") for name in values):
            raise SsoRefused(
                Why.BAD_ANSWER, "Somebody is in more groups than memberOf tells at once: have them searched."
            )
        claims: dict[str, Any] = {}
        for name in directory.attributes:
            if texts := _texts(values.get(name.lower(), [])):
                claims[name] = texts[0] if len(texts) == 1 else texts
        claims["groups"] = _names_of(_texts(values.get(MEMBER_OF.lower(), [])))
        subject = _subject_of(directory, values.get(directory.subject.lower(), []))
        people.append(LdapPerson(str(entry["dn"]), subject, of_person(claims)))
    return people


def _with_groups(connection: ldap3.Connection, directory: LdapDirectory, one: LdapPerson) -> LdapPerson:
    """With the groups that are searched, where that is how they are found."""
    if not directory.group_base:
        return one
    wanted = _filled(directory.group_filter, "dn", one.dn)
    found = _search(connection, directory.group_base, wanted, ["cn"], MOST_GROUPS)
    groups = _names_of([str(each["dn"]) for each in found])
    return LdapPerson(one.dn, one.subject, of_person({**one.claims, "groups": groups}))


def _search(
    connection: ldap3.Connection, base: str, wanted: str, attributes: list[str], most: int
) -> list[dict[str, Any]]:
    """Raises `SsoRefused` when the directory cannot be searched, or finds more than ``most``."""
    try:
        connection.search(
            base, wanted, ldap3.SUBTREE, attributes=attributes, size_limit=most, time_limit=int(SECONDS),
            dereference_aliases=ldap3.DEREF_NEVER,
        )  # fmt: skip
        result, response = connection.result, connection.response or []
        found = [each for each in response if each.get("type") == "searchResEntry"]
    except _BROKEN as error:
        raise SsoRefused(Why.BAD_ANSWER, f"The directory cannot be searched so: {type(error).__name__}.") from error
    if result["result"] == ldap3.core.results.RESULT_SIZE_LIMIT_EXCEEDED or len(found) > most:
        raise SsoRefused(Why.BAD_ANSWER, f"The directory finds more than {most}.")
    if result["result"] != ldap3.core.results.RESULT_SUCCESS:
        raise SsoRefused(Why.BAD_ANSWER, f"The directory did not search: {result['description']}.")
    return found


def _filled(template: str, name: str, value: str) -> str:
    """With the value, whatever is in it, in the place that has this name."""
    return template.replace(f"{{{name}}}", escape_filter_chars(value))


def _names_of(dns: Sequence[str]) -> list[str]:
    """Of each group its whole name, and the first part of it alone, as people write it in rules."""
    found: dict[str, None] = {}
    for dn in dns:
        found[dn] = None
        try:
            (_, value, _), *_ = parse_dn(dn)
        except _BROKEN:
            continue
        found[value] = None
    return list(found)


def _texts(values: Sequence[Any]) -> list[str]:
    return [each.decode("utf-8", "replace") if isinstance(each, bytes) else str(each) for each in values]


def _subject_of(directory: LdapDirectory, values: Sequence[Any]) -> str:
    """Raises `SsoRefused`."""
    if len(values) != 1:
        raise SsoRefused(Why.BAD_TOKEN, f"The attribute {directory.subject!r} does not name one person.")
    value = values[0]
    if directory.subject.lower() == "objectguid" and isinstance(value, bytes) and len(value) == 16:
        return str(uuid.UUID(bytes_le=value))
    found = _texts([value])[0]
    if not 0 < len(found) <= MOST_SUBJECT or "\0" in found or "�" in found:
        raise SsoRefused(Why.BAD_TOKEN, f"The attribute {directory.subject!r} does not name one person.")
    return found


def _subject_value(directory: LdapDirectory, subject: str) -> str:
    """As a filter holds it."""
    if directory.subject.lower() == "objectguid":
        return "".join(f"\\{byte:02x}" for byte in uuid.UUID(subject).bytes_le)
    return str(escape_filter_chars(subject))
