"""The OpenID provider: who is let into an application, what it is told, and that all of it ends when it should."""

from __future__ import annotations

import base64
import datetime
import hashlib
import threading
import time
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import joserfc.jwt
import jwt
import pytest
from django.core.signing import TimestampSigner, b62_encode
from django.db import connections
from django.utils import timezone
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from rest_framework.test import APIClient

from ollamamax.audit.models import AuditRecord
from ollamamax.identity.actions.member import add_member
from ollamamax.identity.actions.signing_key import ensure_signing_key, private_half
from ollamamax.identity.actions.team import create_team
from ollamamax.identity.models import Membership, SigningKey, Tenant, User, UserSession
from ollamamax.identity.queries.signing_key import public_key_of
from ollamamax.identity.scope import tenant_scope
from ollamamax.identity.sessions import LogIn, remember
from ollamamax.oauth.actions.family import sweep_tokens
from ollamamax.oauth.claims import read_hint
from ollamamax.oauth.models import Application, AuthorizationCode, RefreshToken, TokenFamily
from tests.cast import PASSWORD, SYSTEM, Person, logged_in, with_key
from tests.oauth.conftest import ask

pytestmark = pytest.mark.django_db
BASE = "http://testserver"
APPLICATIONS = "/api/v1/applications"
CALLBACK = "https://chat.acme.example/oauth/oidc/callback"
VERIFIER = "a-verifier-that-is-long-enough-for-pkce-by-s256"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
SCOPE = "openid profile email groups offline_access"


@pytest.fixture(autouse=True)
def _addresses(settings: Any) -> None:
    settings.PUBLIC_URL = BASE


@pytest.fixture
def chat(owner_api: APIClient) -> dict[str, Any]:
    return make(owner_api)


def make(api: APIClient, **more: Any) -> dict[str, Any]:
    body = {"name": "Chat", "redirect_uris": [CALLBACK], "for_everybody": True, **more}
    answer = api.post(APPLICATIONS, body, format="json")
    assert answer.status_code == 201, answer.content
    found: dict[str, Any] = answer.json()
    return found


def authorize(api: APIClient, application: dict[str, Any], **change: str | None) -> Any:
    asked: dict[str, str | None] = {
        "response_type": "code",
        "client_id": application["id"],
        "redirect_uri": application["redirect_uris"][0],
        "scope": SCOPE,
        "state": "s t&a",
        "nonce": "n-1",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **change,
    }
    return api.get("/oauth/authorize", {name: text for name, text in asked.items() if text is not None})


def said(answer: Any) -> dict[str, str]:
    """The query of where an answer leads."""
    assert answer.status_code == 303, answer.content
    return {name: texts[0] for name, texts in parse_qs(urlsplit(answer["Location"]).query).items()}


def code_for(api: APIClient, application: dict[str, Any], **change: str | None) -> str:
    answer = authorize(api, application, **change)
    assert answer["Location"].startswith(application["redirect_uris"][0]), answer["Location"]
    return said(answer)["code"]


def redeem(application: dict[str, Any], code: str, /, **change: str | None) -> Any:
    form: dict[str, str | None] = {
        "grant_type": "authorization_code",
        "client_id": application["id"],
        "client_secret": application["client_secret"] or None,
        "code": code,
        "redirect_uri": application["redirect_uris"][0],
        "code_verifier": VERIFIER,
        **change,
    }
    return ask({name: text for name, text in form.items() if text is not None})


def refresh(application: dict[str, Any], token: str, **change: str) -> Any:
    form = {"grant_type": "refresh_token", "client_id": application["id"], "refresh_token": token, **change}
    return ask({"client_secret": application["client_secret"]} | form)


def who(token: str) -> Any:
    return with_key(token).get("/oauth/userinfo")


def tokens_for(api: APIClient, application: dict[str, Any], **change: str | None) -> dict[str, Any]:
    answer = redeem(application, code_for(api, application, **change))
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def actions(tenant: Tenant) -> list[str]:
    found = AuditRecord.objects.filter(chain=tenant.pk.hex, action__startswith="application.").order_by("seq")
    return list(found.values_list("action", flat=True))


