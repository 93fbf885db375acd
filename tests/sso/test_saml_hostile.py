"""What a hostile page, provider or tenant may send as an answer: nothing of it is read but what the provider's key signed."""

from __future__ import annotations

import base64
import copy
import datetime
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from ollamamax.sso.refusals import SsoRefused
from ollamamax.sso.saml.assertion import LONGEST_SECONDS, Asserted, SamlExpected, read_response
from ollamamax.sso.saml.documents import MOST_MESSAGE, NAMES, from_form, from_query, tag, to_query
from ollamamax.sso.saml.keys import new_key
from ollamamax.sso.saml.metadata import read_metadata
from tests.sso.saml_provider import (
    CERTIFICATE,
    ENTITY,
    OTHER_CERTIFICATE,
    OTHER_KEY,
    Saying,
    at,
    encrypted,
    form,
    metadata,
    signed,
    with_signed_assertion,
)

ACS, US = "https://omx.example/auth/saml/one/acs", "https://omx.example/auth/saml/one/metadata"
OUR_KEY, OUR_CERTIFICATE = new_key("us", datetime.datetime.now(datetime.UTC))
SHA1 = "http://www.w3.org/2000/09/xmldsig#rsa-sha1"


def read(message: Any, **changed: Any) -> Asserted:
    values: dict[str, Any] = {
        "issuer": ENTITY, "audience": US, "acs": ACS, "certificates": [CERTIFICATE], "key": OUR_KEY, "encrypted": False,
        "subject_claim": "",
    }  # fmt: skip
    data = message if isinstance(message, bytes) else etree.tostring(message)
    return read_response(data, SamlExpected(**(values | changed)), now=time.time())


def refused(message: Any, **changed: Any) -> str:
    with pytest.raises(SsoRefused) as told:
        read(message, **changed)
    return str(told.value.why)


def saying(**changed: Any) -> Saying:
    return Saying(ACS, US, "_request", **changed)


SIGNERS: dict[str, Callable[[Any], Any]] = {
    "the assertion": with_signed_assertion,
    "the answer": signed,
    "both": lambda found: signed(with_signed_assertion(found)),
}


@pytest.mark.parametrize("how", SIGNERS)
def test_what_was_signed_is_read(how: str) -> None:
    found = read(SIGNERS[how](saying().response()))
    assert (found.subject, found.answers, found.session_index) == ("ada", "_request", "s-1")
    assert found.claims["groups"] == "staff"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"audience": "https://elsewhere.example"}, "wrong_audience"),
        ({"recipient": "https://elsewhere.example"}, "wrong_audience"),
        ({"recipient": ACS + "/"}, "wrong_audience"),
        ({"recipient": f"https://elsewhere.example/?{ACS}"}, "wrong_audience"),
        ({"recipient": None}, "wrong_audience"),
        ({"destination": "https://elsewhere.example"}, "wrong_audience"),
        ({"destination": ACS + "/more"}, "wrong_audience"),
        ({"issuer": "https://other.example"}, "wrong_issuer"),
        ({"ends": -120}, "expired"),
        ({"begins": 120}, "not_yet"),
        ({"ends": 90_000}, "bad_token"),
        ({"conditions": "<saml:Condition xmlns:x='urn:x'/>"}, "bad_token"),
        ({"conditions": "<saml:AudienceRestriction><saml:Audience>x</saml:Audience></saml:AudienceRestriction>"}, "wrong_audience"),
        ({"name_id": ""}, "bad_token"),
        ({"name_id": "a" * 256}, "bad_token"),
        ({"attributes": {f"a{number}": ["x"] for number in range(300)}}, "bad_answer"),
        ({"attributes": {"groups": ["x" * 5000]}}, "bad_answer"),
    ],
    ids=str,
)  # fmt: skip
def test_an_answer_is_for_us_of_the_provider_and_of_now(changed: dict[str, Any], why: str) -> None:
    said = saying()
    for name, value in changed.items():
        setattr(said, name, value)
    for sign in SIGNERS.values():
        assert refused(sign(said.response())) == why


def test_clocks_may_differ_by_a_minute() -> None:
    for changed in ({"ends": -30}, {"begins": 30}):
        read(signed(saying(**changed).response()))


def test_an_answer_without_a_destination_is_taken_where_only_the_assertion_is_signed() -> None:
    read(with_signed_assertion(saying(destination=None).response()))
    assert refused(signed(saying(destination=None).response())) == "wrong_audience"


