"""What a directory says of a person, as role rules see it, and where it puts their address and name. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ollamamax.identity.email import checked_email
from ollamamax.kernel.errors import InvalidRequest

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
_SINGLE = ("displayName", "title", "userType", "preferredLanguage", "locale")
_ENTERPRISE = ("employeeNumber", "costCenter", "organization", "division", "department")


def claims_of(resource: Mapping[str, Any], groups: Iterable[str] | None) -> dict[str, Any]:
    """Of a SCIM user (in JSON), and the names of the groups they are in; ``None`` where the directory tells of no groups at all."""
    more = resource.get(ENTERPRISE) or {}
    found = {name: resource[name] for name in ("userName", "externalId", *_SINGLE) if resource.get(name)}
    found |= {name: more[name] for name in _ENTERPRISE if more.get(name)}
    for name in ("roles", "entitlements"):
        values = [each["value"] for each in resource.get(name) or [] if each.get("value")]
        found |= {name: values} if values else {}
    return found if groups is None else found | {"groups": sorted(groups)}


def addresses_of(resource: Mapping[str, Any]) -> list[str]:
    """The e-mail addresses, in small letters: first the user name, where it is one, then the primary one, that of work, and others."""
    emails: Sequence[Mapping[str, Any]] = resource.get("emails") or []
    ordered = sorted(emails, key=lambda each: (not each.get("primary"), each.get("type") != "work"))
    texts = [str(resource.get("userName", "")), *(str(each.get("value") or "") for each in ordered)]
    return list(dict.fromkeys(text.strip().lower() for text in texts if _is_address(text.strip())))


def _is_address(text: str) -> bool:
    try:
        return checked_email(text) == text
    except InvalidRequest:
        return False


def name_of(resource: Mapping[str, Any]) -> str:
    """How the person is called; empty where the directory does not say."""
    name = resource.get("name") or {}
    parts = " ".join(str(name[each]) for each in ("givenName", "familyName") if name.get(each))
    return str(resource.get("displayName") or name.get("formatted") or parts)[:100]
