"""Second factors: set up by who can show that it is they, asked for at log-in, and worth nothing twice."""

from __future__ import annotations

import datetime
import time
from typing import Any

import pyotp
import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.test import APIClient

from ollamamax.audit.models import AuditRecord
from ollamamax.identity import one_time_codes, sessions
from ollamamax.identity.actions.proof import CHALLENGE, secret_of
from ollamamax.identity.actions.second_factor import begin_totp, remove_all_factors
from ollamamax.identity.models import Passkey, RecoveryCode, TotpDevice
from ollamamax.identity.queries.member import tenants_of
from ollamamax.identity.sessions import LogIn
from tests import cast
from tests.cast import PASSWORD, Person
from tests.identity.authenticator import SoftAuthenticator, encoded

pytestmark = pytest.mark.django_db
SESSION = "/api/v1/session"
ACCOUNT = "/api/v1/account"


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """One that is moved: a code counts once in its half minute."""

    class Clock:
        ahead = 0.0

        def __call__(self) -> float:
            return real() + self.ahead

    real, clock = time.time, Clock()
    for module in ("actions.pending_factor", "actions.proof", "actions.second_factor", "actions.session", "sessions"):
        monkeypatch.setattr(f"ollamamax.identity.{module}.time.time", clock)
    return clock


def send(client: APIClient, path: str, body: Any = None, method: str = "post") -> Any:
    return getattr(client, method)(path, body, format="json")


def enrol(client: APIClient, clock: Any, name: str = "Phone") -> tuple[pyotp.TOTP, list[str]]:
    begun = send(client, f"{ACCOUNT}/authenticators")
    assert begun.status_code == 201, begun.content
    program = pyotp.TOTP(begun.json()["secret"])
    path = f"{ACCOUNT}/authenticators/{begun.json()['id']}/confirm"
    done = send(client, path, {"code": program.at(clock()), "name": name})
    assert done.status_code == 200, done.content
    clock.ahead += 30
    return program, done.json()["codes"]


def add_passkey(client: APIClient, authenticator: SoftAuthenticator) -> Any:
    options = send(client, f"{ACCOUNT}/passkeys/options")
    assert options.status_code == 200, options.content
    credential = authenticator.make(options.json()["options"])
    return send(client, f"{ACCOUNT}/passkeys", {"credential": credential, "name": "Key"})


def password(client: APIClient, person: Person) -> Any:
    return send(client, SESSION, {"email": person.email, "password": PASSWORD})


def set_session(client: APIClient, log_in: LogIn) -> None:
    session: Any = client.session
    sessions.remember(session, log_in)
    session.save()


# Authenticator programs.


def test_an_authenticator_is_asked_for_from_the_next_log_in_on(
    owner: Person, owner_api: APIClient, anonymous_api: APIClient, clock: Any
) -> None:
    program, codes = enrol(owner_api, clock)
    assert len(set(codes)) == 10
    first = password(anonymous_api, owner).json()
    assert first["authenticated"] is False
    assert first["user"] is None
    assert first["factor"] == {"ways": ["totp", "recovery_code"]}
    assert anonymous_api.get("/api/v1/me").status_code == 401
    done = send(anonymous_api, f"{SESSION}/factor", {"code": program.at(clock())})
    assert done.status_code == 200, done.content
    assert (done.json()["authenticated"], done.json()["log_in"]["factor"]) == (True, "totp")
    assert done.json()["factor"] is None
    actions = AuditRecord.objects.filter(target_id=owner.user.id.hex).values_list("action", flat=True)
    assert "user.add_authenticator" in actions


def test_a_code_counts_once_and_so_does_an_older_one(owner: Person, owner_api: APIClient, clock: Any) -> None:
    program, _ = enrol(owner_api, clock)
    code, before = program.at(clock()), program.at(clock() - 30)
    for each, status in ((code, 200), (code, 401), (before, 401)):
        client = APIClient()
        password(client, owner)
        assert send(client, f"{SESSION}/factor", {"code": each}).status_code == status


def test_codes_are_slowed_when_they_are_tried(owner: Person, owner_api: APIClient, clock: Any) -> None:
    enrol(owner_api, clock)
    answers = []
    for _ in range(10):
        client = APIClient()
        password(client, owner)
        answers.append(send(client, f"{SESSION}/factor", {"code": "000000"}).status_code)
    assert answers[:8] == [401] * 8
    assert answers[8:] == [429] * 2