def test_a_person_is_let_in_without_a_question_and_the_application_told_who_they_are(
    chat: dict[str, Any], member: Person, member_api: APIClient, owner: Person, anonymous_api: APIClient
) -> None:
    answer = authorize(member_api, chat)
    back = said(answer)
    assert answer["Location"].startswith(f"{CALLBACK}?")
    assert (back["state"], back["iss"]) == ("s t&a", BASE)
    assert answer["Cache-Control"].startswith("max-age=0")
    given = redeem(chat, back["code"])
    assert given["Cache-Control"] == "no-store"
    token = given.json()
    assert (token["token_type"], token["expires_in"], token["scope"]) == ("Bearer", 600, SCOPE)
    configuration = anonymous_api.get("/.well-known/openid-configuration").json()
    keys = anonymous_api.get(urlsplit(configuration["jwks_uri"]).path).json()["keys"]
    assert configuration["id_token_signing_alg_values_supported"] == ["RS256", "ES256"]
    key = next(each for each in keys if each["kid"] == jwt.get_unverified_header(token["id_token"])["kid"])
    claims = jwt.decode(token["id_token"], jwt.PyJWK(key), algorithms=["RS256"], audience=chat["id"], issuer=BASE)
    told = {
        "sub": str(member.user.pk),
        "email": member.email,
        "name": member.email,
        "preferred_username": member.email,
        "groups": [],
        "roles": ["member"],
        "tenant": "acme",
    }
    assert told.items() <= claims.items()
    assert claims["nonce"] == "n-1"
    assert abs(claims["auth_time"] - time.time()) < 3600
    half = hashlib.sha256(token["access_token"].encode()).digest()[:16]
    assert claims["at_hash"] == base64.urlsafe_b64encode(half).rstrip(b"=").decode()
    assert who(token["access_token"]).json() == told
    # It says who somebody is, and opens nothing here.
    assert with_key(token["access_token"]).get("/api/v1/me").status_code == 401
    assert actions(owner.tenant) == ["application.create", "application.log_in"]
    with tenant_scope(owner.tenant):
        kept = Application.objects.get()
        texts = [kept.secret_hash, AuthorizationCode.objects.get().code_hash, RefreshToken.objects.get().token_hash]
        assert kept.used_at is not None
    secrets = [chat["client_secret"], back["code"], token["refresh_token"]]
    assert texts == [hashlib.sha256(each.encode()).hexdigest() for each in secrets]


def test_an_application_chooses_by_what_its_id_tokens_are_signed(
    owner_api: APIClient, member_api: APIClient, anonymous_api: APIClient
) -> None:
    """As joserfc reads them, which asks the key set for the key and takes the algorithm that it was told alone."""
    application = make(owner_api)
    shown = f"{APPLICATIONS}/{application['id']}"
    for algorithm, other in (("RS256", "ES256"), ("ES256", "RS256")):
        change = {"id_token_signed_response_alg": algorithm}
        assert owner_api.patch(shown, change, format="json").json().items() >= change.items()
        given = tokens_for(member_api, application)
        keys = KeySet.import_key_set(anonymous_api.get("/oauth/jwks").json())
        for text in (given["id_token"], refresh(application, given["refresh_token"]).json()["id_token"]):
            assert joserfc.jwt.decode(text, keys, algorithms=[algorithm]).claims["aud"] == application["id"]
            with pytest.raises(JoseError):
                joserfc.jwt.decode(text, keys, algorithms=[other])
            assert read_hint(text, public_key_of, issuer=BASE) is not None
        # What the application passes on is ours to read, whatever it chose.
        assert jwt.get_unverified_header(given["access_token"])["alg"] == "ES256"
        assert who(given["access_token"]).status_code == 200
    assert owner_api.patch(shown, {"id_token_signed_response_alg": "none"}, format="json").status_code == 400


def test_no_key_is_good_for_another_algorithm_than_its_own(chat: dict[str, Any], member_api: APIClient) -> None:
    said = jwt.decode(tokens_for(member_api, chat)["id_token"], options={"verify_signature": False})
    of_rsa, of_curve = ensure_signing_key("RS256"), ensure_signing_key("ES256")
    for signing, named in ((of_rsa, of_curve), (of_curve, of_rsa)):
        for kid, good in ((signing.kid, True), (named.kid, False)):
            text = jwt.encode(said, private_half(signing), signing.algorithm, headers={"kid": kid})
            assert (read_hint(text, public_key_of, issuer=BASE) is not None) == good


