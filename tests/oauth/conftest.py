"""A service account of the owner's tenant, and an issuer elsewhere that can be told to lie."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import redis
from rest_framework.test import APIClient

from ollamamax.identity.actions.service_account import create_service_account
from tests.cast import Person
from tests.sso.conftest import _this_machine_may_be_asked, fake  # noqa: F401 - fixtures
from tests.sso.provider import FakeProvider

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"
SUBJECT = "repo:acme/app:ref:refs/heads/main"


@pytest.fixture
def program(owner: Person, valkey: redis.Redis) -> uuid.UUID:
    """A service account that may what a member may."""
    return create_service_account(acting=owner.acting, name="ci", role="member").id


@pytest.fixture
def workload(owner_api: APIClient, program: uuid.UUID, fake: FakeProvider) -> dict[str, Any]:  # noqa: F811
    """Trusted by the subject that the issuer names, and by a claim within another."""
    fake.claims = {"sub": SUBJECT, "aud": "ollamamax", "ci": {"env": "production"}, "nonce": None}
    body = {
        "name": "deploy",
        "service_account": str(program),
        "issuer": fake.issuer,
        "audience": "ollamamax",
        "rules": [{"claim": "sub", "pattern": "repo:acme/*"}, {"claim": "ci/env", "pattern": "production"}],
    }
    made = owner_api.post("/api/v1/workloads", body, format="json")
    assert made.status_code == 201, made.content
    found: dict[str, Any] = made.json()
    return found


def ask(form: dict[str, str], **more: Any) -> Any:
    return APIClient(enforce_csrf_checks=True).post("/oauth/token", form, format="multipart", **more)


def exchange(workload: dict[str, Any], token: str, **more: str) -> Any:
    return ask(
        {
            "grant_type": EXCHANGE,
            "client_id": workload["id"],
            "subject_token": token,
            "subject_token_type": JWT,
            **more,
        }
    )
