"""`/api/v1/budgets` and `/api/v1/prices`: who sets them, what gateways are told, and what is said of their spending."""

from __future__ import annotations

import datetime
import uuid
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import redis
from pytest_django import Settings
from rest_framework.test import APIClient

from cluster.dispatch.script import Script, arguments
from ollamamax.audit.models import AuditRecord
from ollamamax.bus import keys
from ollamamax.contract.budgets import Price
from ollamamax.contract.tables import BUDGETS
from ollamamax.identity.actions.team import add_to_team, create_team
from ollamamax.identity.directory import known_keys
from ollamamax.identity.models import Membership
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.mail.actions import place_of
from ollamamax.mail.letters import Letter
from ollamamax.mail.models import OutgoingMail
from ollamamax.mail.server import MailServer
from ollamamax.metering.actions import spending
from ollamamax.metering.actions.budget import create_budget, known_budgets
from ollamamax.metering.actions.spending import begin_of
from tests.cast import Person, logged_in, make_key, make_person
from tests.metering.records import written

pytestmark = pytest.mark.django_db
BODY = {"whose": "tenant", "unit": "tokens", "period": "month", "most": "1000"}


def test_a_budget_is_set_changed_and_deleted_and_gateways_are_told(
    owner: Person, owner_api: APIClient, valkey: redis.Redis
) -> None:
    made = owner_api.post("/api/v1/budgets", BODY, format="json")
    assert made.status_code == 201
    told = made.json()
    assert (told["most"], told["hard"], told["warn_percent"], told["used"], told["reserved"]) == (1000, True, 80, 0, 0)
    assert 0 < told["resets_in"] <= 31 * 86_400
    one = f"/api/v1/budgets/{told['id']}"
    assert owner_api.post("/api/v1/budgets", BODY, format="json").status_code == 409
    assert owner_api.patch(one, {"most": 50, "hard": False}, format="json").json()["most"] == 50
    (known,) = known_budgets()[owner.tenant.id.hex].budgets
    assert (known.id, known.most, known.hard, known.subject) == (uuid.UUID(told["id"]).hex, 50, False, "")
    assert owner_api.delete(one).status_code == 204
    assert known_budgets() == {}
    with every_tenant():
        said = list(AuditRecord.objects.filter(action__startswith="budget.").values_list("action", flat=True))
    assert sorted(said) == ["budget.change", "budget.create", "budget.delete"]


@pytest.mark.parametrize(
    "wrong",
    [
        *({"unit": "bytes"}, {"period": "year"}, {"whose": "all"}, {"most": "0"}, {"most": "-1"}, {"most": "NaN"}),
        *({"subject": str(uuid.UUID(int=1))}, {"whose": "key"}, {"warn_percent": 101}),
    ],
)
def test_what_is_no_budget_is_refused(owner_api: APIClient, wrong: dict[str, Any]) -> None:
    assert owner_api.post("/api/v1/budgets", BODY | wrong, format="json").status_code == 400


def test_a_budget_is_of_a_team_user_or_key_of_the_own_tenant(
    owner: Person, owner_api: APIClient, stranger: Person, valkey: redis.Redis
) -> None:
    team = create_team(acting=owner.acting, slug="one", name="One")
    with tenant_scope(owner.tenant):
        membership = Membership.objects.get(user=owner.user)
    key = make_key(owner)
    add_to_team(acting=owner.acting, team_id=team.id, membership_id=membership.id)
    entry = known_keys()[key.row.identifier]
    assert (entry.made_by, entry.teams) == (owner.user.id.hex, [team.id.hex])
    names = {"team": (team.id, "One"), "user": (owner.user.id, owner.email), "key": (key.row.id, key.row.name)}
    for whose, (subject, name) in names.items():
        answer = owner_api.post("/api/v1/budgets", BODY | {"whose": whose, "subject": str(subject)}, format="json")
        assert (answer.status_code, answer.json()["name"]) == (201, name)
    foreign = {"user": stranger.user.id, "key": make_key(stranger).row.id, "team": uuid.UUID(int=9)}
    for whose, subject in foreign.items():
        body = BODY | {"whose": whose, "subject": str(subject), "unit": "money"}
        assert owner_api.post("/api/v1/budgets", body, format="json").status_code == 404
    # Of what is spent of them Redis is told again what it lost: each of the right keys.
    other = make_key(owner)
    for each in (key, other):
        written(owner.tenant, key=each.row.id, prompt_tokens=30, completion_tokens=12)
    assert spending.balance() == 3
    used = {each["whose"]: each["used"] for each in owner_api.get("/api/v1/budgets").json()["results"]}
    assert used == {"team": 84, "user": 84, "key": 42}