def test_what_is_not_signed_or_by_another_key_is_refused() -> None:
    assert refused(saying().response()) == "bad_signature"
    for sign in (signed, with_signed_assertion):
        assert refused(sign(saying().response(), OTHER_KEY)) == "bad_signature"
        read(sign(saying().response(), OTHER_KEY), certificates=[CERTIFICATE, OTHER_CERTIFICATE])
    # A certificate that the message brings along is nobody's that we know.
    assert refused(signed(saying().response(), OTHER_KEY, OTHER_CERTIFICATE)) == "bad_signature"


def test_an_answer_and_its_assertion_are_to_one_request() -> None:
    root = saying().response()
    root.set("InResponseTo", "_of_another_browser")
    assert refused(with_signed_assertion(root)) == "unknown_state"
    root = saying().response()
    del root.find(f".//{tag('saml:SubjectConfirmationData')}").attrib["InResponseTo"]
    assert refused(with_signed_assertion(root)) == "unknown_state"


# Signature wrapping.


def evil(message: Any) -> Any:
    """A copy of the assertion that names somebody else, without a signature."""
    found = copy.deepcopy(message.find(tag("saml:Assertion")))
    for each in found.findall(tag("ds:Signature")):
        found.remove(each)
    found.find(f".//{tag('saml:NameID')}").text = "root"
    found.set("ID", "_evil")
    return found


def wrapped(message: Any) -> Iterator[tuple[str, Any]]:
    """Of one honest message, every way to put another assertion where it might be read, and the signed one where it is verified."""
    places: list[tuple[str, Callable[[Any, Any, Any], None]]] = []

    def put(name: str) -> Callable[[Callable[[Any, Any, Any], None]], None]:
        def kept(make: Callable[[Any, Any, Any], None]) -> None:
            places.append((name, make))

        return kept

    @put("before the signed one")
    def _(root: Any, good: Any, bad: Any) -> None:
        good.addprevious(bad)

    @put("behind the signed one")
    def _(root: Any, good: Any, bad: Any) -> None:
        good.addnext(bad)

    @put("around the signed one")
    def _(root: Any, good: Any, bad: Any) -> None:
        root.replace(good, bad)
        bad.append(good)

    @put("the signed one in its subject")
    def _(root: Any, good: Any, bad: Any) -> None:
        root.replace(good, bad)
        bad.find(tag("saml:Subject")).append(good)

    @put("the signed one in its advice")
    def _(root: Any, good: Any, bad: Any) -> None:
        root.replace(good, bad)
        etree.SubElement(bad, tag("saml:Advice")).append(good)

    @put("the signature moved into it, the signed one inside")
    def _(root: Any, good: Any, bad: Any) -> None:
        root.replace(good, bad)
        signature = good.find(tag("ds:Signature"))
        if signature is not None:
            bad.insert(1, signature)
            signature.append(good)
        else:
            bad.append(good)

    @put("the signature in it, the signed one in an object")
    def _(root: Any, good: Any, bad: Any) -> None:
        root.replace(good, bad)
        signature = good.find(tag("ds:Signature"))
        holder = etree.SubElement(signature if signature is not None else bad, tag("ds:Object"))
        if signature is not None:
            bad.insert(1, signature)
        holder.append(good)

    @put("the signed one in an extension")
    def _(root: Any, good: Any, bad: Any) -> None:
        root.replace(good, bad)
        holder = etree.Element(tag("samlp:Extensions"))
        root.find(tag("saml:Issuer")).addnext(holder)
        holder.append(good)

    @put("the signature over the answer's identifier")
    def _(root: Any, good: Any, bad: Any) -> None:
        signature = good.find(tag("ds:Signature"))
        if signature is not None:
            root.find(tag("saml:Issuer")).addnext(signature)
        good.addprevious(bad)

    @put("with the same identifier, before")
    def _(root: Any, good: Any, bad: Any) -> None:
        bad.set("ID", good.get("ID"))
        good.addprevious(bad)

    @put("with the same identifier, behind")
    def _(root: Any, good: Any, bad: Any) -> None:
        bad.set("ID", good.get("ID"))
        good.addnext(bad)

    @put("in the place of the signed one, with its signature")
    def _(root: Any, good: Any, bad: Any) -> None:
        bad.set("ID", good.get("ID"))
        signature = good.find(tag("ds:Signature"))
        if signature is not None:
            bad.insert(1, signature)
        root.replace(good, bad)

    for name, make in places:
        root = copy.deepcopy(message)
        make(root, root.find(tag("saml:Assertion")), evil(root))
        yield name, root
    # The whole answer within another.
    for holder in ("samlp:Extensions", "ds:Object"):
        outer = copy.deepcopy(message)
        outer.set("ID", "_outer")
        place = outer.find(tag("saml:Assertion"))
        outer.replace(place, evil(outer))
        signature = outer.find(tag("ds:Signature"))
        inner = etree.Element(tag(holder))
        inner.append(copy.deepcopy(message))
        (signature if signature is not None and holder == "ds:Object" else outer).append(inner)
        yield f"an answer around it, in {holder}", outer


