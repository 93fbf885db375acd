"""Checks a provider's answer (SAML profiles 2.0, 4.1.4): whom it is of, for whom, when, and in answer to what. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ollamamax.sso.claims import of_person
from ollamamax.sso.refusals import SsoRefused, Why
from ollamamax.sso.saml.documents import Element, only, parsed, tag, text_of, time_of
from ollamamax.sso.saml.signature import opened_assertion, require_shape, signed_part
from ollamamax.sso.tokens import LEEWAY, MOST_SUBJECT

BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"
LONGEST_SECONDS = 24 * 3600.0
"""How long an assertion may be good for: so long its identifier is kept."""
NAMES_SOMEBODY = frozenset(
    {
        "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
        "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified",
        "",
    }
)
"""Formats of a NameID that stays one person's. An address may become another's, and a transient name is new each time."""
TRANSIENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
EMAIL = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
NAME_ID = "name_id"
"""The claim that holds the NameID; as a provider's ``subject_claim``: whatever its format, unless that is transient."""
_XMLSOAP = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims"
SHORT_NAMES = {
    f"{_XMLSOAP}/emailaddress": "email",
    "urn:oid:0.9.2342.19200300.100.1.3": "email",
    "mail": "email",
    f"{_XMLSOAP}/name": "name",
    "urn:oid:2.16.840.1.113730.3.1.241": "name",
    "displayName": "name",
    "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups": "groups",
    "http://schemas.xmlsoap.org/claims/Group": "groups",
    "urn:oid:1.3.6.1.4.1.5923.1.5.1.1": "groups",
    "memberOf": "groups",
}
"""Of attributes that providers are wont to send: seen under these names too, where no attribute has them."""
_CONDITIONS = {tag(f"saml:{name}") for name in ("AudienceRestriction", "OneTimeUse", "ProxyRestriction")}


@dataclass(frozen=True)
class SamlExpected:
    """Of whom an answer must be, for whom, and where it must have been sent. ``key`` is ours, in PEM."""

    issuer: str
    audience: str
    acs: str
    certificates: Sequence[str]
    key: str
    encrypted: bool
    subject_claim: str


@dataclass(frozen=True)
class NameId:
    """How the provider is told again of whom we speak."""

    text: str
    format: str
    qualifier: str
    our_qualifier: str


@dataclass(frozen=True)
class Asserted:
    """``answers``: the identifier of the request that it answers, empty for one that nobody asked for. ``ends`` in Unix seconds."""

    id: str
    ends: float
    answers: str
    subject: str
    claims: Mapping[str, Any]
    name_id: NameId
    session_index: str


def read_response(data: bytes, expected: SamlExpected, *, now: float) -> Asserted:
    """Raises `SsoRefused`."""
    root = parsed(data)
    if root.tag != tag("samlp:Response"):
        raise SsoRefused(Why.BAD_ANSWER, "The message is no answer.")
    require_shape(root)
    whole = signed_part(root, expected.certificates)
    root = root if whole is None else whole
    if root.get("Version") != "2.0":
        raise SsoRefused(Why.BAD_ANSWER, "The answer is not of SAML 2.0.")
    if root.get("Destination", None if whole is not None else expected.acs) != expected.acs:
        raise SsoRefused(Why.WRONG_AUDIENCE, "The answer was meant for another address.")
    _check_issuer(root, expected.issuer, needed=False)
    _check_status(root)
    assertion = _assertion(root, expected, is_signed=whole is not None)
    if assertion.get("Version") != "2.0" or not 0 < len(assertion.get("ID", "")) <= MOST_SUBJECT:
        raise SsoRefused(Why.BAD_TOKEN, "The assertion is not of SAML 2.0, or has no identifier.")
    _check_issuer(assertion, expected.issuer, needed=True)
    _check_conditions(assertion, expected.audience, now)
    answers, ends = _confirmed(assertion, expected.acs, now)
    if (root.get("InResponseTo") or "") != answers:
        raise SsoRefused(Why.UNKNOWN_STATE, "The answer and its assertion are to different requests.")
    session_index = _check_statements(assertion, now)
    name_id, claims = _said(assertion)
    return Asserted(
        id=str(assertion.get("ID")),
        ends=ends,
        answers=answers,
        subject=_subject(name_id, claims, expected.subject_claim),
        claims=claims,
        name_id=name_id,
        session_index=session_index,
    )


def _assertion(root: Element, expected: SamlExpected, *, is_signed: bool) -> Element:
    """The one assertion, signed by itself or with the whole answer. Raises `SsoRefused`."""
    encrypted = root.find(tag("saml:EncryptedAssertion"))
    if encrypted is None:
        if expected.encrypted:
            raise SsoRefused(Why.BAD_TOKEN, "The assertion is not encrypted.")
        found = only(root, "saml:Assertion")
    else:
        found = opened_assertion(encrypted, expected.key)
        require_shape(found)
    if is_signed:
        return found
    signed = signed_part(found, expected.certificates)
    if signed is None:
        raise SsoRefused(Why.BAD_SIGNATURE, "Neither the answer nor the assertion is signed.")
    return signed


def _check_issuer(element: Element, issuer: str, *, needed: bool) -> None:
    found = element.find(tag("saml:Issuer"))
    if (found is None and needed) or (found is not None and text_of(only(element, "saml:Issuer")) != issuer):
        said = "" if found is None else text_of(found)
        raise SsoRefused(Why.WRONG_ISSUER, f"The answer is of the issuer {said[:200]!r}.")