def test_what_an_application_is_told_is_what_it_asked_for(chat: dict[str, Any], member_api: APIClient) -> None:
    token = tokens_for(member_api, chat, scope="openid", nonce=None)
    assert "refresh_token" not in token
    assert who(token["access_token"]).json().keys() == {"sub", "tenant"}
    assert "nonce" not in jwt.decode(token["id_token"], options={"verify_signature": False})
    narrow = refresh(chat, tokens_for(member_api, chat)["refresh_token"], scope="openid email").json()
    assert who(narrow["access_token"]).json().keys() == {"sub", "tenant", "email"}
    wider = refresh(chat, narrow["refresh_token"], scope="openid key.view")
    assert (wider.status_code, wider.json()["error"]) == (400, "invalid_scope")
    assert refresh(chat, narrow["refresh_token"]).json()["scope"] == SCOPE


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": '"\\'}, "unsupported_response_type"),
        ({"response_type": None}, "invalid_request"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"scope": "openid key.view"}, "invalid_scope"),
        ({"request": "ey.ey.ey"}, "request_not_supported"),
        ({"request_uri": "https://x.example"}, "request_uri_not_supported"),
        ({"nonce": "n" * 501}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "none", "max_age": "0"}, "login_required"),
        ({"prompt": "none", "id_token_hint": "ey.ey.ey"}, "login_required"),
    ],
)
def test_what_is_wrong_with_a_request_is_told_to_its_application(
    chat: dict[str, Any], member_api: APIClient, change: dict[str, str | None], error: str
) -> None:
    back = said(authorize(member_api, chat, **change))
    assert (back["error"], back["state"], back["iss"]) == (error, "s t&a", BASE)
    assert "code" not in back


@pytest.mark.parametrize(
    "redirect_uri",
    [
        f"{CALLBACK}/",
        f"{CALLBACK}#x",
        f"{CALLBACK}?x=1",
        CALLBACK.replace("chat", "Chat"),
        CALLBACK.replace("https", "http"),
        CALLBACK.replace("/oauth", "/x/../oauth"),
        CALLBACK.replace("acme.example", "acme.example:443"),
        CALLBACK.replace("https://", "https://chat.acme.example@evil.example/"),
        "https://evil.example",
        "javascript:alert(1)",
        "",
        None,
    ],
)
def test_nobody_is_led_to_an_address_that_is_not_registered_letter_by_letter(
    chat: dict[str, Any], member_api: APIClient, redirect_uri: str | None
) -> None:
    answer = authorize(member_api, chat, redirect_uri=redirect_uri)
    assert answer["Location"] == "/log-in-problem?why=redirect_address"


def test_a_request_of_nobody_known_leads_nowhere_else(
    chat: dict[str, Any], member_api: APIClient, owner_api: APIClient
) -> None:
    for client in ("", "x", "0" * 32, chat["id"].upper(), chat["id"].replace("-", "")):
        assert authorize(member_api, chat, client_id=client)["Location"] == "/log-in-problem?why=unknown_application"
    twice = urlencode([("client_id", chat["id"]), ("redirect_uri", CALLBACK), ("state", "a"), ("state", "b")])
    assert member_api.get(f"/oauth/authorize?{twice}")["Location"] == "/log-in-problem?why=bad_request"
    for change in ({"state": "x" * 2000}, {"state": "\0"}):
        assert authorize(member_api, chat, **change)["Location"] == "/log-in-problem?why=bad_request"
    owner_api.patch(f"{APPLICATIONS}/{chat['id']}", {"enabled": False}, format="json")
    assert authorize(member_api, chat)["Location"] == "/log-in-problem?why=unknown_application"


def test_a_post_is_led_back_by_get_with_the_cookie_that_it_lacked(chat: dict[str, Any]) -> None:
    form = {"client_id": chat["id"], "redirect_uri": CALLBACK, "scope": "openid"}
    answer = APIClient(enforce_csrf_checks=True).post("/oauth/authorize", form, format="multipart")
    assert answer["Location"].startswith(f"{BASE}/oauth/authorize?client_id={chat['id']}")


def test_whoever_is_not_logged_in_logs_in_first_and_comes_back(
    chat: dict[str, Any], member: Person, anonymous_api: APIClient
) -> None:
    assert said(authorize(anonymous_api, chat, prompt="none"))["error"] == "login_required"
    answer = authorize(anonymous_api, chat)
    assert answer["Location"].startswith("/login?")
    address = said(answer)["next"]
    logged = anonymous_api.post("/api/v1/session", {"email": member.email, "password": PASSWORD}, format="json")
    assert logged.status_code == 200
    assert "code" in said(anonymous_api.get(address))


