"""What the entries of a directory say of people, bounded. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ldap3.core.exceptions import LDAPException
from ldap3.utils.conv import escape_filter_chars
from ldap3.utils.dn import parse_dn

from ollamamax.sso.claims import of_person
from ollamamax.sso.refusals import SsoRefused, Why
from ollamamax.sso.tokens import MOST_SUBJECT

MEMBER_OF = "memberOf"
BROKEN = (LDAPException, ArithmeticError, AttributeError, LookupError, OSError, RecursionError, TypeError, ValueError)
"""What the library raises for a directory that breaks off, or whose messages are none."""


@dataclass(frozen=True)
class LdapPerson:
    """Somebody in the directory. ``claims`` are their attributes, and ``groups``."""

    dn: str
    subject: str
    claims: Mapping[str, Any]


@dataclass
class LookedUp:
    """``known``: whom the directory has, by subject; ``unclear``: of whom it says what cannot be used, and why. Others it does not have."""

    known: dict[str, LdapPerson] = field(default_factory=dict)
    unclear: dict[str, str] = field(default_factory=dict)


class Unclear(SsoRefused):
    """It is about one person, and says nothing of the directory."""


def person_in(entry: Mapping[str, Any], subject: str, attributes: Sequence[str]) -> LdapPerson:
    """Raises `Unclear`."""
    values = {name.lower(): list(value) for name, value in entry["raw_attributes"].items()}
    if any(name.startswith("memberof;range=") for name in values):
        raise Unclear(Why.BAD_ANSWER, "Somebody is in more groups than memberOf tells at once: have them searched.")
    claims: dict[str, Any] = {}
    for name in attributes:
        if texts := _texts(values.get(name.lower(), [])):
            claims[name] = texts[0] if len(texts) == 1 else texts
    claims["groups"] = names_of(_texts(values.get(MEMBER_OF.lower(), [])))
    found = _subject_of(subject, values.get(subject.lower(), []))
    return LdapPerson(str(entry["dn"]), found, claims_of(claims))


def claims_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """Raises `Unclear` for more or longer ones than are kept."""
    try:
        return of_person(found)
    except SsoRefused as refused:
        raise Unclear(refused.why, refused.detail) from refused


def names_of(dns: Sequence[str]) -> list[str]:
    """Of each group its whole name, and the first part of it alone, as people write it in rules."""
    found: dict[str, None] = {}
    for dn in dns:
        found[dn] = None
        try:
            (_, value, _), *_ = parse_dn(dn)
        except BROKEN:
            continue
        found[value] = None
    return list(found)


def _texts(values: Sequence[Any]) -> list[str]:
    return [each.decode("utf-8", "replace") if isinstance(each, bytes) else str(each) for each in values]


def _subject_of(name: str, values: Sequence[Any]) -> str:
    """Raises `Unclear`."""
    if len(values) != 1:
        raise Unclear(Why.BAD_TOKEN, f"The attribute {name!r} does not name one person.")
    value = values[0]
    if name.lower() == "objectguid" and isinstance(value, bytes) and len(value) == 16:
        return str(uuid.UUID(bytes_le=value))
    found = _texts([value])[0]
    if not 0 < len(found) <= MOST_SUBJECT or "\0" in found or "�" in found:
        raise Unclear(Why.BAD_TOKEN, f"The attribute {name!r} does not name one person.")
    return found


def subject_value(name: str, subject: str) -> str:
    """As a filter holds it."""
    if name.lower() == "objectguid":
        return "".join(f"\\{byte:02x}" for byte in uuid.UUID(subject).bytes_le)
    return str(escape_filter_chars(subject))
