"""Logging in at a real directory, roles as its groups are now, and directories that lie, drip or are away."""

from __future__ import annotations

import ipaddress
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any
from urllib.parse import parse_qs, urlsplit

import ldap3
import pyotp
import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck
from hypothesis import given as drawn
from hypothesis import settings as bounds
from hypothesis import strategies as st
from pytest_django import Settings
from rest_framework.test import APIClient

from ollamamax.identity.models import Membership, TotpDevice, User
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict, InvalidRequest
from ollamamax.outbound.addresses import Rules
from ollamamax.sso.actions.ldap import sync_directories, sync_directory
from ollamamax.sso.actions.provider import change_provider, create_provider
from ollamamax.sso.claims import Rule
from ollamamax.sso.ldap import directory as asked
from ollamamax.sso.ldap import sockets
from ollamamax.sso.ldap.directory import LdapDirectory
from ollamamax.sso.models import ExternalIdentity, IdentityProvider, LdapSettings
from ollamamax.sso.queries.ldap import directory_of_provider
from ollamamax.sso.queries.provider import find_provider
from ollamamax.sso.refusals import SsoRefused, Why
from ollamamax.sso.sealed import sealed
from tests.cast import Person, logged_in, make_person
from tests.patience import LONG, wait_for
from tests.sso.conftest import own_domain, why
from tests.sso.ldap_directory import BASE, READER, READS, Slapd, lying, slapd

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "what the directory knows"


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    with slapd(tmp_path_factory.mktemp("slapd")) as found:
        ada = found.add_person("ada", PASSWORD)
        found.add_person("bob", PASSWORD)
        found.add_person("eve*", PASSWORD)
        found.group("staff", [ada])
        yield found


def make(owner: Person, company: Slapd, **given: Any) -> IdentityProvider:
    ldap = {"addresses": [company.address], "ca": company.ca, **given.pop("ldap", {})}
    values = {"name": "Directory", "default_role": "viewer", "issuer": BASE, "client_id": READER}
    return create_provider(acting=owner.acting, kind="ldap", ldap=ldap, client_secret=READS, **(values | given))


@pytest.fixture
def provider(owner: Person, company: Slapd) -> IdentityProvider:
    own_domain(owner.tenant, "acme.example")
    return make(owner, company, rules=[Rule("groups", "staff", "developer")])


def begun(
    provider: IdentityProvider, client: APIClient | None = None, **query: str
) -> tuple[APIClient, dict[str, str]]:
    """A browser at the console's page, and what that page's address says."""
    client = client or APIClient()
    answer = client.get(f"/auth/sso/{provider.pk}/begin", query)
    assert answer["Location"].startswith("/log-in-directory?"), answer["Location"]
    return client, {name: values[0] for name, values in parse_qs(urlsplit(answer["Location"]).query).items()}


def give(client: APIClient, page: dict[str, str], login: str, password: str = PASSWORD) -> Any:
    body = {"provider": page["provider"], "asked": page["asked"], "login": login, "password": password}
    return client.post("/api/v1/sso/directory-log-in", body, format="json")


def email_of(client: APIClient) -> str | None:
    found = client.get("/api/v1/session").json()
    return str(found["user"]["email"]) if found["authenticated"] else None


def role_of(owner: Person, email: str) -> tuple[str, str]:
    with tenant_scope(owner.tenant):
        found = Membership.objects.select_related("role").get(user__email=email)
        return found.role.slug, found.state


def test_somebody_of_the_directory_logs_in_with_the_role_of_their_group(
    owner: Person, provider: IdentityProvider
) -> None:
    client, page = begun(provider, next="/nodes")
    answer = give(client, page, "ada")
    assert (answer.status_code, answer.json()) == (200, {"url": "/nodes"})
    assert email_of(client) == "ada@acme.example"
    assert client.get("/api/v1/session").json()["log_in"]["method"] == "ldap"
    assert role_of(owner, "ada@acme.example") == ("developer", "active")
    other, page = begun(provider)
    assert give(other, page, "bob").status_code == 200
    assert role_of(owner, "bob@acme.example") == ("viewer", "active")