def test_an_application_can_ask_for_a_log_in_that_is_new(chat: dict[str, Any], member: Person) -> None:
    api = logged_in(member)
    age(api, 100)
    assert "code" in said(authorize(api, chat, max_age="1000"))
    for change in ({"prompt": "login"}, {"prompt": "select_account"}, {"max_age": "10"}, {"max_age": "0"}):
        asked = said(authorize(api, chat, **change))
        assert asked["again"] == "1"
        # Coming back without a log-in is not enough.
        assert said(api.get(asked["next"])) == asked
        age(api, -2)
        assert "code" in said(api.get(asked["next"]))
        age(api, 100)
    # When it was asked for is what we said, not what somebody wrote; and not long ago.
    for since in ("0", "0:0", f"0:1{'x' * 43}", TimestampSigner(salt="other").sign("0")):
        assert said(authorize(api, chat, prompt="login", since=since))["again"] == "1"
    age(api, 0)
    long_ago = Earlier(salt="oauth.since").sign(str(int(time.time() - 1000)))
    assert said(authorize(api, chat, prompt="login", since=long_ago))["again"] == "1"


class Earlier(TimestampSigner):
    def timestamp(self) -> str:
        return str(b62_encode(int(time.time() - 1000)))


def age(api: APIClient, seconds: float) -> None:
    """As if the session had begun so long ago."""
    session: Any = api.session
    remember(session, LogIn("password", "", time.time() - seconds))
    session.save()


def test_a_code_that_is_shown_again_ends_what_came_of_it(
    chat: dict[str, Any], member_api: APIClient, owner: Person
) -> None:
    code = code_for(member_api, chat)
    token = redeem(chat, code).json()
    assert who(token["access_token"]).status_code == 200
    again = redeem(chat, code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert who(token["access_token"]).status_code == 401
    assert refresh(chat, token["refresh_token"]).json()["error"] == "invalid_grant"
    assert redeem(chat, code).json()["error"] == "invalid_grant"
    found = AuditRecord.objects.filter(chain=owner.tenant.pk.hex, action="application.revoke_tokens").get()
    assert found.actor_id == "oauth"


def test_a_refresh_token_counts_once_and_ends_its_family_when_it_is_shown_again(
    chat: dict[str, Any], member_api: APIClient, owner: Person
) -> None:
    first = tokens_for(member_api, chat)
    second = refresh(chat, first["refresh_token"]).json()
    third = refresh(chat, second["refresh_token"]).json()
    claims = [jwt.decode(each["id_token"], options={"verify_signature": False}) for each in (first, third)]
    assert claims[0]["auth_time"] == claims[1]["auth_time"]
    assert "nonce" not in claims[1]
    assert who(third["access_token"]).status_code == 200
    other = tokens_for(member_api, chat)
    assert refresh(chat, first["refresh_token"]).json()["error"] == "invalid_grant"
    # Whoever has the newest has it no more, and neither have those who ask with what was given before.
    assert refresh(chat, third["refresh_token"]).json()["error"] == "invalid_grant"
    assert [who(each["access_token"]).status_code for each in (first, second, third)] == [401, 401, 401]
    assert who(other["access_token"]).status_code == 200
    assert actions(owner.tenant).count("application.revoke_tokens") == 1
    with tenant_scope(owner.tenant):
        assert TokenFamily.objects.filter(revoked_because="refresh_token_reused").count() == 1


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"code_verifier": None}, 400, "invalid_request"),
        ({"code_verifier": VERIFIER[::-1]}, 400, "invalid_grant"),
        ({"code_verifier": CHALLENGE}, 400, "invalid_grant"),
        ({"redirect_uri": f"{CALLBACK}/"}, 400, "invalid_grant"),
        ({"redirect_uri": None}, 400, "invalid_grant"),
        ({"client_secret": "x"}, 401, "invalid_client"),
        ({"client_secret": None}, 401, "invalid_client"),
        ({"client_id": "x"}, 401, "invalid_client"),
        ({"client_id": None}, 401, "invalid_client"),
        ({"code": "x"}, 400, "invalid_grant"),
        ({"code": None}, 400, "invalid_request"),
    ],
)
def test_a_code_is_good_for_nobody_else(
    chat: dict[str, Any], member_api: APIClient, change: dict[str, str | None], status: int, error: str
) -> None:
    code = code_for(member_api, chat)
    answer = redeem(chat, code, **change)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert "access_token" not in answer.json()
    assert redeem(chat, code).status_code == 200


