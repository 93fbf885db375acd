"""What migrations of identity did to what was there."""

from __future__ import annotations

from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import StateApps

from ollamamax.identity.database.quick_state import quick_state
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


def test_no_class_of_a_model_as_it_was_is_left_behind_by_a_migration() -> None:
    """`quick_state` makes fewer classes anew than Django does: after each migration every relation leads to the present class."""
    loader = MigrationLoader(connection)
    state = loader.project_state([])
    made = set()
    with quick_state():
        for node in (each for leaf in sorted(loader.graph.leaf_nodes()) for each in loader.graph.forwards_plan(leaf)):
            if node in made:
                continue
            made.add(node)
            assert state.apps is not None  # rendered, as it is when a migration runs
            state = loader.graph.nodes[node].mutate_state(state, preserve=False)
            for model in state.apps.get_models(include_auto_created=True):
                for field in model._meta.get_fields(include_hidden=True):
                    if field.is_relation and field.related_model is not None:
                        other = field.related_model._meta
                        assert state.apps.get_model(other.app_label, other.model_name) is field.related_model, (
                            node,
                            field,
                        )
    assert len(made) == len(loader.graph.nodes)
    again = StateApps(sorted(state.real_apps), state.models)
    assert _described(state.apps) == _described(again)


def _described(apps: StateApps) -> dict[str, list[str]]:
    return {
        model._meta.label: sorted(f"{field.name} {type(field).__name__} {field.related_model and field.related_model._meta.label}" for field in model._meta.get_fields(include_hidden=True))
        for model in apps.get_models(include_auto_created=True)
    }  # fmt: skip