def test_a_recovery_code_lets_in_once(owner: Person, owner_api: APIClient, clock: Any) -> None:
    _, codes = enrol(owner_api, clock)
    for text, status in ((codes[0].upper().replace("-", " "), 200), (codes[0], 401), (codes[1], 200)):
        client = APIClient()
        password(client, owner)
        assert send(client, f"{SESSION}/factor", {"recovery_code": text}).status_code == status, text
    assert owner_api.get(f"{ACCOUNT}/factors").json()["recovery_codes"] == 8
    fresh = send(owner_api, f"{ACCOUNT}/recovery-codes").json()["codes"]
    assert len(fresh) == 10
    client = APIClient()
    password(client, owner)
    assert send(client, f"{SESSION}/factor", {"recovery_code": codes[2]}).status_code == 401


def test_nobody_gets_past_the_factor_without_the_password(owner: Person, owner_api: APIClient, clock: Any) -> None:
    program, _ = enrol(owner_api, clock)
    assert send(APIClient(), f"{SESSION}/factor", {"code": program.at(clock())}).status_code == 401
    late = APIClient()
    password(late, owner)
    clock.ahead += 301
    assert send(late, f"{SESSION}/factor", {"code": program.at(clock())}).status_code == 401


def test_a_password_that_was_changed_meanwhile_is_none_that_was_right(
    owner: Person, owner_api: APIClient, clock: Any
) -> None:
    program, _ = enrol(owner_api, clock)
    client = APIClient()
    password(client, owner)
    owner.user.set_password("another-long-password")
    owner.user.save()
    assert send(client, f"{SESSION}/factor", {"code": program.at(clock())}).status_code == 401


def test_secrets_lie_sealed(owner: Person) -> None:
    device, secret = begin_totp(user=owner.user)
    row = TotpDevice.objects.get(pk=device.pk)
    assert secret.encode() not in bytes(row.sealed_secret)
    assert secret_of(row) == secret


@given(offset=st.integers(-90, 90), after=st.integers(-3, 3))
def test_only_newer_codes_of_now_are_taken(offset: int, after: int) -> None:
    now, secret = 1_800_000_015, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
    current = now // 30
    code = pyotp.TOTP(secret).at(now + offset)
    step = one_time_codes.step_of(code, secret, now=now, after=current + after)
    of_code = (now + offset) // 30
    assert step == (of_code if abs(of_code - current) <= 1 and of_code > current + after else None)


@given(st.text(max_size=40))
def test_any_text_is_a_wrong_code_or_six_digits(text: str) -> None:
    step = one_time_codes.step_of(text, "JBSWY3DPEHPK3PXP", now=1_800_000_000, after=0)
    assert step is None or text.strip().isdigit()
    one_time_codes.hash_of_recovery_code(text)


# Passkeys.


def test_a_passkey_logs_in_after_the_password_and_alone(owner: Person, owner_api: APIClient) -> None:
    mine = SoftAuthenticator()
    made = add_passkey(owner_api, mine)
    assert made.status_code == 201, made.content
    assert len(made.json()["codes"]) == 10
    second = APIClient()
    assert password(second, owner).json()["factor"]["ways"] == ["passkey", "recovery_code"]
    options = send(second, f"{SESSION}/factor/options").json()["options"]
    assert [each["id"] for each in options["allowCredentials"]] == [encoded(mine.id)]
    done = send(second, f"{SESSION}/factor", {"credential": mine.sign(options)})
    assert done.json()["log_in"]["factor"] == "passkey"
    alone = APIClient()
    options = send(alone, f"{SESSION}/passkey/options").json()["options"]
    assert (options["allowCredentials"], options["userVerification"]) == ([], "required")
    done = send(alone, f"{SESSION}/passkey", {"credential": mine.sign(options)})
    assert done.status_code == 200, done.content
    assert done.json()["log_in"]["method"] == "passkey"
    assert Passkey.objects.get().sign_count == mine.count


