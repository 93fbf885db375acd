"""A SAML identity provider of the tests: what it says is signed by signxml, another library than the product's. Honest unless told otherwise."""

from __future__ import annotations

import base64
import datetime
import secrets
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import xmlsec
from cryptography.hazmat.primitives import serialization
from lxml import etree
from signxml.algorithms import SignatureConstructionMethod
from signxml.signer import XMLSigner

from ollamamax.sso.saml.documents import NAMES, tag
from ollamamax.sso.saml.keys import new_key

KEY, CERTIFICATE = new_key("provider", datetime.datetime.now(datetime.UTC))
OTHER_KEY, OTHER_CERTIFICATE = new_key("another", datetime.datetime.now(datetime.UTC))
ENTITY = "https://id.example/saml"
PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"


def at(seconds: float = 0) -> str:
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def metadata(
    certificates: Sequence[str] = (CERTIFICATE,), entity: str = ENTITY, origin: str = "https://id.example"
) -> str:
    keys = "".join(
        f'<md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="{NAMES["ds"]}"><ds:X509Data><ds:X509Certificate>'
        f"{each}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"
        for each in certificates
    )
    redirect = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
    return (
        f'<md:EntityDescriptor xmlns:md="{NAMES["md"]}" entityID="{entity}"><md:IDPSSODescriptor '
        f'protocolSupportEnumeration="{NAMES["samlp"]}">{keys}'
        f'<md:SingleLogoutService Binding="{redirect}" Location="{origin}/slo"/>'
        f'<md:SingleSignOnService Binding="{redirect}" Location="{origin}/sso"/>'
        "</md:IDPSSODescriptor></md:EntityDescriptor>"
    )


@dataclass
class Saying:
    """What the provider says at one log-in. ``None`` leaves an attribute out."""

    acs: str
    audience: str
    answers: str | None
    name_id: str = "ada"
    name_format: str = PERSISTENT
    attributes: Mapping[str, Sequence[str]] = field(
        default_factory=lambda: {"email": ["ada@acme.example"], "groups": ["staff"]}
    )
    issuer: str = ENTITY
    destination: str | None = ""
    recipient: str | None = ""
    begins: float = -5
    ends: float = 300
    session_index: str = "s-1"
    id: str = field(default_factory=lambda: f"_{secrets.token_hex(16)}")
    conditions: str = ""
    status: str = "urn:oasis:names:tc:SAML:2.0:status:Success"

    def response(self) -> Any:
        def named(**values: str | None) -> str:
            return "".join(f' {name}="{value}"' for name, value in values.items() if value is not None)

        destination = self.acs if self.destination == "" else self.destination
        recipient = self.acs if self.recipient == "" else self.recipient
        attributes = "".join(
            f'<saml:Attribute Name="{name}">'
            + "".join(f'<saml:AttributeValue xmlns:xs="http://www.w3.org/2001/XMLSchema" '
                      f'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="xs:string">{each}</saml:AttributeValue>'
                      for each in values)
            + "</saml:Attribute>"
            for name, values in self.attributes.items()
        )  # fmt: skip
        text = (
            f'<samlp:Response xmlns:samlp="{NAMES["samlp"]}" xmlns:saml="{NAMES["saml"]}" ID="_{secrets.token_hex(16)}" Version="2.0" '
            f'IssueInstant="{at()}"{named(Destination=destination, InResponseTo=self.answers)}>'
            f"<saml:Issuer>{self.issuer}</saml:Issuer>"
            f'<samlp:Status><samlp:StatusCode Value="{self.status}"/></samlp:Status>'
            f'<saml:Assertion ID="{self.id}" Version="2.0" IssueInstant="{at()}"><saml:Issuer>{self.issuer}</saml:Issuer>'
            f'<saml:Subject><saml:NameID Format="{self.name_format}">{self.name_id}</saml:NameID>'
            '<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml:SubjectConfirmationData'
            f"{named(NotOnOrAfter=at(self.ends), Recipient=recipient, InResponseTo=self.answers)}/></saml:SubjectConfirmation></saml:Subject>"
            f'<saml:Conditions NotBefore="{at(self.begins)}" NotOnOrAfter="{at(self.ends)}">'
            f"<saml:AudienceRestriction><saml:Audience>{self.audience}</saml:Audience></saml:AudienceRestriction>{self.conditions}"
            "</saml:Conditions>"
            f'<saml:AuthnStatement AuthnInstant="{at()}" SessionIndex="{self.session_index}"/>'
            f"<saml:AttributeStatement>{attributes}</saml:AttributeStatement></saml:Assertion></samlp:Response>"
        )
        return etree.fromstring(text)


