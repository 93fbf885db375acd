"""Who signed what: an element of a message, and nothing but the bytes that were signed are read.

A message has one shape here, so that no element can be signed in one place and read in another (signature wrapping): each identifier
is there once, an assertion is the message's own child or nowhere, a signature is the child of what it signs and refers to that
alone, and holds nothing besides. What was signed is then put into its canonical form, parsed anew, and read from there.
"""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote_plus

import xmlsec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from lxml import etree

from ollamamax.sso.refusals import SsoRefused, Why
from ollamamax.sso.saml.documents import DS, SAML, XENC, Element, only, parsed, tag

LEAST_RSA_BITS = 2048
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED = f"{DS}enveloped-signature"
_MORE = "http://www.w3.org/2001/04/xmldsig-more#"
METHODS: dict[str, type[hashes.SHA256 | hashes.SHA384 | hashes.SHA512]] = {
    f"{_MORE}rsa-sha256": hashes.SHA256,
    f"{_MORE}rsa-sha384": hashes.SHA384,
    f"{_MORE}rsa-sha512": hashes.SHA512,
    f"{_MORE}ecdsa-sha256": hashes.SHA256,
    f"{_MORE}ecdsa-sha384": hashes.SHA384,
    f"{_MORE}ecdsa-sha512": hashes.SHA512,
}
DIGESTS = {f"{XENC}sha256", f"{_MORE}sha384", f"{XENC}sha512"}
KEY_TRANSPORTS = {f"{XENC}rsa-oaep-mgf1p", "http://www.w3.org/2009/xmlenc11#rsa-oaep"}
"""Not RSA 1.5: whoever sees which messages cannot be opened could open others by it."""
CIPHERS = {f"{XENC}aes{bits}-cbc" for bits in (128, 192, 256)} | {
    f"http://www.w3.org/2009/xmlenc11#aes{bits}-gcm" for bits in (128, 192, 256)
}


def require_shape(root: Element) -> None:
    """Raises `SsoRefused` for a document in which something could be signed in one place and read in another."""
    ids = Counter(
        value
        for each in root.iter()
        for name, value in each.attrib.items()
        if etree.QName(name).localname.lower() == "id"
    )
    if any(count > 1 for count in ids.values()):
        raise SsoRefused(Why.BAD_ANSWER, "Two elements have the same identifier.")
    for each in root.iter(tag("saml:Assertion"), tag("saml:EncryptedAssertion")):
        if each is not root and each.getparent() is not root:
            raise SsoRefused(Why.BAD_ANSWER, "There is an assertion within something else.")
    if sum(1 for each in root if each.tag in (tag("saml:Assertion"), tag("saml:EncryptedAssertion"))) > 1:
        raise SsoRefused(Why.BAD_ANSWER, "There is more than one assertion.")
    for each in root.iter(tag("ds:Signature")):
        parent = each.getparent()
        if parent is None or (parent is not root and parent.tag != tag("saml:Assertion")):
            raise SsoRefused(Why.BAD_ANSWER, "There is a signature in a place where none belongs.")
        if len(parent.findall(tag("ds:Signature"))) > 1:
            raise SsoRefused(Why.BAD_ANSWER, "There are two signatures of the same element.")
        _require_own(each, parent)


def _require_own(signature: Element, parent: Element) -> None:
    """A signature of its parent and of nothing else, by algorithms that are still good."""
    allowed = {tag("ds:SignedInfo"), tag("ds:SignatureValue"), tag("ds:KeyInfo")}
    if any(child.tag not in allowed for child in signature):
        raise SsoRefused(Why.BAD_ANSWER, "The signature holds something that is not its own.")
    info = only(signature, "ds:SignedInfo")
    reference = only(info, "ds:Reference")
    if not parent.get("ID") or reference.get("URI") != f"#{parent.get('ID')}":
        raise SsoRefused(Why.BAD_ANSWER, "The signature is of another element than the one that it is in.")
    transforms = reference.find(tag("ds:Transforms"))
    steps = [] if transforms is None else [each.get("Algorithm") for each in transforms]
    if steps != [ENVELOPED, EXCLUSIVE] or only(info, "ds:CanonicalizationMethod").get("Algorithm") != EXCLUSIVE:
        raise SsoRefused(Why.ALGORITHM, "The signature is made of another form of the element.")
    method = only(info, "ds:SignatureMethod").get("Algorithm")
    digest = only(reference, "ds:DigestMethod").get("Algorithm")
    if method not in METHODS or digest not in DIGESTS:
        raise SsoRefused(Why.ALGORITHM, "The message is signed by an algorithm that is not allowed.")


def signed_part(element: Element, certificates: Sequence[str]) -> Element | None:
    """The element as one of the keys signed it, apart from its signature, and parsed anew; ``None`` for one that has no signature.

    ``element`` is a root whose shape is good. ``certificates`` in base64. Raises `SsoRefused` for a signature that is none of theirs.
    """
    signature = element.find(tag("ds:Signature"))
    if signature is None:
        return None
    for each in certificates:
        if _is_signed(signature, element, each):
            element.remove(signature)
            return parsed(etree.tostring(element, method="c14n", exclusive=True, with_comments=False))
    raise SsoRefused(Why.BAD_SIGNATURE, "The message was not signed by a key of the provider's.")


