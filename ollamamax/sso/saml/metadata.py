"""Metadata both ways (SAML metadata 2.0): what a provider says of itself, and what it is told of us."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lxml import etree

from ollamamax.sso.refusals import SsoRefused, Why
from ollamamax.sso.saml.documents import MD, NAMES, SAMLP, Element, parsed, tag, text_of
from ollamamax.sso.saml.signature import key_of

MOST_METADATA = 512 << 10
MOST_CERTIFICATES = 10
REDIRECT = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
POST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"


@dataclass(frozen=True)
class SamlTrust:
    """What a provider's metadata says: its name, where browsers go to log in and out (``""`` where it has no log-out), and its
    certificates, several while one takes another's place, in base64."""

    entity: str
    sso: str
    slo: str
    certificates: tuple[str, ...]


@dataclass(frozen=True)
class ServiceProvider:
    """What we are to one provider."""

    entity: str
    acs: str
    slo: str
    certificate: str


def read_metadata(data: bytes) -> SamlTrust:
    """Of the one identity provider that it tells of. Raises `SsoRefused`."""
    root = parsed(data, MOST_METADATA)
    found = [each for each in root.iter(tag("md:EntityDescriptor")) if _role(each) is not None]
    if len(found) != 1:
        raise SsoRefused(Why.BAD_DISCOVERY, f"The metadata tells of {len(found)} identity providers, and not of one.")
    entity, role = found[0].get("entityID", ""), _role(found[0])
    if not 0 < len(entity) <= 1000:
        raise SsoRefused(Why.BAD_DISCOVERY, "The provider's metadata does not say how it is called.")
    sso = _location(role, "md:SingleSignOnService")
    if not sso:
        raise SsoRefused(Why.BAD_DISCOVERY, "The provider has no address to log in at by HTTP-Redirect.")
    return SamlTrust(entity, sso, _location(role, "md:SingleLogoutService"), _certificates(role))


def _role(entity: Element) -> Element:
    return next(
        (
            each
            for each in entity.findall(tag("md:IDPSSODescriptor"))
            if SAMLP in each.get("protocolSupportEnumeration", SAMLP).split()
        ),
        None,
    )


def _location(role: Element, name: str) -> str:
    for each in role.findall(tag(name)):
        if each.get("Binding") == REDIRECT:
            return str(each.get("Location", ""))[:2000]
    return ""


def _certificates(role: Element) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for each in role.findall(tag("md:KeyDescriptor")):
        if each.get("use", "signing") == "signing":
            found |= {"".join(text_of(one).split()): None for one in each.iter(tag("ds:X509Certificate"))}
    return checked_certificates(tuple(found))


def checked_certificates(found: Sequence[str]) -> tuple[str, ...]:
    """Raises `SsoRefused` for none, for too many, and for one whose key cannot be used."""
    if not 0 < len(found) <= MOST_CERTIFICATES:
        raise SsoRefused(Why.BAD_DISCOVERY, f"A provider has 1 to {MOST_CERTIFICATES} certificates to sign with.")
    for each in found:
        try:
            key_of(each)
        except (ValueError, TypeError) as error:
            raise SsoRefused(Why.BAD_DISCOVERY, f"A certificate cannot be used: {error}") from error
    return tuple(found)


def our_metadata(us: ServiceProvider) -> bytes:
    root = etree.Element(tag("md:EntityDescriptor"), {"entityID": us.entity}, nsmap={"md": MD, "ds": NAMES["ds"]})
    role = etree.SubElement(
        root,
        tag("md:SPSSODescriptor"),
        {
            "AuthnRequestsSigned": "true",
            "WantAssertionsSigned": "true",
            "protocolSupportEnumeration": SAMLP,
        },
    )
    for use in ("signing", "encryption"):
        key = etree.SubElement(role, tag("md:KeyDescriptor"), {"use": use})
        data = etree.SubElement(etree.SubElement(key, tag("ds:KeyInfo")), tag("ds:X509Data"))
        etree.SubElement(data, tag("ds:X509Certificate")).text = us.certificate
    for binding in (REDIRECT, POST):
        etree.SubElement(role, tag("md:SingleLogoutService"), {"Binding": binding, "Location": us.slo})
    etree.SubElement(role, tag("md:NameIDFormat")).text = PERSISTENT
    etree.SubElement(
        role,
        tag("md:AssertionConsumerService"),
        {"Binding": POST, "Location": us.acs, "index": "0", "isDefault": "true"},
    )
    found: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    return found