def test_no_application_uses_what_another_was_given(
    chat: dict[str, Any], member_api: APIClient, owner_api: APIClient, stranger_api: APIClient, owner: Person
) -> None:
    others = [make(owner_api, name="Graphs"), make(stranger_api), make(owner_api, name="Phone", public=True)]
    code, token = code_for(member_api, chat), tokens_for(member_api, chat)
    for other in others:
        assert redeem(other, code).json()["error"] == "invalid_grant"
        assert refresh(other, token["refresh_token"]).json()["error"] in {"invalid_grant", "invalid_client"}
    assert redeem(chat, code).status_code == 200
    assert refresh(chat, token["refresh_token"]).status_code == 200
    assert "application.revoke_tokens" not in actions(owner.tenant)


def test_a_public_application_has_no_secret_and_shows_none(owner_api: APIClient, member_api: APIClient) -> None:
    phone = make(owner_api, name="Phone", public=True, redirect_uris=["com.example.phone:/callback"])
    assert (phone["client_secret"], phone["secret_made_at"]) == ("", None)
    code = code_for(member_api, phone)
    assert redeem(phone, code, client_secret="x").status_code == 401
    assert redeem(phone, code, code_verifier=None).json()["error"] == "invalid_request"
    assert redeem(phone, code).status_code == 200
    assert owner_api.post(f"{APPLICATIONS}/{phone['id']}/rotate").status_code == 409


def test_a_code_counts_for_a_minute_and_what_is_over_is_removed(
    chat: dict[str, Any], member_api: APIClient, owner: Person
) -> None:
    code, token = code_for(member_api, chat), tokens_for(member_api, chat)
    past = timezone.now() - datetime.timedelta(seconds=1)
    with tenant_scope(owner.tenant):
        AuthorizationCode.objects.update(expires_at=past)
        TokenFamily.objects.update(expires_at=past)
    assert redeem(chat, code).json()["error"] == "invalid_grant"
    assert refresh(chat, token["refresh_token"]).json()["error"] == "invalid_grant"
    sweep_tokens()
    with tenant_scope(owner.tenant):
        assert (AuthorizationCode.objects.count(), TokenFamily.objects.count()) == (2, 1)
        AuthorizationCode.objects.update(expires_at=past - datetime.timedelta(days=1))
        TokenFamily.objects.update(expires_at=past - datetime.timedelta(days=1))
    sweep_tokens()
    with tenant_scope(owner.tenant):
        left = [each.objects.count() for each in (AuthorizationCode, TokenFamily, RefreshToken)]
        assert left == [0, 0, 0]


def _suspend_membership(member: Person, owner_api: APIClient, chat: dict[str, Any]) -> None:
    with tenant_scope(member.tenant):
        Membership.objects.filter(user=member.user).update(state="suspended")


def _deactivate(member: Person, owner_api: APIClient, chat: dict[str, Any]) -> None:
    User.objects.filter(pk=member.user.pk).update(is_active=False)


def _suspend_tenant(member: Person, owner_api: APIClient, chat: dict[str, Any]) -> None:
    Tenant.objects.filter(pk=member.tenant.pk).update(suspended_at=timezone.now())


def _disable_application(member: Person, owner_api: APIClient, chat: dict[str, Any]) -> None:
    assert owner_api.patch(f"{APPLICATIONS}/{chat['id']}", {"enabled": False}, format="json").status_code == 200


def _delete_application(member: Person, owner_api: APIClient, chat: dict[str, Any]) -> None:
    assert owner_api.delete(f"{APPLICATIONS}/{chat['id']}").status_code == 204


def _leave_to_owners(member: Person, owner_api: APIClient, chat: dict[str, Any]) -> None:
    body = {"for_everybody": False, "roles": ["owner"]}
    assert owner_api.patch(f"{APPLICATIONS}/{chat['id']}", body, format="json").status_code == 200


