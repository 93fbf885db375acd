"""Logging in and out by SAML: from our page to the provider's and back with an answer, in the session that asked, once."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest
from lxml import etree
from pytest_django import Settings
from rest_framework.test import APIClient

from ollamamax.audit.models import AuditRecord
from ollamamax.audit.personal import opened
from ollamamax.identity.models import Membership, User
from ollamamax.identity.scope import tenant_scope
from ollamamax.sso.actions.provider import change_provider, create_provider
from ollamamax.sso.claims import Rule
from ollamamax.sso.models import ExternalIdentity, IdentityProvider, SamlSettings
from ollamamax.sso.saml.assertion import NameId
from ollamamax.sso.saml.documents import NAMES, tag
from ollamamax.sso.saml.messages import log_out_request, signed_address
from ollamamax.sso.saml.signature import require_signed_query
from tests.cast import PASSWORD, Person, logged_in, make_person
from tests.sso.conftest import own_domain, why
from tests.sso.saml_provider import (
    CERTIFICATE,
    ENTITY,
    KEY,
    OTHER_CERTIFICATE,
    OTHER_KEY,
    Saying,
    asked,
    encrypted,
    form,
    metadata,
    signed,
    with_signed_assertion,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def provider(owner: Person) -> IdentityProvider:
    own_domain(owner.tenant, "acme.example")
    return make(owner)


def make(owner: Person, **given: Any) -> IdentityProvider:
    saml = {"metadata": metadata(), **given.pop("saml", {})}
    values = {"name": "Office", "default_role": "viewer"} | given
    return create_provider(acting=owner.acting, kind="saml", saml=saml, **values)


@dataclass
class SamlBrowser:
    """One browser with its cookies. Its posts from the provider's page come without them, as browsers do it."""

    client: APIClient

    def begin(self, provider: IdentityProvider, **query: str) -> Saying:
        """To the provider's page; returns what that would say, once somebody has logged in there."""
        answer = self.client.get(f"/auth/sso/{provider.pk}/begin", query)
        assert answer.status_code == 302, answer.content
        return self.saying(answer["Location"])

    def saying(self, location: str) -> Saying:
        assert location.startswith("https://id.example/sso?"), location
        request, _ = asked(location)
        us = request.find(tag("saml:Issuer")).text
        return Saying(request.get("AssertionConsumerServiceURL"), us, request.get("ID"))

    def back(self, provider: IdentityProvider, message: Any) -> str:
        """The provider's page posts its answer, and the browser follows to where our session is."""
        posted = post(provider, message)
        if not posted["Location"].startswith(f"/auth/saml/{provider.pk}/finish?"):
            return str(posted["Location"])
        return str(self.client.get(posted["Location"])["Location"])

    def log_in(
        self, provider: IdentityProvider, sign: Callable[[Any], Any] = with_signed_assertion, **changed: Any
    ) -> str:
        said = self.begin(provider)
        for name, value in changed.items():
            setattr(said, name, value)
        return self.back(provider, sign(said.response()))

    def email(self) -> str | None:
        found = self.client.get("/api/v1/session").json()
        return str(found["user"]["email"]) if found["authenticated"] else None


def post(provider: IdentityProvider, message: Any, **more: str) -> Any:
    answer = APIClient().post(
        f"/auth/saml/{provider.pk}/acs", {"SAMLResponse": form(message), **more}, format="multipart"
    )
    assert answer.status_code == 302, answer.content
    return answer


@pytest.fixture
def browser(db: None) -> SamlBrowser:
    return SamlBrowser(APIClient())


@pytest.mark.parametrize("how", ["the assertion", "the answer", "both", "encrypted"])
def test_somebody_logs_in_whatever_of_the_answer_is_signed(
    provider: IdentityProvider, browser: SamlBrowser, how: str
) -> None:
    with tenant_scope(provider.tenant_id):
        ours = SamlSettings.objects.get(provider=provider).certificate
    ways: dict[str, Callable[[Any], Any]] = {
        "the assertion": with_signed_assertion,
        "the answer": signed,
        "both": lambda found: signed(with_signed_assertion(found)),
        "encrypted": lambda found: encrypted(with_signed_assertion(found), ours),
    }
    assert browser.log_in(provider, ways[how]) == "/"
    assert browser.email() == "ada@acme.example"
    session = browser.client.get("/api/v1/session").json()
    assert session["log_in"]["method"] == "saml"
    made = [each.detail["email"] for each in opened(AuditRecord.objects.filter(action="user.create"))]
    assert made.count("ada@acme.example") == 1
    with tenant_scope(provider.tenant_id):
        assert Membership.objects.get(user__email="ada@acme.example").source == "saml"