def _is_signed(signature: Element, element: Element, certificate: str) -> bool:
    context = xmlsec.SignatureContext()
    try:
        # Of the certificate the key alone counts, and what a signature says of its own key is not read: the context has one.
        context.key = xmlsec.Key.from_memory(_public_pem(certificate), xmlsec.constants.KeyDataFormatPem, None)
        context.register_id(element, "ID")
        context.verify(signature)
    except (xmlsec.Error, ValueError, TypeError):
        return False
    return True


def _public_pem(certificate: str) -> bytes:
    found: bytes = key_of(certificate).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return found


def key_of(certificate: str) -> Any:
    """The public key of a certificate in base64. Raises `ValueError` for what is none, or has a weak key."""
    found = x509.load_der_x509_certificate(base64.b64decode("".join(certificate.split()), validate=True)).public_key()
    if isinstance(found, rsa.RSAPublicKey) and found.key_size < LEAST_RSA_BITS:
        raise ValueError(f"The key has fewer than {LEAST_RSA_BITS} bits.")
    if not isinstance(found, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise TypeError("The certificate is of a key that is neither RSA nor on an elliptic curve.")
    return found


def require_signed_query(query: str, message: str, certificates: Sequence[str]) -> None:
    """Whether an address's query was signed (SAML bindings, 3.4.4.1), over the very bytes that came. Raises `SsoRefused`."""
    parts: dict[str, str] = {}
    for each in query.split("&"):
        name, _, value = each.partition("=")
        if name in parts:
            raise SsoRefused(Why.BAD_ANSWER, f"The address says {name[:40]!r} twice.")
        parts[name] = value
    if not {message, "SigAlg", "Signature"} <= parts.keys():
        raise SsoRefused(Why.BAD_SIGNATURE, "The message is not signed.")
    signed = "&".join(f"{name}={parts[name]}" for name in (message, "RelayState", "SigAlg") if name in parts)
    method = METHODS.get(unquote_plus(parts["SigAlg"]))
    if method is None:
        raise SsoRefused(Why.ALGORITHM, "The message is signed by an algorithm that is not allowed.")
    by_curve = "ecdsa" in unquote_plus(parts["SigAlg"])
    try:
        found = base64.b64decode(unquote_plus(parts["Signature"]), validate=True)
    except (binascii.Error, ValueError) as error:
        raise SsoRefused(Why.BAD_SIGNATURE, "The signature is not in base64.") from error
    for each in certificates:
        known = key_of(each)
        try:
            if by_curve and isinstance(known, ec.EllipticCurvePublicKey):
                known.verify(found, signed.encode(), ec.ECDSA(method()))
                return
            if not by_curve and isinstance(known, rsa.RSAPublicKey):
                known.verify(found, signed.encode(), padding.PKCS1v15(), method())
                return
        except InvalidSignature:
            continue
    raise SsoRefused(Why.BAD_SIGNATURE, "The message was not signed by a key of the provider's.")


def opened_assertion(encrypted: Element, key: str) -> Element:
    """The assertion in an ``EncryptedAssertion``, as a root of its own. ``key`` is ours, in PEM.

    Raises `SsoRefused`, with one sentence for whatever is wrong: nobody finds out by trying how far it got.
    """
    failed = SsoRefused(
        Why.BAD_ANSWER, "The assertion is encrypted for another key, or by an algorithm that is not allowed."
    )
    data = only(encrypted, "xenc:EncryptedData")
    ciphers = [each.get("Algorithm") for each in data.findall(tag("xenc:EncryptionMethod"))]
    wrapped = [*encrypted.iter(tag("xenc:EncryptedKey"))]
    transports = [each.get("Algorithm") for one in wrapped for each in one.findall(tag("xenc:EncryptionMethod"))]
    if not (len(ciphers) == len(transports) == len(wrapped) == 1):
        raise failed
    if ciphers[0] not in CIPHERS or transports[0] not in KEY_TRANSPORTS:
        raise failed
    if next(encrypted.iter(tag("xenc:CipherReference")), None) is not None:
        raise failed
    [one] = wrapped
    # Beside the data or in it: the key goes where it is looked for, alone, and nothing is left that leads to another place.
    for info in (*data.findall(tag("ds:KeyInfo")), *one.findall(tag("ds:KeyInfo"))):
        info.getparent().remove(info)
    info = etree.Element(tag("ds:KeyInfo"))
    info.append(one)
    data.insert(1, info)
    manager = xmlsec.KeysManager()
    manager.add_key(xmlsec.Key.from_memory(key.encode(), xmlsec.constants.KeyDataFormatPem, None))
    try:
        found = xmlsec.EncryptionContext(manager).decrypt(data)
        root = parsed(etree.tostring(found, with_tail=False))
    except (xmlsec.Error, etree.LxmlError, SsoRefused, ValueError, TypeError):
        raise failed from None
    if root.tag != f"{{{SAML}}}Assertion":
        raise failed
    return root