def test_what_a_passkey_signed_counts_once_there_and_for_this(owner: Person, owner_api: APIClient) -> None:
    """Another challenge, another site, another key, no user who was verified, an older count, a replay."""
    mine = SoftAuthenticator()
    add_passkey(owner_api, mine)
    other, elsewhere, unverified = (
        SoftAuthenticator(id=mine.id, user=mine.user),
        SoftAuthenticator(id=mine.id, user=mine.user, key=mine.key, origin="http://evil.example"),
        SoftAuthenticator(id=mine.id, user=mine.user, key=mine.key, verifies=False),
    )
    stranger = SoftAuthenticator()
    for authenticator in (other, elsewhere, unverified, stranger):
        client = APIClient()
        options = send(client, f"{SESSION}/passkey/options").json()["options"]
        answer = send(client, f"{SESSION}/passkey", {"credential": authenticator.sign(options)})
        assert answer.status_code == 401, authenticator
    client = APIClient()
    options = send(client, f"{SESSION}/passkey/options").json()["options"]
    signed = mine.sign(options)
    assert send(APIClient(), f"{SESSION}/passkey", {"credential": signed}).status_code == 400
    assert send(client, f"{SESSION}/passkey", {"credential": signed}).status_code == 200
    assert send(client, f"{SESSION}/passkey", {"credential": signed}).status_code == 400
    # A challenge for logging in confirms nothing, and the reverse.
    options = send(owner_api, f"{SESSION}/confirm/options").json()["options"]
    assert send(owner_api, f"{SESSION}/passkey", {"credential": mine.sign(options)}).status_code == 400
    mine.count = 0
    client = APIClient()
    options = send(client, f"{SESSION}/passkey/options").json()["options"]
    assert send(client, f"{SESSION}/passkey", {"credential": mine.sign(options)}).status_code == 401


def test_a_challenge_counts_once_whatever_a_session_says(owner_api: APIClient) -> None:
    """Of requests at once each has a copy of the session; a passkey that is in several devices counts no signatures."""
    mine = SoftAuthenticator()
    add_passkey(owner_api, mine)
    options = send(owner_api, f"{SESSION}/confirm/options").json()["options"]
    mine.count = -1
    signed, copy = mine.sign(options), owner_api.session[CHALLENGE]
    answers = []
    for _ in range(2):
        session: Any = owner_api.session
        session[CHALLENGE] = copy
        session.save()
        answers.append(send(owner_api, f"{SESSION}/confirm", {"credential": signed}).status_code)
    assert answers == [204, 400]


def test_what_is_no_answer_of_a_passkey_is_refused_in_words(owner_api: APIClient) -> None:
    nonsense: list[Any] = [
        {},
        {"rawId": 1},
        {"rawId": "a", "response": {}},
        {"id": "x" * 40000},
        [1],
        "text",
        None,
        {"a": [[[]]]},
    ]
    for credential in nonsense:
        send(owner_api, f"{ACCOUNT}/passkeys/options")
        assert send(owner_api, f"{ACCOUNT}/passkeys", {"credential": credential}).status_code == 400, credential
        client = APIClient()
        send(client, f"{SESSION}/passkey/options")
        answer = send(client, f"{SESSION}/passkey", {"credential": credential})
        assert answer.status_code in {400, 401}, credential


def test_a_passkey_belongs_to_one_person(owner_api: APIClient, member_api: APIClient) -> None:
    mine = SoftAuthenticator()
    assert add_passkey(owner_api, mine).status_code == 201
    assert add_passkey(member_api, mine).status_code == 409


def test_passkeys_need_a_host_with_a_name(owner_api: APIClient) -> None:
    answer = owner_api.post(f"{ACCOUNT}/passkeys/options", HTTP_HOST="127.0.0.1")
    assert (answer.status_code, answer.json()["code"]) == (400, "unsupported")
    assert owner_api.get(f"{ACCOUNT}/factors", HTTP_HOST="127.0.0.1").json()["passkeys_work"] is False


def test_factors_are_named_and_removed_by_whose_they_are(
    owner_api: APIClient, member_api: APIClient, clock: Any
) -> None:
    enrol(owner_api, clock)
    add_passkey(owner_api, SoftAuthenticator())
    found = owner_api.get(f"{ACCOUNT}/factors").json()
    one, key = (
        f"{ACCOUNT}/authenticators/{found['authenticators'][0]['id']}",
        f"{ACCOUNT}/passkeys/{found['passkeys'][0]['id']}",
    )
    for path in (one, key):
        assert send(member_api, path, {"name": "Mine"}, "patch").status_code == 404
        assert member_api.delete(path).status_code == 404
        assert send(owner_api, path, {"name": "Work"}, "patch").status_code == 204
    assert owner_api.get(f"{ACCOUNT}/factors").json()["passkeys"][0]["name"] == "Work"
    assert owner_api.delete(one).status_code == owner_api.delete(key).status_code == 204
    assert RecoveryCode.objects.count() == 0