def test_the_request_is_signed_and_leads_back_to_where_one_was(
    provider: IdentityProvider, browser: SamlBrowser
) -> None:
    location = browser.client.get(f"/auth/sso/{provider.pk}/begin?next=/keys")["Location"]
    with tenant_scope(provider.tenant_id):
        ours = SamlSettings.objects.get(provider=provider).certificate
    require_signed_query(urlsplit(location).query, "SAMLRequest", [ours])
    assert browser.back(provider, with_signed_assertion(browser.saying(location).response())) == "/keys"


def test_our_metadata_say_what_a_provider_needs(provider: IdentityProvider) -> None:
    answer = APIClient().get(f"/auth/saml/{provider.pk}/metadata")
    root = etree.fromstring(answer.content)
    assert root.get("entityID") == provider.client_id == f"http://testserver/auth/saml/{provider.pk}/metadata"
    [acs] = root.iter(tag("md:AssertionConsumerService"))
    assert acs.get("Location") == f"http://testserver/auth/saml/{provider.pk}/acs"
    assert [each.get("use") for each in root.iter(tag("md:KeyDescriptor"))] == ["signing", "encryption"]
    assert APIClient().get("/auth/saml/0192f0c1-2d3e-7f4a-8b5c-6d7e8f900001/metadata").status_code == 404


def test_an_answer_counts_in_the_session_that_asked_alone(provider: IdentityProvider, browser: SamlBrowser) -> None:
    """Nobody is logged in as somebody else by being led to the answer of another's log-in."""
    victim = SamlBrowser(APIClient())
    said = browser.begin(provider)
    led = post(provider, with_signed_assertion(said.response()))["Location"]
    assert why(victim.client.get(led)["Location"]) == "unknown_state"
    assert victim.email() is None
    # It was for one browser, which came too late now.
    assert why(browser.client.get(led)["Location"]) == "unknown_state"
    other = victim.begin(provider)
    assert why(browser.back(provider, with_signed_assertion(other.response()))) == "unknown_state"


def test_an_assertion_counts_once(provider: IdentityProvider, browser: SamlBrowser) -> None:
    said = browser.begin(provider)
    message = with_signed_assertion(said.response())
    assert browser.back(provider, message) == "/"
    assert why(browser.back(provider, message)) == "replayed"
    # Signed anew it is the same assertion.
    assert why(browser.back(provider, signed(said.response()))) == "replayed"


def test_the_provider_begins_a_log_in_only_if_it_may(
    provider: IdentityProvider, owner: Person, browser: SamlBrowser
) -> None:
    acs = f"http://testserver/auth/saml/{provider.pk}/acs"

    def unasked(**more: str) -> Any:
        return post(provider, with_signed_assertion(Saying(acs, provider.client_id, None).response()), **more)

    assert why(unasked()["Location"]) == "unknown_state"
    change_provider(acting=owner.acting, provider_id=provider.pk, saml={"unsolicited": True})
    answer = unasked(RelayState="/models")
    assert answer["Location"] == "/models"
    assert answer.cookies
    for elsewhere in ("//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)"):
        assert unasked(RelayState=elsewhere)["Location"] == "/"


def test_two_certificates_count_while_one_takes_the_others_place(
    provider: IdentityProvider, owner: Person, browser: SamlBrowser
) -> None:
    def by(key: str) -> Callable[[Any], Any]:
        return lambda found: with_signed_assertion(found, key)

    assert why(browser.log_in(provider, by(OTHER_KEY))) == "bad_signature"
    both = metadata([CERTIFICATE, OTHER_CERTIFICATE])
    change_provider(acting=owner.acting, provider_id=provider.pk, saml={"metadata": both})
    for key in (KEY, OTHER_KEY):
        assert browser.log_in(provider, by(key)) == "/"
    change_provider(acting=owner.acting, provider_id=provider.pk, saml={"metadata": metadata([OTHER_CERTIFICATE])})
    assert why(browser.log_in(provider, by(KEY))) == "bad_signature"