def _check_status(root: Element) -> None:
    code = only(only(root, "samlp:Status"), "samlp:StatusCode")
    if code.get("Value") == SUCCESS:
        return
    inner = code.find(tag("samlp:StatusCode"))
    value = str((code if inner is None else inner).get("Value", "")).rpartition(":")[2]
    said = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", value).lower()
    raise SsoRefused(Why.PROVIDER_SAID, f"The provider refused: {value[:100]}.", said=said)


def _check_times(element: Element, now: float) -> None:
    begins, ends = time_of(element, "NotBefore"), time_of(element, "NotOnOrAfter")
    if begins is not None and begins > now + LEEWAY:
        raise SsoRefused(Why.NOT_YET, "The assertion is of a time to come: the clocks differ.")
    if ends is not None and now >= ends + LEEWAY:
        raise SsoRefused(Why.EXPIRED, "The assertion has expired.")


def _check_conditions(assertion: Element, audience: str, now: float) -> None:
    conditions = only(assertion, "saml:Conditions")
    _check_times(conditions, now)
    if any(each.tag not in _CONDITIONS for each in conditions):
        raise SsoRefused(Why.BAD_TOKEN, "The assertion has a condition that nobody knows.")
    restrictions = conditions.findall(tag("saml:AudienceRestriction"))
    # Each of them must hold; within one, any of its audiences is enough.
    if not restrictions or any(
        audience not in [text_of(one) for one in each.findall(tag("saml:Audience"))] for each in restrictions
    ):
        raise SsoRefused(Why.WRONG_AUDIENCE, "The assertion is for another audience.")


def _confirmed(assertion: Element, acs: str, now: float) -> tuple[str, float]:
    """What the assertion answers, by the first bearer's confirmation that holds, and when the last of them ends: until then it could be brought
    again. Raises the last refusal of any."""
    refused = SsoRefused(Why.BAD_TOKEN, "The assertion confirms its subject in no known way.")
    held: list[Element] = []
    last = 0.0
    for each in only(assertion, "saml:Subject").findall(tag("saml:SubjectConfirmation")):
        data = each.find(tag("saml:SubjectConfirmationData"))
        if each.get("Method") != BEARER or data is None:
            continue
        ends = time_of(data, "NotOnOrAfter")
        if ends is None or ends > now + LONGEST_SECONDS:
            raise SsoRefused(Why.BAD_TOKEN, "The assertion says no time at which it ends, or one too far away.")
        last = max(last, ends)
        try:
            if data.get("Recipient") != acs:
                raise SsoRefused(Why.WRONG_AUDIENCE, "The assertion was meant for another address.")
            _check_times(data, now)
        except SsoRefused as error:
            refused = error
        else:
            held.append(data)
    if not held:
        raise refused
    return held[0].get("InResponseTo") or "", last


def _check_statements(assertion: Element, now: float) -> str:
    """The index of the provider's session."""
    found = assertion.findall(tag("saml:AuthnStatement"))
    if not found:
        raise SsoRefused(Why.BAD_TOKEN, "The assertion does not say that somebody logged in.")
    for each in found:
        ends = time_of(each, "SessionNotOnOrAfter")
        if ends is not None and now >= ends + LEEWAY:
            raise SsoRefused(Why.EXPIRED, "The provider's session has ended.")
    index = str(found[0].get("SessionIndex", ""))
    return index if len(index) <= MOST_SUBJECT else ""


def _said(assertion: Element) -> tuple[NameId, dict[str, Any]]:
    """The name and the claims: of each attribute its text, or the list of its texts. Raises `SsoRefused` for more than are kept."""
    found = only(assertion, "saml:Subject").find(tag("saml:NameID"))
    name_id = NameId("", "", "", "")
    claims: dict[str, Any] = {}
    if found is not None:
        parts = [str(found.get(each, "")) for each in ("Format", "NameQualifier", "SPNameQualifier")]
        name_id = NameId(text_of(found), *parts)
        claims[NAME_ID] = name_id.text
    values: dict[str, list[str]] = {}
    for each in assertion.iter(tag("saml:Attribute")):
        texts = [text_of(one) for one in each.findall(tag("saml:AttributeValue"))]
        values.setdefault(str(each.get("Name", "")), []).extend(texts)
    claims |= {
        name: texts[0] if len(texts) == 1 else texts for name, texts in values.items() if name not in ("", NAME_ID)
    }
    for name, short in SHORT_NAMES.items():
        if name in claims and short not in claims:
            claims[short] = claims[name]
    if "email" not in claims and name_id.format == EMAIL:
        claims["email"] = name_id.text
    return name_id, of_person(claims)


def _subject(name_id: NameId, claims: Mapping[str, Any], subject_claim: str) -> str:
    """Raises `SsoRefused` for nobody, for several, and for a name that may be another's tomorrow."""
    if name_id.format == TRANSIENT and subject_claim in ("", NAME_ID):
        raise SsoRefused(
            Why.BAD_TOKEN, "The NameID is transient: have the provider send a persistent one, or name a claim."
        )
    if not subject_claim and name_id.format not in NAMES_SOMEBODY:
        raise SsoRefused(
            Why.BAD_TOKEN,
            "The NameID is an address or another name that may become somebody else's: have the provider send a persistent one, "
            f"or name the claim that holds one ({NAME_ID} for this one all the same).",
        )
    found = claims.get(subject_claim or NAME_ID)
    if not isinstance(found, str) or not 0 < len(found) <= MOST_SUBJECT or "\0" in found:
        raise SsoRefused(Why.BAD_TOKEN, f"The claim {subject_claim or NAME_ID!r} does not name one person.")
    return found