@pytest.mark.parametrize("how", SIGNERS)
def test_no_wrapping_has_another_assertion_read(how: str) -> None:
    message = SIGNERS[how](saying().response())
    tried = 0
    for name, root in wrapped(message):
        tried += 1
        try:
            found = read(root)
        except SsoRefused:
            continue
        assert found.subject == "ada", name
    assert tried == 14


def test_each_byte_of_what_was_signed_counts() -> None:
    """Whatever single thing of a signed assertion is changed: it is refused, or says the same."""
    message = with_signed_assertion(saying().response())
    assertion = message.find(tag("saml:Assertion"))
    places = [*assertion.iter()]
    for place in range(len(places)):
        if any(each.tag == tag("ds:Signature") for each in [places[place], *places[place].iterancestors()]):
            continue
        root = copy.deepcopy(message)
        one = [*root.find(tag("saml:Assertion")).iter()][place]
        one.text = (one.text or "") + "x"
        refused(root)
        for name in list(places[place].attrib):
            root = copy.deepcopy(message)
            one = [*root.find(tag("saml:Assertion")).iter()][place]
            one.set(name, one.get(name) + "x")
            refused(root)


def test_a_signature_refers_to_its_own_element_by_good_algorithms() -> None:
    def changed(find: str, name: str, value: str) -> Any:
        root = signed(saying().response())
        root.find(f".//{tag(find)}").set(name, value)
        return root

    for find, name, value in (
        ("ds:Reference", "URI", ""),
        ("ds:Reference", "URI", "#_other"),
        ("ds:Reference", "URI", "file:///etc/passwd"),
        ("ds:Reference", "URI", "http://127.0.0.1:1/"),
        ("ds:SignatureMethod", "Algorithm", SHA1),
        ("ds:SignatureMethod", "Algorithm", f"{NAMES['ds']}hmac-sha1"),
        ("ds:SignatureMethod", "Algorithm", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"),
        ("ds:DigestMethod", "Algorithm", f"{NAMES['ds']}sha1"),
        ("ds:CanonicalizationMethod", "Algorithm", "http://www.w3.org/TR/2001/REC-xml-c14n-20010315#WithComments"),
        ("ds:Transform", "Algorithm", "http://www.w3.org/TR/1999/REC-xslt-19991116"),
        ("ds:Transform", "Algorithm", "http://www.w3.org/TR/1999/REC-xpath-19991116"),
    ):
        assert refused(changed(find, name, value)) in {"bad_answer", "algorithm"}


# XML.


def test_comments_do_not_cut_a_name() -> None:
    data = etree.tostring(signed(saying(name_id="root@acme.example.evil.example").response()))
    for inside in (b"<!---->", b"<?x?>"):
        cut = data.replace(b"root@acme.example.evil", b"root@acme.example" + inside + b".evil")
        assert refused(cut) == "bad_answer"


@pytest.mark.parametrize(
    "head",
    [
        b'<!DOCTYPE a [<!ENTITY x "y">]>',
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        b'<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd">',
        b'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;">]>',
        b'<!DOCTYPE a [<!ENTITY % p SYSTEM "http://127.0.0.1:1/a.dtd"> %p;]>',
        b"<?xml-stylesheet href='http://127.0.0.1:1/'?>",
        b"<!-- -->",
    ],
    ids=str,
)  # fmt: skip
def test_a_document_with_entities_or_instructions_is_refused(head: bytes) -> None:
    assert refused(head + etree.tostring(signed(saying().response()))) == "bad_answer"
    with pytest.raises(SsoRefused):
        read_metadata(head + metadata().encode())


def test_what_is_too_much_is_refused_before_it_is_parsed() -> None:
    begun = time.process_time()
    assert refused(b"<a>" + b" " * (10 << 20) + b"</a>") == "bad_answer"
    for value in (form(b"<a>" + b" " * (10 << 20) + b"</a>"), "A" * (10 << 20)):
        with pytest.raises(SsoRefused):
            from_form(value)
    bomb = etree.Element("a")
    bomb.text = " " * (MOST_MESSAGE * 20)
    with pytest.raises(SsoRefused):
        from_query(to_query(bomb))
    assert refused(b"<a>" * 5000 + b"</a>" * 5000) == "bad_answer"
    assert refused(b"<a>" + b"<b/>" * 60_000 + b"</a>") == "bad_answer"
    assert time.process_time() - begun < 20


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=300))
def test_any_bytes_are_refused_and_nothing_else_happens(data: bytes) -> None:
    refused(data)
    for reading in (from_form, from_query):
        try:
            reading(data.decode("latin-1"))
        except SsoRefused:
            continue
    with pytest.raises(SsoRefused):
        read_metadata(data)