def test_who_may_not_give_a_role_has_nobody_vouch_for_those_who_have_it(
    provider: IdentityProvider, owner: Person, browser: SamlBrowser
) -> None:
    """Whoever chooses the certificates could be everybody who is known by them: an owner as well."""
    admin = make_person(owner.tenant, "admin", "admin")
    saml = {"metadata": metadata([CERTIFICATE, OTHER_CERTIFICATE])}
    one = f"/api/v1/sso/providers/{provider.pk}"
    assert logged_in(admin).patch(one, {"saml": saml}, format="json").status_code == 200
    with tenant_scope(owner.tenant):
        ExternalIdentity.objects.create(
            tenant=owner.tenant, provider=provider, user=owner.user, subject="o", seen_at=owner.tenant.created_at
        )
    assert logged_in(admin).patch(one, {"saml": {"metadata": metadata()}}, format="json").status_code == 403
    assert logged_in(owner).patch(one, {"saml": {"metadata": metadata()}}, format="json").status_code == 200
    # Another provider's word under the same name is none of theirs.
    other = {"metadata": metadata(entity="https://other.example")}
    assert logged_in(owner).patch(one, {"saml": other}, format="json").status_code == 409
    assert logged_in(owner).patch(one, {"saml": {"subject_claim": "email"}}, format="json").status_code == 409


def test_a_person_is_known_by_a_name_that_stays_theirs(
    provider: IdentityProvider, owner: Person, browser: SamlBrowser
) -> None:
    email = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
    for other in (email, "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"):
        assert why(browser.log_in(provider, name_format=other)) == "bad_token"
    change_provider(acting=owner.acting, provider_id=provider.pk, saml={"subject_claim": "staff_number"})
    number = {"email": ["ada@acme.example"], "staff_number": ["4711"]}
    assert browser.log_in(provider, name_format=email, attributes=number) == "/"
    assert why(browser.log_in(provider, attributes=number | {"staff_number": ["1", "2"]})) == "bad_token"
    with tenant_scope(owner.tenant):
        assert ExternalIdentity.objects.get(provider=provider).subject == "4711"


def test_groups_give_roles_and_a_test_shows_each_claim(
    provider: IdentityProvider, owner: Person, browser: SamlBrowser
) -> None:
    rules = [Rule("groups", "ml-*", "developer")]
    change_provider(acting=owner.acting, provider_id=provider.pk, rules=rules, default_role=None)
    named = "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups"
    in_group = {"email": ["ada@acme.example"], named: ["all", "ml-europe"]}
    testing = SamlBrowser(logged_in(owner))
    url = testing.client.post(f"/api/v1/sso/providers/{provider.pk}/test").json()["url"]
    said = testing.saying(url)
    said.attributes = in_group
    assert testing.back(provider, with_signed_assertion(said.response())).endswith("?tab=test")
    found = testing.client.get(f"/api/v1/sso/providers/{provider.pk}/test").json()
    assert (found["role"], found["subject"]) == ("developer", "ada")
    assert found["claims"] == {
        "name_id": "ada", "email": "ada@acme.example", named: ["all", "ml-europe"], "groups": ["all", "ml-europe"],
    }  # fmt: skip
    assert not User.objects.filter(email="ada@acme.example").exists()
    assert why(browser.log_in(provider)) == "no_role"
    assert browser.log_in(provider, attributes=in_group) == "/"
    dry = logged_in(owner).post(f"/api/v1/sso/providers/{provider.pk}/dry-run", {"rules": []}, format="json").json()
    assert (dry["known"], dry["changed"]) == (1, 1)


def test_an_account_that_is_there_is_linked_by_its_password(
    provider: IdentityProvider, browser: SamlBrowser, member: Person
) -> None:
    assert browser.log_in(provider, attributes={"email": [member.email]}) == "/log-in-link"
    assert browser.client.post("/api/v1/sso/link", {"password": PASSWORD}, format="json").status_code == 204
    assert browser.email() == member.email


def test_the_providers_own_refusal_is_told(provider: IdentityProvider, browser: SamlBrowser) -> None:
    said = browser.begin(provider)
    said.status = "urn:oasis:names:tc:SAML:2.0:status:AuthnFailed"
    found = said.response()
    found.remove(found.find(tag("saml:Assertion")))
    location = browser.back(provider, found)
    assert why(location) == "provider_said"
    assert parse_qs(urlsplit(location).query)["said"] == ["authn_failed"]