def _log_out(member: Person, owner_api: APIClient, chat: dict[str, Any]) -> None:
    UserSession.objects.filter(user=member.user).delete()


def _demand_single_sign_on(member: Person, owner_api: APIClient, chat: dict[str, Any]) -> None:
    Tenant.objects.filter(pk=member.tenant.pk).update(sso_enforced=True)


@pytest.mark.parametrize(
    "switch_off",
    [
        _suspend_membership, _deactivate, _suspend_tenant, _disable_application, _delete_application, _leave_to_owners,
        _log_out, _demand_single_sign_on,
    ],
)  # fmt: skip
def test_whoever_may_not_any_more_gets_no_token_and_is_nobody_from_then_on(
    chat: dict[str, Any], member: Person, member_api: APIClient, owner_api: APIClient, switch_off: Any
) -> None:
    code, token = code_for(member_api, chat), tokens_for(member_api, chat)
    switch_off(member, owner_api, chat)
    exchanged = redeem(chat, code)
    assert exchanged.json()["error"] in {"invalid_grant", "invalid_client"}
    assert refresh(chat, token["refresh_token"]).json()["error"] in {"invalid_grant", "invalid_client"}
    assert who(token["access_token"]).status_code == 401


def test_roles_and_teams_say_who_may_use_an_application(
    owner: Person, owner_api: APIClient, member: Person, member_api: APIClient, viewer: Person
) -> None:
    team = create_team(acting=owner.acting, slug="night", name="Night shift")
    graphs = make(owner_api, name="Graphs", for_everybody=False, roles=["viewer"], teams=["night"])
    assert (graphs["roles"], graphs["teams"]) == (["viewer"], ["night"])
    assert who(tokens_for(logged_in(viewer), graphs)["access_token"]).json()["roles"] == ["viewer"]
    assert said(authorize(member_api, graphs))["error"] == "access_denied"
    assert said(authorize(owner_api, graphs, prompt="none"))["error"] == "access_denied"
    with tenant_scope(owner.tenant):
        membership = Membership.objects.get(user=member.user).pk
    joined = owner_api.post(f"/api/v1/teams/{team.pk}/members", {"member": str(membership)}, format="json")
    assert joined.status_code == 201
    assert who(tokens_for(member_api, graphs)["access_token"]).json()["groups"] == ["night"]
    refused = AuditRecord.objects.filter(chain=owner.tenant.pk.hex, action="application.refuse").order_by("seq")
    assert [(each.outcome, each.actor_id) for each in refused] == [
        ("refused", member.user.pk.hex),
        ("refused", owner.user.pk.hex),
    ]
    # With the team its members' way in is gone.
    assert owner_api.delete(f"/api/v1/teams/{team.pk}").status_code == 204
    assert said(authorize(member_api, graphs))["error"] == "access_denied"


def test_nobody_of_another_tenant_is_let_in_and_who_is_in_both_is_told_of_as_here(
    chat: dict[str, Any], stranger: Person, stranger_api: APIClient, owner: Person
) -> None:
    assert said(authorize(stranger_api, chat))["error"] == "access_denied"
    assert actions(owner.tenant)[-1] == "application.refuse"
    add_member(acting=SYSTEM, tenant=owner.tenant, user=stranger.user, role="viewer")
    # Their session goes on acting in the other tenant.
    told = who(tokens_for(stranger_api, chat)["access_token"]).json()
    assert (told["tenant"], told["roles"]) == ("acme", ["viewer"])
    assert stranger_api.get("/api/v1/session").json()["tenant"]["slug"] == "strangers"
    theirs = make(stranger_api, name="Theirs")
    elsewhere = who(tokens_for(stranger_api, theirs)["access_token"]).json()
    assert (elsewhere["tenant"], elsewhere["sub"]) == ("strangers", told["sub"])


def test_a_session_that_the_tenant_does_not_take_is_led_to_one_that_it_does(
    chat: dict[str, Any], member_api: APIClient, owner: Person
) -> None:
    Tenant.objects.filter(pk=owner.tenant.pk).update(sso_enforced=True)
    assert said(authorize(member_api, chat, prompt="none"))["error"] == "interaction_required"
    answer = authorize(member_api, chat)
    assert answer["Location"].startswith("/log-in/acme?")
    assert said(answer)["next"].startswith("/oauth/authorize?")
    Tenant.objects.filter(pk=owner.tenant.pk).update(sso_enforced=False, factor_required_at=timezone.now())
    assert said(authorize(member_api, chat, prompt="none"))["error"] == "interaction_required"
    assert authorize(member_api, chat)["Location"] == "/account"


