"""What migrations of identity did to what was there."""

from __future__ import annotations

from importlib import import_module

import pytest
from django.apps import apps

from ollamamax.identity.models import Tenant
from tests.cast import make_tenant

pytestmark = pytest.mark.django_db
MIGRATION = import_module("ollamamax.identity.migrations.0003_one_tenant_is_the_operator")


def test_the_only_tenant_becomes_the_operator(tenant: Tenant) -> None:
    MIGRATION.name_operator(apps, None)
    assert Tenant.objects.get().is_operator


def test_of_several_tenants_none_becomes_it_unasked(tenant: Tenant) -> None:
    make_tenant("second")
    MIGRATION.name_operator(apps, None)
    assert not Tenant.objects.filter(is_operator=True).exists()