def test_prices_are_added_and_the_newest_counts(owner: Person, owner_api: APIClient, valkey: redis.Redis) -> None:
    create_budget(acting=owner.acting, whose="tenant", unit="money", period="day", most=Decimal(5))
    for model, million in (("", "1"), ("m:1", "2"), ("m:1", "4")):
        body = {
            "model": model,
            "prompt_million": million,
            "completion_million": "8",
            "second": "0.5",
            "currency": "EUR",
        }
        assert owner_api.post("/api/v1/prices", body, format="json").status_code == 201
    assert len(owner_api.get("/api/v1/prices").json()["results"]) == 3
    known = known_budgets()[owner.tenant.id.hex]
    assert known.price_of("m:1") == Price(4e-6, 8e-6, 0.5)
    assert known.price_of("x:1") == Price(1e-6, 8e-6, 0.5)
    assert BUDGETS.decode(BUDGETS.encode(known)) == known
    cheaper = owner_api.post("/api/v1/prices", body | {"cached_million": "1"}, format="json").json()
    assert (cheaper["prompt_million"], cheaper["cached_million"]) == (4, 1)
    assert known_budgets()[owner.tenant.id.hex].price_of("m:1") == Price(4e-6, 8e-6, 0.5, 1e-6)
    for wrong in ("4.1", "-1", "x"):
        refused = owner_api.post("/api/v1/prices", body | {"cached_million": wrong}, format="json")
        assert refused.status_code == 400
        assert "cached_million" in refused.content.decode()
    assert owner_api.post("/api/v1/prices", body | {"currency": "USD"}, format="json").status_code == 409
    assert owner_api.post("/api/v1/prices", body | {"second": "-1"}, format="json").status_code == 400


def test_who_may_see_usage_sees_budgets_and_billing_sets_them(
    owner: Person, viewer_api: APIClient, stranger_api: APIClient, valkey: redis.Redis
) -> None:
    create_budget(acting=owner.acting, whose="tenant", unit="tokens", period="day", most=Decimal(5))
    assert len(viewer_api.get("/api/v1/budgets").json()["results"]) == 1
    assert viewer_api.post("/api/v1/budgets", BODY, format="json").status_code == 403
    assert stranger_api.get("/api/v1/budgets").json()["results"] == []
    billing = logged_in(make_person(owner.tenant, "money", "billing"))
    assert billing.post("/api/v1/budgets", BODY, format="json").status_code == 201


def test_what_is_noted_of_a_budget_is_in_the_audit_trail(owner: Person, valkey: redis.Redis) -> None:
    budget = create_budget(acting=owner.acting, whose="tenant", unit="tokens", period="day", most=Decimal(5))
    for what in ("warned", "refused"):
        fields: Any = {"budget": budget.id.hex, "window": 1, "what": what, "spent": "4.5"}
        valkey.xadd(keys.BUDGETS_TOLD, fields)
    gone: Any = {"budget": uuid.UUID(int=5).hex, "window": 1, "what": "spent", "spent": "1"}
    valkey.xadd(keys.BUDGETS_TOLD, gone)
    assert spending.tell() == 3
    assert spending.tell() == 0
    with every_tenant():
        said = AuditRecord.objects.filter(target_type="budget", action__in=["budget.warn", "budget.refuse"])
        assert [(each.detail["most"], each.detail["spent"]) for each in said] == [(5, 4.5), (5, 4.5)]


def test_who_may_change_budgets_is_told_by_mail_once_for_each_threshold_and_window(
    owner: Person, valkey: redis.Redis, settings: Settings
) -> None:
    settings.MAIL = MailServer("mail.example", 587, "starttls", "", "", "OllamaMax <omx@mail.example>")
    billing = make_person(owner.tenant, "money", "billing")
    make_person(owner.tenant, "reader", "viewer")
    budget = create_budget(acting=owner.acting, whose="tenant", unit="tokens", period="day", most=Decimal(5))

    def note(what: str, window: int) -> list[tuple[str, str]]:
        """What is queued after it was noted twice, as by two regions, and as after a process that was killed between telling and forgetting."""
        OutgoingMail.objects.all().delete()
        for _ in range(2):
            fields: Any = {"budget": budget.id.hex, "window": window, "what": what, "spent": "4.5"}
            valkey.xadd(keys.BUDGETS_TOLD, fields)
        assert spending.tell() == 2
        return sorted(OutgoingMail.objects.values_list("to", "kind"))

    both = sorted([owner.user.email, billing.user.email])
    assert note("warned", 20_000) == [(each, "budget_warned") for each in both]
    assert note("warned", 20_000) == []
    assert note("spent", 20_000) == [(each, "budget_spent") for each in both]
    assert note("refused", 20_000) == []
    assert note("warned", 20_001) == [(each, "budget_warned") for each in both]
    letter = msgspec.json.decode(
        settings.SECRET_BOX.open(
            bytes((row := OutgoingMail.objects.filter(to=owner.user.email).get()).letter), place_of(row.pk)
        ),
        type=Letter,
    )
    assert letter.subject == f"A budget of {owner.tenant.name} is 80 percent spent"
    assert "Of 5 tokens for the day from 2024-10-05 (UTC), the organisation has spent 4.5." in letter.text


@pytest.mark.parametrize("period", ["day", "week", "month"])
def test_postgres_and_redis_have_the_same_windows(valkey: redis.Redis, period: str) -> None:
    (answer,) = Script("balance").run_sync(valkey, arguments({"budgets": [["b", period, 1.0]]}))
    now = datetime.datetime.now(datetime.UTC)
    begin = begin_of(period, now)
    (name,) = [each.decode() for each in valkey.keys(keys.spent("b", "*"))]
    first = datetime.datetime.fromtimestamp(int(name.rpartition(":")[2]) * 86_400, datetime.UTC)
    assert first == begin
    assert float(answer[2]) > 0