def test_a_token_that_was_made_elsewhere_or_for_something_else_says_nobody(
    chat: dict[str, Any], member_api: APIClient, anonymous_api: APIClient
) -> None:
    token = tokens_for(member_api, chat)
    good = token["access_token"]
    signing = SigningKey.objects.get(algorithm="ES256")
    claims = jwt.decode(good, options={"verify_signature": False})
    private, header = private_half(signing), {"kid": signing.kid, "typ": "at+jwt"}

    def made(change: dict[str, Any], key: Any = private, algorithm: str = "ES256", **head: Any) -> str:
        kept = {name: value for name, value in (claims | change).items() if value is not None}
        return jwt.encode(kept, key, algorithm, headers=header | head)

    assert who(made({})).status_code == 200
    forged = [
        made({}, "", "none"),
        made({}, signing.public.replace("PUBLIC KEY", "SECRET")[:60], "HS256"),
        made({}, typ="JWT"),
        made({}, kid="other"),
        made({"aud": "ollamamax"}),
        made({"iss": "https://other.example"}),
        made({"exp": time.time() - 1}),
        made({"exp": None}),
        made({"sid": "0" * 32}),
        made({"sid": None}),
        made({"sub": "0" * 32}),
        token["id_token"],
        token["refresh_token"],
        "x" * 5000,
    ]
    answers = [who(each) for each in forged]
    assert [each.status_code for each in answers] == [401] * len(forged)
    assert {each["WWW-Authenticate"] for each in answers} == {'Bearer realm="OllamaMax", error="invalid_token"'}
    assert "error" not in anonymous_api.get("/oauth/userinfo")["WWW-Authenticate"]


def test_an_application_logs_its_person_out_and_nobody_else(
    owner_api: APIClient, member: Person, viewer: Person
) -> None:
    after = "https://chat.acme.example/goodbye"
    chat = make(owner_api, log_out_uris=[after])
    api, other = logged_in(member), logged_in(viewer)
    token = tokens_for(api, chat)
    hint = token["id_token"]

    def end(client: APIClient, **given: str) -> str:
        return str(client.get("/oauth/end-session", given)["Location"])

    def is_in(client: APIClient) -> bool:
        return bool(client.get("/api/v1/session").json()["authenticated"])

    for wrong in (f"{after}/", f"{after}#x", "https://evil.example", CALLBACK):
        assert end(api, id_token_hint=hint, post_logout_redirect_uri=wrong) == "/log-in-problem?why=redirect_address"
    assert end(api, post_logout_redirect_uri=after) == "/log-in-problem?why=redirect_address"
    claims = jwt.decode(hint, options={"verify_signature": False})
    unsigned = jwt.encode(claims, "", "none", headers={"kid": ensure_signing_key().kid})
    for given in ({}, {"id_token_hint": "x"}, {"id_token_hint": unsigned}, {"id_token_hint": token["access_token"]}):
        assert end(api, **given).startswith("/log-out?")
    assert end(other, id_token_hint=hint).startswith("/log-out?")
    assert end(api, id_token_hint=hint, client_id=str(member.tenant.pk)).startswith("/log-out?")
    assert [is_in(each) for each in (api, other)] == [True, True]
    assert end(api, id_token_hint=hint, post_logout_redirect_uri=after, state="a b") == f"{after}?state=a+b"
    assert not is_in(api)
    assert who(token["access_token"]).status_code == 401
    assert end(api, client_id=chat["id"], post_logout_redirect_uri=after) == after
    assert end(api) == "/login"