# Logging out.


def request_to_end(provider: IdentityProvider, session_index: str = "", key: str = KEY, **changed: Any) -> str:
    """The address at which the provider asks that sessions end."""
    root = log_out_request(
        to=f"http://testserver/auth/saml/{provider.pk}/log-out",
        us=ENTITY,
        name_id=NameId("ada", "", "", ""),
        session_index=session_index,
        now=datetime.datetime.now(datetime.UTC),
    )
    for name, value in changed.items():
        root.set(name, value)
    return signed_address(f"/auth/saml/{provider.pk}/log-out", root, key=key, relay="r")


def test_the_provider_ends_the_sessions_that_it_names(provider: IdentityProvider, settings: Settings) -> None:
    one, other = SamlBrowser(APIClient()), SamlBrowser(APIClient())
    one.log_in(provider, session_index="s-1")
    other.log_in(provider, session_index="s-2")
    location = request_to_end(provider, "s-1")
    answer = APIClient().get(location)
    message, query = asked(answer["Location"])
    assert answer["Location"].startswith("https://id.example/slo?")
    assert (message.tag, query["RelayState"]) == (f"{{{NAMES['samlp']}}}LogoutResponse", "r")
    assert message.get("InResponseTo") == asked(location)[0].get("ID")
    assert (one.email(), other.email()) == (None, "ada@acme.example")
    assert why(APIClient().get(location)["Location"]) == "replayed"
    # In a form it is signed by itself.
    root = signed(asked(request_to_end(provider))[0])
    posted = APIClient().post(f"/auth/saml/{provider.pk}/log-out", {"SAMLRequest": form(root)}, format="multipart")
    assert posted["Location"].startswith("https://id.example/slo?")
    assert other.email() is None


def test_what_is_no_request_of_the_provider_ends_nothing(provider: IdentityProvider) -> None:
    browser = SamlBrowser(APIClient())
    browser.log_in(provider)
    good = request_to_end(provider)
    unsigned = good[: good.index("&Signature=")]
    bad = [
        unsigned,
        good.replace("&RelayState=r", "&RelayState=s"),
        f"{good}&SAMLRequest={quote(form(b'<a/>'))}",
        request_to_end(provider, key=OTHER_KEY),
        request_to_end(provider, Destination="http://testserver/elsewhere"),
        request_to_end(provider, NotOnOrAfter="2020-01-01T00:00:00Z"),
        request_to_end(provider, IssueInstant="2020-01-01T00:00:00Z"),
        request_to_end(provider, IssueInstant="2120-01-01T00:00:00Z"),
        f"/auth/saml/{provider.pk}/log-out?{urlencode({'SAMLRequest': 'junk'})}",
        f"/auth/saml/{provider.pk}/log-out",
    ]
    for location in bad:
        assert APIClient().get(location)["Location"].startswith("/log-in-problem?"), location
    root, _ = asked(request_to_end(provider))
    answer = APIClient().post(f"/auth/saml/{provider.pk}/log-out", {"SAMLRequest": form(root)}, format="multipart")
    assert why(answer["Location"]) == "bad_signature"
    assert browser.email() == "ada@acme.example"


def test_logging_out_leads_on_to_the_provider(provider: IdentityProvider, browser: SamlBrowser) -> None:
    browser.log_in(provider)
    url = browser.client.post("/api/v1/sso/log-out").json()["url"]
    request, _ = asked(url)
    assert url.startswith("https://id.example/slo?")
    assert request.find(tag("saml:NameID")).text == "ada"
    assert request.find(tag("samlp:SessionIndex")).text == "s-1"
    assert browser.email() is None
    back = APIClient().get(f"/auth/saml/{provider.pk}/log-out?SAMLResponse=any")
    assert back["Location"] == "/login"


def test_a_request_waits_a_quarter_of_an_hour(
    provider: IdentityProvider, browser: SamlBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = browser.begin(provider)
    now = time.time()
    monkeypatch.setattr("ollamamax.sso.api.returning.time.time", lambda: now + 1000)
    said.ends = 2000
    assert why(browser.back(provider, with_signed_assertion(said.response()))) == "state_expired"
