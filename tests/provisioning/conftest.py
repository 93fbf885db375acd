"""A tenant whose identity provider has a directory that tells of its people by SCIM."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from rest_framework.test import APIClient

from ollamamax.identity.models import Membership, Tenant
from ollamamax.identity.scope import tenant_scope
from ollamamax.provisioning.actions.token import issue_token
from ollamamax.provisioning.models import DirectoryUser
from ollamamax.sso.models import IdentityProvider
from tests.cast import Person
from tests.sso import conftest as sso

own_network = sso._this_machine_may_be_asked
fake, provider, at_fake = sso.fake, sso.provider, sso.at_fake

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


@dataclass
class Directory:
    """The program that tells, of one tenant's provider."""

    token: str
    tenant: Tenant
    provider: IdentityProvider

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        more: dict[str, Any] = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
        more["HTTP_AUTHORIZATION"] = f"Bearer {self.token}"
        text = "" if body is None else json.dumps(body)
        return APIClient().generic(method, f"/scim/v2{path}", text, "application/scim+json" if text else "", **more)

    def create(self, user_name: str, **more: Any) -> dict[str, Any]:
        answer = self.ask("POST", "/Users", {"schemas": [USER], "userName": user_name} | more)
        assert answer.status_code == 201, answer.content
        found: dict[str, Any] = answer.json()
        return found

    def create_group(self, name: str, *members: dict[str, Any]) -> dict[str, Any]:
        body = {"schemas": [GROUP], "displayName": name, "members": [{"value": each["id"]} for each in members]}
        answer = self.ask("POST", "/Groups", body)
        assert answer.status_code == 201, answer.content
        found: dict[str, Any] = answer.json()
        return found

    def patch(self, path: str, *operations: dict[str, Any], **headers: str) -> Any:
        return self.ask("PATCH", path, {"schemas": [PATCH], "Operations": list(operations)}, **headers)

    def row(self, user: dict[str, Any]) -> DirectoryUser:
        with tenant_scope(self.tenant):
            return DirectoryUser.objects.select_related("membership__role", "membership__user").get(pk=user["id"])

    def membership(self, email: str) -> Membership | None:
        with tenant_scope(self.tenant):
            return Membership.objects.select_related("role", "user").filter(user__email=email).first()


def directory_for(owner: Person, provider: IdentityProvider) -> Directory:
    _, text = issue_token(acting=owner.acting, provider_id=provider.pk, name="Directory")
    return Directory(text, owner.tenant, provider)


@pytest.fixture
def scim(owner: Person, provider: IdentityProvider) -> Directory:
    """Of the tenant `acme`, whose domain is acme.example, and whose provider gives everybody the role `viewer`."""
    return directory_for(owner, provider)