@pytest.mark.parametrize(
    "change",
    [
        {"name": " "},
        {"redirect_uris": []},
        {"redirect_uris": ["http://chat.acme.example/"]},
        {"redirect_uris": ["https://*.acme.example/"]},
        {"redirect_uris": [f"{CALLBACK}#x"]},
        {"redirect_uris": ["https://user@acme.example/"]},
        {"redirect_uris": ["javascript:alert(1)"]},
        {"redirect_uris": ["com.example.phone:/callback"]},
        {"redirect_uris": ["/callback"]},
        {"redirect_uris": ["https://acme.example/a b"]},
        {"redirect_uris": ["https://acme.example/\u0000"]},
        {"redirect_uris": ["https://acme.example:0/"]},
        {"redirect_uris": ["https://[acme/"]},
        {"redirect_uris": ["https://acme.example/" + "x" * 500]},
        {"redirect_uris": [f"{CALLBACK}/{each}" for each in range(21)]},
        {"redirect_uris": CALLBACK},
        {"log_out_uris": ["data:text/html,x"]},
        {"roles": ["nobody"]},
        {"teams": ["of-strangers"]},
        {"roles": [str(each) for each in range(101)]},
    ],
    ids=str,
)
def test_an_application_that_leads_anywhere_else_is_not_registered(
    owner_api: APIClient, stranger: Person, settings: Any, change: dict[str, Any]
) -> None:
    settings.PUBLIC_URL = "https://ai.acme.example"
    create_team(acting=stranger.acting, slug="of-strangers", name="x")
    answer = owner_api.post(APPLICATIONS, {"name": "Chat", "redirect_uris": [CALLBACK]} | change, format="json")
    assert answer.status_code == 400, answer.content
    assert owner_api.get(APPLICATIONS).json()["results"] == []
    own = ["http://127.0.0.1:3000/callback", "http://localhost/x", "http://[::1]:80/"]
    assert make(owner_api, redirect_uris=own)["redirect_uris"] == own


def test_an_applications_secret_is_shown_once_and_its_changes_told(
    chat: dict[str, Any], owner: Person, owner_api: APIClient, member_api: APIClient
) -> None:
    one = f"{APPLICATIONS}/{chat['id']}"
    assert "client_secret" not in owner_api.get(one).json()
    assert owner_api.post(APPLICATIONS, {"name": "Chat", "redirect_uris": [CALLBACK]}, format="json").status_code == 409
    rotated = owner_api.post(f"{one}/rotate").json()
    code = code_for(member_api, chat)
    assert redeem(chat, code).status_code == 401
    assert redeem(rotated, code).status_code == 200
    changed = owner_api.patch(one, {"redirect_uris": [f"{CALLBACK}/2"], "roles": ["viewer"]}, format="json").json()
    assert (changed["redirect_uris"], changed["roles"]) == ([f"{CALLBACK}/2"], ["viewer"])
    assert authorize(member_api, chat)["Location"] == "/log-in-problem?why=redirect_address"
    assert owner_api.patch(one, {"redirect_uris": [f"{CALLBACK}/2"]}, format="json").status_code == 200
    assert owner_api.patch(one, {"public": True}, format="json").status_code == 400
    found = AuditRecord.objects.filter(chain=owner.tenant.pk.hex, action__startswith="application.c").order_by("seq")
    assert [each.action for each in found] == ["application.create", "application.change"]
    assert chat["client_secret"] not in str([each.detail for each in found])


def test_strangers_and_viewers_see_and_change_no_application(
    chat: dict[str, Any], stranger_api: APIClient, viewer_api: APIClient, anonymous_api: APIClient
) -> None:
    one = f"{APPLICATIONS}/{chat['id']}"
    assert stranger_api.get(APPLICATIONS).json()["results"] == []
    for method, address in (("get", one), ("delete", one), ("post", f"{one}/rotate")):
        assert getattr(stranger_api, method)(address).status_code == 404
        assert getattr(anonymous_api, method)(address).status_code == 401
        assert getattr(viewer_api, method)(address).status_code == 403
    assert stranger_api.patch(one, {"name": "x"}, format="json").status_code == 404


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("grant", ["code", "refresh_token"])
def test_of_many_who_show_the_same_at_once_one_gets_tokens_and_they_end(
    grant: str, member: Person, owner: Person, owner_api: APIClient
) -> None:
    chat, api = make(owner_api), logged_in(member)
    text = code_for(api, chat) if grant == "code" else tokens_for(api, chat)["refresh_token"]
    together, answers = threading.Barrier(4), []

    def show() -> None:
        try:
            together.wait()
            answers.append(redeem(chat, text) if grant == "code" else refresh(chat, text))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=show) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(each.status_code for each in answers) == [200, 400, 400, 400]
    [given] = [each.json() for each in answers if each.status_code == 200]
    assert who(given["access_token"]).status_code == 401
    assert actions(owner.tenant).count("application.revoke_tokens") == 1