def signed(element: Any, key: str = KEY, certificate: str = CERTIFICATE, **given: Any) -> Any:
    """The element with a signature of its own, behind its issuer."""
    place = etree.Element(tag("ds:Signature"), {"Id": "placeholder"}, nsmap={"ds": NAMES["ds"]})
    element.find(tag("saml:Issuer")).addnext(place)
    signer = XMLSigner(
        method=SignatureConstructionMethod.enveloped, c14n_algorithm="http://www.w3.org/2001/10/xml-exc-c14n#", **given
    )
    pem = "\n".join(["-----BEGIN CERTIFICATE-----", *_lines(certificate), "-----END CERTIFICATE-----"])
    private = serialization.load_pem_private_key(key.encode(), None)
    return signer.sign(element, key=private, cert=[pem], reference_uri=element.get("ID"))  # type: ignore[arg-type]


def _lines(text: str) -> list[str]:
    return [text[place : place + 64] for place in range(0, len(text), 64)]


def with_signed_assertion(response: Any, key: str = KEY, **given: Any) -> Any:
    assertion = response.find(tag("saml:Assertion"))
    place = response.index(assertion)
    response.remove(assertion)
    response.insert(place, signed(assertion, key, **given))
    return response


def encrypted(response: Any, certificate: str, transport: str = "rsa-oaep-mgf1p") -> Any:
    """The response with its assertion encrypted for our certificate."""
    assertion = response.find(tag("saml:Assertion"))
    template = xmlsec.template.encrypted_data_create(
        response, xmlsec.constants.TransformAes256Cbc, type=xmlsec.constants.TypeEncElement, ns="xenc"
    )
    xmlsec.template.encrypted_data_ensure_cipher_value(template)
    info = xmlsec.template.encrypted_data_ensure_key_info(template, ns="ds")
    how = {"rsa-oaep-mgf1p": xmlsec.constants.TransformRsaOaep, "rsa-1_5": xmlsec.constants.TransformRsaPkcs1}
    key = xmlsec.template.add_encrypted_key(info, how[transport])
    xmlsec.template.encrypted_data_ensure_cipher_value(key)
    manager = xmlsec.KeysManager()
    pem = "\n".join(["-----BEGIN CERTIFICATE-----", *_lines(certificate), "-----END CERTIFICATE-----"])
    manager.add_key(xmlsec.Key.from_memory(pem, xmlsec.constants.KeyDataFormatCertPem, None))
    context = xmlsec.EncryptionContext(manager)
    context.key = xmlsec.Key.generate(xmlsec.constants.KeyDataAes, 256, xmlsec.constants.KeyDataTypeSession)
    data = context.encrypt_xml(template, assertion)
    whole = etree.SubElement(response, tag("saml:EncryptedAssertion"))
    whole.append(data)
    return response


def form(message: Any) -> str:
    return base64.b64encode(message if isinstance(message, bytes) else etree.tostring(message)).decode()


def asked(location: str) -> tuple[Any, dict[str, str]]:
    """The message in an address of the provider's, and all that is said there."""
    query = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
    data = query.get("SAMLRequest") or query["SAMLResponse"]
    return etree.fromstring(zlib.decompress(base64.b64decode(data), -15)), query
