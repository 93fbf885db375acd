"""Tenants with keys, made by the product's own actions: ``python -m benchmarks.tenants`` in its environment.

Reads a JSON list of ``{"slug", "weight", "priorities"}``, writes a list of keys for each, one for each priority.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import msgspec


def make(wishes: list[dict[str, Any]]) -> list[list[str]]:
    from ollamamax.identity.actions.key import issue_key
    from ollamamax.identity.actions.member import add_member
    from ollamamax.identity.actions.tenant import change_tenant, create_tenant
    from ollamamax.identity.actions.user import create_user
    from ollamamax.identity.roles import OWNER
    from ollamamax.kernel.principal import system

    acting = system("benchmark")
    owner = create_user(acting=acting, email="owner@bench.example", password=os.urandom(18).hex())
    found = []
    for wish in wishes:
        tenant = create_tenant(acting=acting, slug=wish["slug"], name=wish["slug"])
        change_tenant(acting=acting, tenant_id=tenant.id, weight=wish["weight"])
        add_member(acting=acting, tenant=tenant, user=owner, role=OWNER)
        within = msgspec.structs.replace(acting, tenant=tenant.id.hex)
        found.append(
            [
                issue_key(acting=within, name=priority, created_by=owner.id, priority=priority)[1]
                for priority in wish["priorities"]
            ]
        )
    return found


if __name__ == "__main__":
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ollamamax.settings")
    django.setup()
    json.dump(make(json.load(sys.stdin)), sys.stdout)