def test_any_damage_to_a_message_is_refused_or_changes_nothing() -> None:
    chance = random.Random(7)
    data = etree.tostring(signed(with_signed_assertion(saying().response())))
    for _ in range(300):
        cut = bytearray(data)
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(cut))
            cut[at : at + chance.randint(0, 8)] = chance.randbytes(chance.randint(0, 8))
        try:
            found = read(bytes(cut))
        except SsoRefused:
            continue
        assert (found.subject, found.answers, found.id) == ("ada", "_request", found.id)
        assert found.claims["email"] == "ada@acme.example"


# Encryption.


def test_an_encrypted_assertion_is_opened_and_has_to_be_signed() -> None:
    assert read(encrypted(with_signed_assertion(saying().response()), OUR_CERTIFICATE), encrypted=True).subject == "ada"
    assert read(signed(encrypted(saying().response(), OUR_CERTIFICATE)), encrypted=True).subject == "ada"
    assert refused(encrypted(saying().response(), OUR_CERTIFICATE)) == "bad_signature"
    assert refused(with_signed_assertion(saying().response()), encrypted=True) == "bad_token"


def test_nobody_finds_out_how_far_an_encrypted_assertion_got() -> None:
    """For another key, cut, damaged, or by RSA 1.5: one reason and one sentence."""
    good = encrypted(with_signed_assertion(saying().response()), OUR_CERTIFICATE)
    messages = [
        encrypted(with_signed_assertion(saying().response()), OTHER_CERTIFICATE),
        encrypted(with_signed_assertion(saying().response()), OUR_CERTIFICATE, "rsa-1_5"),
    ]
    for place in (0, 1):
        for cut in (slice(0, 8), slice(-8, None)):
            root = copy.deepcopy(good)
            value = [*root.iter(tag("xenc:CipherValue"))][place]
            raw = bytearray(base64.b64decode(value.text))
            raw[cut] = bytes(8)
            value.text = base64.b64encode(raw).decode()
            messages.append(root)
    told = set()
    for message in messages:
        with pytest.raises(SsoRefused) as error:
            read(message)
        told.add((error.value.why, error.value.detail))
    # What decrypts to nonsense in the middle of the text may be another text, whose signature is wrong.
    assert {why for why, _ in told} <= {"bad_answer", "bad_signature"}
    assert len([why for why, _ in told if why == "bad_answer"]) == 1


# Metadata.


def test_metadata_are_of_one_provider_with_keys_that_can_be_used() -> None:
    found = read_metadata(metadata([CERTIFICATE, OTHER_CERTIFICATE]).encode())
    assert (found.entity, len(found.certificates)) == (ENTITY, 2)
    one = metadata()
    for bad in (
        metadata([]),
        metadata(["AAAA"]),
        metadata(entity=""),
        one.replace("SingleSignOnService", "Other"),
        f'<md:EntitiesDescriptor xmlns:md="{NAMES["md"]}">{one}{one}</md:EntitiesDescriptor>',
        "<a/>",
    ):
        with pytest.raises(SsoRefused):
            read_metadata(bad.encode())


@pytest.mark.parametrize("order", [(60, 290), (290, 60)])
def test_an_assertion_is_remembered_until_the_last_of_its_confirmations_ends(order: tuple[int, int]) -> None:
    found = read(with_signed_assertion(confirmed_twice(*order)))
    assert found.ends > time.time() + 280


def test_no_confirmation_is_longer_than_an_assertion_is_remembered() -> None:
    assert refused(with_signed_assertion(confirmed_twice(60, 10 * LONGEST_SECONDS))) == "bad_token"


def confirmed_twice(*seconds: float) -> Any:
    response = saying().response()
    subject = response.find(f".//{tag('saml:Subject')}")
    first = subject.find(tag("saml:SubjectConfirmation"))
    second = copy.deepcopy(first)
    subject.append(second)
    for each, ends in zip((first, second), seconds, strict=True):
        each.find(tag("saml:SubjectConfirmationData")).set("NotOnOrAfter", at(ends))
    return response
