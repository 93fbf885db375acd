"""Requests that we send a provider by way of the browser, and its requests to log somebody out."""

from __future__ import annotations

import base64
import datetime
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from lxml import etree

from ollamamax.sso.refusals import SsoRefused, Why
from ollamamax.sso.saml.assertion import SUCCESS, NameId
from ollamamax.sso.saml.documents import SAML, SAMLP, Element, only, parsed, tag, text_of, time_of, to_query
from ollamamax.sso.saml.metadata import POST
from ollamamax.sso.saml.signature import require_shape, require_signed_query, signed_part
from ollamamax.sso.tokens import LEEWAY, LOG_OUT_SECONDS, MOST_SUBJECT

_RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"


@dataclass(frozen=True)
class LogOutRequest:
    """``ends`` in Unix seconds: so long its identifier is kept."""

    id: str
    name_id: str
    session_indexes: tuple[str, ...]
    ends: float


def _message(name: str, to: str, us: str, now: datetime.datetime, **more: str) -> Element:
    root = etree.Element(
        tag(name),
        {
            "ID": f"_{secrets.token_hex(20)}",
            "Version": "2.0",
            "IssueInstant": now.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "Destination": to,
            **more,
        },
        nsmap={"samlp": SAMLP, "saml": SAML},
    )
    etree.SubElement(root, tag("saml:Issuer")).text = us
    return root


def log_in_request(*, to: str, us: str, acs: str, now: datetime.datetime, any_name: bool) -> tuple[str, Element]:
    """Its identifier, and the request. ``any_name``: the provider chooses the NameID's format."""
    root = _message("samlp:AuthnRequest", to, us, now, AssertionConsumerServiceURL=acs, ProtocolBinding=POST)
    policy = etree.SubElement(root, tag("samlp:NameIDPolicy"), {"AllowCreate": "true"})
    if not any_name:
        policy.set("Format", "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent")
    return str(root.get("ID")), root


def log_out_request(*, to: str, us: str, name_id: NameId, session_index: str, now: datetime.datetime) -> Element:
    root = _message("samlp:LogoutRequest", to, us, now)
    parts = {"Format": name_id.format, "NameQualifier": name_id.qualifier, "SPNameQualifier": name_id.our_qualifier}
    name = etree.SubElement(root, tag("saml:NameID"), {key: value for key, value in parts.items() if value})
    name.text = name_id.text
    if session_index:
        etree.SubElement(root, tag("samlp:SessionIndex")).text = session_index
    return root


def log_out_response(*, to: str, us: str, answers: str, now: datetime.datetime) -> Element:
    root = _message("samlp:LogoutResponse", to, us, now, InResponseTo=answers)
    status = etree.SubElement(root, tag("samlp:Status"))
    etree.SubElement(status, tag("samlp:StatusCode"), {"Value": SUCCESS})
    return root


def signed_address(to: str, root: Element, *, key: str, relay: str = "") -> str:
    """Where the browser goes with the message, in the query, signed with our key (PEM)."""
    parts = {"SAMLRequest" if root.tag.endswith("Request") else "SAMLResponse": to_query(root)}
    parts |= {"RelayState": relay} if relay else {}
    query = urlencode(parts | {"SigAlg": _RSA_SHA256}, quote_via=quote)
    private = serialization.load_pem_private_key(key.encode(), None)
    if not isinstance(private, rsa.RSAPrivateKey):
        raise TypeError("Our key is an RSA key.")
    value = base64.b64encode(private.sign(query.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()
    return f"{to}{'&' if '?' in to else '?'}{query}&{urlencode({'Signature': value}, quote_via=quote)}"


def read_log_out_request(
    data: bytes, *, query: str | None, issuer: str, to: str, certificates: Sequence[str], now: float
) -> LogOutRequest:
    """Of a provider's request to end sessions. ``query`` as it came, where the message came in one and that is signed. Raises `SsoRefused`."""
    root = parsed(data)
    if root.tag != tag("samlp:LogoutRequest"):
        raise SsoRefused(Why.BAD_ANSWER, "The message is no request to log out.")
    require_shape(root)
    if query is not None:
        require_signed_query(query, "SAMLRequest", certificates)
    else:
        signed = signed_part(root, certificates)
        if signed is None:
            raise SsoRefused(Why.BAD_SIGNATURE, "The message is not signed.")
        root = signed
    if text_of(only(root, "saml:Issuer")) != issuer:
        raise SsoRefused(Why.WRONG_ISSUER, "The request is of another issuer.")
    if root.get("Destination") != to:
        raise SsoRefused(Why.WRONG_AUDIENCE, "The request was meant for another address.")
    issued, ends = time_of(root, "IssueInstant"), time_of(root, "NotOnOrAfter")
    if issued is None or issued > now + LEEWAY:
        raise SsoRefused(Why.NOT_YET, "The request is of a time to come: the clocks differ.")
    last = issued + LOG_OUT_SECONDS if ends is None else min(ends, issued + LOG_OUT_SECONDS)
    if now >= last + LEEWAY:
        raise SsoRefused(Why.EXPIRED, "The request is too old.")
    identifier, name = str(root.get("ID", "")), text_of(only(root, "saml:NameID"))
    indexes = tuple(text_of(each) for each in root.findall(tag("samlp:SessionIndex")))
    if not 0 < len(identifier) <= MOST_SUBJECT or not 0 < len(name) <= 1000 or len(indexes) > 100:
        raise SsoRefused(Why.BAD_TOKEN, "The request names neither itself nor a subject, or too much.")
    return LogOutRequest(identifier, name, indexes, last)
