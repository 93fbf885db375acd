"""Reads XML that anybody may have sent: bounded before it is parsed, without entities, comments and instructions."""

from __future__ import annotations

import base64
import binascii
import datetime
import re
import zlib
from typing import Any, TypeAlias

from lxml import etree

from ollamamax.sso.refusals import SsoRefused, Why

MOST_MESSAGE = 512 << 10
"""Bytes of a message's XML."""
MOST_ELEMENTS, MOST_DEPTH = 20_000, 40
SAML = "urn:oasis:names:tc:SAML:2.0:assertion"
SAMLP = "urn:oasis:names:tc:SAML:2.0:protocol"
MD = "urn:oasis:names:tc:SAML:2.0:metadata"
DS = "http://www.w3.org/2000/09/xmldsig#"
XENC = "http://www.w3.org/2001/04/xmlenc#"
NAMES = {"saml": SAML, "samlp": SAMLP, "md": MD, "ds": DS, "xenc": XENC}
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,12})?(Z|[+-]\d\d:\d\d)", re.ASCII)

Element: TypeAlias = Any
"""An element of lxml's, which has no types."""


def parsed(data: bytes, most: int = MOST_MESSAGE) -> Element:
    """The root of a document. Raises `SsoRefused` for one that is no XML, too long, or holds a DTD, an instruction or a comment."""
    if len(data) > most:
        raise SsoRefused(Why.BAD_ANSWER, f"The message is longer than {most} bytes.")
    # A parser for each: one that failed keeps what it read.
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise SsoRefused(Why.BAD_ANSWER, "The message is no XML.") from error
    if root.getroottree().docinfo.doctype or root.getprevious() is not None or root.getnext() is not None:
        raise SsoRefused(Why.BAD_ANSWER, "The message holds a document type, an instruction or a comment.")
    for number, each in enumerate(root.iter()):
        if not isinstance(each.tag, str):
            raise SsoRefused(Why.BAD_ANSWER, "The message holds an entity, an instruction or a comment.")
        if number > MOST_ELEMENTS:
            raise SsoRefused(Why.BAD_ANSWER, f"The message has more than {MOST_ELEMENTS} elements.")
    if _depth(root) > MOST_DEPTH:
        raise SsoRefused(Why.BAD_ANSWER, f"The message is deeper than {MOST_DEPTH} elements.")
    return root


def _depth(root: Element) -> int:
    """Elements in one another; counting ends where there are too many."""
    level, depth = [root], 0
    while level and depth <= MOST_DEPTH:
        level, depth = [child for each in level for child in each], depth + 1
    return depth


def from_form(value: str, most: int = MOST_MESSAGE) -> bytes:
    """A message as a form holds it (SAML bindings, 3.5.4). Raises `SsoRefused`."""
    if len(value) > most * 4 // 3 + 4096:
        raise SsoRefused(Why.BAD_ANSWER, f"The message is longer than {most} bytes.")
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise SsoRefused(Why.BAD_ANSWER, "The message is not in base64.") from error


def from_query(value: str, most: int = MOST_MESSAGE) -> bytes:
    """A message as an address holds it, deflated (SAML bindings, 3.4.4.1), no part of which is inflated beyond ``most``. Raises `SsoRefused`."""
    inflate = zlib.decompressobj(-15)
    try:
        found = inflate.decompress(from_form(value, most), most + 1)
    except zlib.error as error:
        raise SsoRefused(Why.BAD_ANSWER, "The message is not deflated.") from error
    if len(found) > most:
        raise SsoRefused(Why.BAD_ANSWER, f"The message is longer than {most} bytes.")
    return found


def to_query(root: Element) -> str:
    pack = zlib.compressobj(9, zlib.DEFLATED, -15)
    return base64.b64encode(pack.compress(etree.tostring(root)) + pack.flush()).decode()


def tag(name: str) -> str:
    """``saml:Issuer`` as lxml names it."""
    prefix, _, local = name.partition(":")
    return f"{{{NAMES[prefix]}}}{local}"


def only(parent: Element, name: str) -> Element:
    """The one child of this name. Raises `SsoRefused` for none, and for several."""
    found = parent.findall(tag(name))
    if len(found) != 1:
        raise SsoRefused(Why.BAD_ANSWER, f"There are {len(found)} elements {name}, where there is one.")
    return found[0]


def text_of(element: Element) -> str:
    """All text below it."""
    return "".join(element.itertext()).strip()


def time_of(element: Element, name: str) -> float | None:
    """An attribute's time in Unix seconds; ``None`` where there is no such attribute. Raises `SsoRefused`."""
    value = element.get(name)
    if value is None:
        return None
    found = _TIME.fullmatch(value.strip())
    try:
        if found is None:
            raise ValueError(value)
        zone = "+00:00" if found[3] == "Z" else found[3]
        whole = datetime.datetime.fromisoformat(found[1] + zone).timestamp()
    except (ValueError, OverflowError) as error:
        raise SsoRefused(Why.BAD_ANSWER, f"{name} is no time.") from error
    return whole + float(found[2] or 0)