def test_a_wrong_password_may_be_tried_again_on_the_same_page_until_too_many_were_wrong(
    provider: IdentityProvider,
) -> None:
    client, page = begun(provider)
    for wrong in ("", " ", "not it", PASSWORD + "\0", "x" * 1001):
        assert give(client, page, "ada", wrong).status_code in {400, 401}
        assert email_of(client) is None
    assert give(client, page, "nobody").status_code == 401
    assert give(client, page, "ada").status_code == 200
    assert email_of(client) == "ada@acme.example"
    _, page = begun(provider, client)
    answers = [give(client, page, "bob", "wrong").status_code for _ in range(30)]
    assert answers[0] == 401
    assert answers[-1] == 429, "whoever guesses is slowed, as at a password of our own"


@pytest.mark.parametrize("login", ["*", "a*", "ada)(uid=*", "*)(objectClass=*", "eve*", "\\61da", "(|(uid=ada))"])
def test_what_is_typed_is_a_value_and_no_part_of_the_filter(provider: IdentityProvider, login: str) -> None:
    client, page = begun(provider)
    answer = give(client, page, login)
    assert answer.status_code == (200 if login == "eve*" else 401)


def test_each_page_counts_once_and_in_its_own_session(provider: IdentityProvider) -> None:
    client, page = begun(provider)
    assert give(APIClient(), page, "ada").json()["url"].startswith("/log-in-problem?")
    assert give(client, page, "ada").status_code == 200
    assert why(give(client, page, "ada").json()["url"]) == "unknown_state"


def test_a_test_shows_what_the_directory_says_and_makes_nothing(owner: Person, provider: IdentityProvider) -> None:
    client = logged_in(owner)
    lead = client.post(f"/api/v1/sso/providers/{provider.pk}/test").json()["url"]
    page = {name: values[0] for name, values in parse_qs(urlsplit(lead).query).items()}
    assert give(client, page, "ada").json()["url"] == f"/single-sign-on/{provider.pk}?tab=test"
    found = client.get(f"/api/v1/sso/providers/{provider.pk}/test").json()
    assert found["claims"]["mail"] == "ada@acme.example"
    assert set(found["claims"]["groups"]) == {"staff", f"cn=staff,ou=groups,{BASE}"}
    assert found["role"] == "developer"
    assert not User.objects.filter(email="ada@acme.example").exists()


def test_a_second_factor_of_ours_is_asked_for_after_the_directorys_password(
    owner: Person, provider: IdentityProvider
) -> None:
    client, page = begun(provider)
    assert give(client, page, "ada").status_code == 200
    ada = User.objects.get(email="ada@acme.example")
    secret = pyotp.random_base32()
    device = TotpDevice(user=ada, name="Phone", confirmed_at=timezone.now())
    device.sealed_secret = sealed(secret, device.place)
    device.save()
    again, page = begun(provider)
    assert give(again, page, "ada").status_code == 200
    assert email_of(again) is None
    assert again.get("/api/v1/session").json()["factor"]["ways"]
    code = {"code": pyotp.TOTP(secret).now()}
    assert again.post("/api/v1/session/factor", code, format="json").status_code == 200
    found = again.get("/api/v1/session").json()
    assert (found["log_in"]["method"], found["log_in"]["factor"]) == ("ldap", "totp")
    assert found["tenant"]["id"] == str(owner.tenant.pk)


def test_groups_are_searched_where_the_directory_does_not_say_them(owner: Person, company: Slapd) -> None:
    own_domain(owner.tenant, "acme.example")
    ldap = {"group_base": f"ou=groups,{BASE}", "group_filter": "(member={dn})"}
    found = make(owner, company, ldap=ldap, rules=[Rule("groups", "cn=staff,*", "operator")])
    client, page = begun(found)
    assert give(client, page, "ada").status_code == 200
    assert role_of(owner, "ada@acme.example") == ("operator", "active")