def test_the_operator_removes_the_factors_of_who_lost_them(owner: Person, owner_api: APIClient, clock: Any) -> None:
    enrol(owner_api, clock)
    assert remove_all_factors(acting=cast.SYSTEM, user_id=owner.user.id) == 1
    assert password(APIClient(), owner).json()["authenticated"] is True


# What a tenant asks.


def test_a_tenant_asks_for_a_factor_from_a_day_on(
    owner: Person, owner_api: APIClient, member: Person, clock: Any
) -> None:
    path = "/api/v1/tenant/sign-in"
    assert send(owner_api, path, {"factor_required": True, "days_to_enrol": 7}, "patch").status_code == 200
    client = APIClient()
    before = password(client, member).json()
    assert before["tenant"]["slug"] == "acme"
    assert before["factor_wanted"]["tenant"] == "Acme"
    clock.ahead += 7 * 86400 + 60
    # Whoever has none may set one up, and nothing else.
    client = APIClient()
    after = password(client, member).json()
    assert (after["authenticated"], after["tenant"]) == (True, None)
    assert client.get("/api/v1/keys").status_code == 403
    enrol(client, clock)
    assert client.get(SESSION).json()["tenant"]["slug"] == "acme"
    assert send(cast.logged_in(member), path, {"takes_passkeys": False}, "patch").status_code == 403


def test_a_tenant_says_whether_a_passkey_alone_will_do(owner_api: APIClient) -> None:
    mine = SoftAuthenticator()
    add_passkey(owner_api, mine)
    send(owner_api, "/api/v1/tenant/sign-in", {"takes_passkeys": False}, "patch")
    client = APIClient()
    options = send(client, f"{SESSION}/passkey/options").json()["options"]
    answer = send(client, f"{SESSION}/passkey", {"credential": mine.sign(options)})
    assert answer.status_code == 403
    assert "does not take a passkey alone" in answer.json()["detail"]


def test_who_a_provider_vouches_for_proves_no_factor_here(owner: Person, owner_api: APIClient) -> None:
    owner.tenant.factor_required_at = timezone.now() - datetime.timedelta(days=1)
    owner.tenant.save()
    assert owner_api.get(SESSION).json()["tenant"] is None
    place = tenants_of(owner.user)[0]
    assert sessions.needs_factor(LogIn("oidc", "p", time.time()), place) is None
    assert sessions.needs_factor(LogIn("password", "", time.time()), place) is not None


# Who may touch credentials.


CREDENTIALS = [
    ("post", f"{ACCOUNT}/authenticators"),
    ("post", f"{ACCOUNT}/passkeys/options"),
    ("post", f"{ACCOUNT}/passkeys"),
    ("post", f"{ACCOUNT}/recovery-codes"),
    ("post", f"{ACCOUNT}/identities"),
    ("delete", f"{ACCOUNT}/passkeys/0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234"),
    ("delete", f"{ACCOUNT}/authenticators/0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234"),
]


@pytest.mark.parametrize(("method", "path"), CREDENTIALS)
def test_who_came_by_a_provider_touches_no_credential_without_their_own(
    method: str, path: str, owner_api: APIClient
) -> None:
    """A provider that vouches for anybody it likes must not leave itself a way in."""
    for way in ("oidc", "saml", "ldap"):
        set_session(owner_api, LogIn(way, "0192f0c12d3e7f4a8b5c6d7e8f901234", time.time()))
        answer = send(owner_api, path, {}, method)
        assert (answer.status_code, answer.json()["code"]) == (403, "confirmation_needed"), way
        assert (answer.json()["ways"], answer.json()["provider"]) == (["password"], None)


def test_their_own_password_opens_it(owner_api: APIClient, clock: Any) -> None:
    set_session(owner_api, LogIn("oidc", "0192f0c12d3e7f4a8b5c6d7e8f901234", time.time()))
    assert send(owner_api, f"{SESSION}/confirm", {"password": "wrong"}).status_code == 401
    assert send(owner_api, f"{ACCOUNT}/authenticators").status_code == 403
    assert send(owner_api, f"{SESSION}/confirm", {"password": PASSWORD}).status_code == 204
    enrol(owner_api, clock)
    # It came by the provider all the same, and acts where that counts.
    assert owner_api.get(SESSION).json()["log_in"]["method"] == "oidc"