def test_tls_begins_by_start_tls_as_well_and_another_address_is_tried(owner: Person, company: Slapd) -> None:
    own_domain(owner.tenant, "acme.example")
    gone = "ldaps://127.0.0.1:1"
    found = make(owner, company, ldap={"addresses": [gone, f"ldap://127.0.0.1:{company.plain}"]})
    client, page = begun(found)
    assert give(client, page, "ada").status_code == 200


def test_what_changed_in_the_directory_counts_without_a_log_in(
    owner: Person, company: Slapd, provider: IdentityProvider
) -> None:
    dan = company.add_person("dan", PASSWORD)
    company.group("crew", [dan])
    change_provider(acting=owner.acting, provider_id=provider.pk, rules=[Rule("groups", "crew", "operator")])
    client, page = begun(provider)
    assert give(client, page, "dan").status_code == 200
    assert client.get("/api/v1/nodes").status_code == 200
    company.group("crew", [])
    assert sync_directories(lambda: None) == 1
    assert role_of(owner, "dan@acme.example") == ("viewer", "active")
    company.remove(dan)
    assert sync_directories(lambda: None) == 0, "it was asked a moment ago"
    sync_directory(_now(provider))
    assert role_of(owner, "dan@acme.example")[1] == "suspended"
    assert client.get("/api/v1/nodes").status_code in {401, 403}
    company.add_person("dan", PASSWORD)  # another person: another entryUUID
    sync_directory(_now(provider))
    assert role_of(owner, "dan@acme.example")[1] == "suspended"
    row = logged_in(owner).get(f"/api/v1/sso/providers/{provider.pk}").json()["ldap"]
    assert row["synced_at"]
    assert row["sync_error"] == ""
    company.remove(dan)


def test_a_directory_that_is_away_or_has_nobody_any_more_changes_nobody(
    owner: Person, company: Slapd, provider: IdentityProvider
) -> None:
    people = [company.add_person(f"p{each}", PASSWORD) for each in range(8)]
    for each in range(8):
        client, page = begun(provider)
        assert give(client, page, f"p{each}").status_code == 200
    for wrong in (
        {"addresses": ["ldaps://127.0.0.1:1"]},
        {"addresses": [company.address], "user_filter": "(&(objectClass=device)(uid={login}))"},
    ):
        change_provider(acting=owner.acting, provider_id=provider.pk, ldap=wrong)
        sync_directory(_now(provider))
        with tenant_scope(owner.tenant):
            assert LdapSettings.objects.get(provider=provider).sync_error
            assert not Membership.objects.exclude(state="active").exists()
    for dn in people:
        company.remove(dn)


def test_few_people_are_not_switched_off_by_a_directory_that_shows_nobody_at_all(
    owner: Person, company: Slapd, provider: IdentityProvider
) -> None:
    for name in ("ada", "bob"):
        client, page = begun(provider)
        assert give(client, page, name).status_code == 200
    blind = {"user_filter": "(&(objectClass=device)(uid={login}))"}
    change_provider(acting=owner.acting, provider_id=provider.pk, ldap=blind)
    sync_directory(_now(provider))
    assert [role_of(owner, f"{name}@acme.example")[1] for name in ("ada", "bob")] == ["active", "active"]
    row = logged_in(owner).get(f"/api/v1/sso/providers/{provider.pk}").json()["ldap"]
    assert (row["synced_at"], "nobody at all" in row["sync_error"]) == (None, True)


@pytest.mark.parametrize("more", [1_001, 100_000], ids=["longer than is kept", "longer than an answer"])
def test_what_one_person_writes_into_the_directory_keeps_nobody_else_from_being_looked_up(
    owner: Person, company: Slapd, provider: IdentityProvider, more: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may change their own name could let all stay who have left."""
    monkeypatch.setattr(sockets, "MOST_BYTES", 65_536)
    change_provider(acting=owner.acting, provider_id=provider.pk, name_claim="displayName")
    people = [company.add_person(name, PASSWORD) for name in ("fay", "gus", "hal")]
    for name in ("fay", "gus", "hal"):
        client, page = begun(provider)
        assert give(client, page, name).status_code == 200
    with company.admin() as admin:
        assert admin.modify(people[0], {"displayName": [(ldap3.MODIFY_REPLACE, ["x" * more])]}), admin.result
    company.remove(people[1])
    sync_directory(_now(provider))
    states = [role_of(owner, f"{name}@acme.example")[1] for name in ("fay", "gus", "hal")]
    assert states == ["active", "suspended", "active"]
    row = logged_in(owner).get(f"/api/v1/sso/providers/{provider.pk}").json()["ldap"]
    assert row["synced_at"]
    assert "Of 1 people" in row["sync_error"]
    company.remove(people[0])
    company.remove(people[2])


def test_while_a_directory_says_nothing_its_log_ins_hold_no_connection_to_postgres_and_are_few(
    owner: Person, provider: IdentityProvider, tmp_path: Path
) -> None:
    """Or eight people in front of one frozen directory would stop the console for everybody."""
    asked_by: Queue[None] = Queue()
    go_on = threading.Event()

    def say_nothing(_: ssl.SSLSocket) -> None:
        asked_by.put(None)
        go_on.wait(LONG)

    def log_in() -> int:
        try:
            client, page = begun(provider)
            return int(give(client, page, "ada").status_code)
        finally:
            connection.close()

    def sessions() -> int:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
            )
            return int(cursor.fetchone()[0])

    with lying(tmp_path, say_nothing) as liar:
        change_provider(acting=owner.acting, provider_id=provider.pk, ldap={"addresses": [liar.address], "ca": liar.ca})
        with ThreadPoolExecutor(8) as browsers:
            waiting = [browsers.submit(log_in) for _ in range(8)]
            for _ in waiting:
                asked_by.get(timeout=LONG)
            wait_for(lambda: sessions() == 1)  # PostgreSQL ends one a moment after it was closed
            client, page = begun(provider)
            refused = give(client, page, "ada")
            go_on.set()
            assert {each.result(LONG) for each in waiting} == {200}, "each is led to a page that says why"
    assert why(refused.json()["url"]) == "too_often"


@pytest.mark.parametrize(
    ("ldap", "reason"),
    [
        ({"ca": ""}, Why.UNREACHABLE),
        ({"addresses": ["ldaps://localhost:{secure}"]}, Why.UNREACHABLE),  # its certificate is of 127.0.0.1
        ({"addresses": ["ldap://127.0.0.1:1"]}, Why.UNREACHABLE),
        ({"subject_attribute": "description"}, Why.BAD_TOKEN),
        ({"user_filter": "(|(uid=ada)(uid=bob)(cn={login}))"}, Why.WRONG_PASSWORD),
    ],
)
def test_what_is_wrong_is_refused_with_its_reason(
    owner: Person, company: Slapd, provider: IdentityProvider, ldap: dict[str, Any], reason: Why
) -> None:
    ldap = {
        name: [each.format(secure=company.secure) for each in value] if name == "addresses" else value
        for name, value in ldap.items()
    }
    change_provider(acting=owner.acting, provider_id=provider.pk, ldap=ldap)
    with pytest.raises(SsoRefused) as refused:
        asked.log_in(directory_of_provider(_now(provider)), "ada", PASSWORD)
    assert refused.value.why == reason


def test_a_directory_of_a_private_network_is_asked_only_where_the_operator_allows_it(
    provider: IdentityProvider, settings: Settings
) -> None:
    settings.OUTBOUND_RULES = Rules()
    with pytest.raises(SsoRefused) as refused:
        asked.log_in(directory_of_provider(_now(provider)), "ada", PASSWORD)
    assert refused.value.why == Why.ADDRESS_REFUSED


@pytest.mark.parametrize(
    "given",
    [
        {"ldap": {"addresses": ["https://127.0.0.1"]}},
        {"ldap": {"addresses": ["ldaps://user@127.0.0.1"]}},
        {"ldap": {"user_filter": "(uid=ada)"}},
        {"ldap": {"user_filter": "(uid={login}"}},
        {"ldap": {"group_base": "not one"}},
        {"ldap": {"group_base": BASE, "group_filter": "(member=x)"}},
        {"ldap": {"ca": "no certificate"}},
        {"issuer": "no name"},
    ],
)
def test_settings_that_cannot_be_are_refused(owner: Person, company: Slapd, given: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        make(owner, company, **given)


def test_whom_people_are_known_by_stays(owner: Person, provider: IdentityProvider) -> None:
    client, page = begun(provider)
    assert give(client, page, "ada").status_code == 200
    with pytest.raises(Conflict):
        change_provider(acting=owner.acting, provider_id=provider.pk, issuer="dc=other,dc=example")
    with pytest.raises(Conflict):
        change_provider(acting=owner.acting, provider_id=provider.pk, ldap={"subject_attribute": "uid"})


def test_the_password_that_asks_is_shown_to_nobody(owner: Person, provider: IdentityProvider) -> None:
    shown = logged_in(owner).get(f"/api/v1/sso/providers/{provider.pk}").content.decode()
    assert READS not in shown
    with tenant_scope(owner.tenant):
        row = IdentityProvider.objects.get(pk=provider.pk)
        assert READS.encode() not in bytes(row.sealed_secret)


def test_a_directory_that_drips_is_left_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "LOG_IN_SECONDS", 1.0)

    def drip(secured: ssl.SSLSocket) -> None:
        secured.sendall(b"\x30\x84\x00\x10\x00\x00")
        while True:
            secured.sendall(b"\x00")
            time.sleep(0.05)

    with lying(tmp_path, drip) as liar, pytest.raises(SsoRefused) as refused:
        asked.log_in(_settings_for(liar), "ada", PASSWORD)
    assert refused.value.why in {Why.BAD_ANSWER, Why.UNREACHABLE}


@drawn(said=st.binary(max_size=200))
@bounds(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_directory_answers_nobody_is_logged_in_and_nothing_breaks(lies: Any, said: bytes) -> None:
    liar, told = lies
    told.clear()
    told.append(said)
    with pytest.raises(SsoRefused):
        asked.log_in(_settings_for(liar), "ada", PASSWORD)


@pytest.fixture(scope="module")
def lies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    told: list[bytes] = []
    with lying(tmp_path_factory.mktemp("liar"), lambda secured: secured.sendall(told[0])) as liar:
        yield liar, told


def _settings_for(company: Slapd) -> LdapDirectory:
    rules = Rules((ipaddress.ip_network("127.0.0.0/8"),), http=True)
    return LdapDirectory(
        (company.address,), company.ca, READER, READS, BASE, "(uid={login})", "entryUUID", ("mail",), "", "", rules
    )


def _now(provider: IdentityProvider) -> IdentityProvider:
    found = find_provider(provider.pk)
    assert found is not None
    return found


def test_nobody_is_known_by_an_address(owner: Person, company: Slapd, provider: IdentityProvider) -> None:
    """The address of one who is here already leads to no account: the password of that is asked for."""
    make_person(owner.tenant, "bob", "viewer")
    client, page = begun(provider)
    assert give(client, page, "bob").json()["url"] == "/log-in-link"
    assert email_of(client) is None
    with tenant_scope(owner.tenant):
        assert not ExternalIdentity.objects.exists()
