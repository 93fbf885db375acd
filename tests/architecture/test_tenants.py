"""Every tenant-owned table belongs to exactly one tenant, and cannot be read outside its scope."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db import models
from django_scopes import ScopeError

from ollamamax.identity.models import Role, Tenant
from ollamamax.identity.scope import tenant_scope

OURS = {
    "audit",
    "identity",
    "metering",
    "cluster",
    "models_registry",
    "dashboard",
    "gateway",
    "batches",
    "responses",
    "evaluations",
    "notifications",
    "sso",
    "provisioning",
    "oauth",
    "mail",
}
WITHOUT_TENANT = {
    "identity.Tenant",
    "identity.Role",  # its tenant is null for the system's own; its manager shows no other tenant's
    "identity.User",  # a person may be a member of several
    "identity.SigningKey",  # of the installation: it signs for all
    "identity.UserSession",  # of a user, who may be a member of several
    "identity.TotpDevice",  # of a user, and so are the next two
    "identity.Passkey",
    "identity.RecoveryCode",
    "identity.PasswordReset",  # of a user, or of nobody: it is not known yet
    "mail.OutgoingMail",  # to a person, who may be a member of several
    "identity.LogInCounter",  # counts before it is known who it is
    "audit.AuditRecord",  # refers to nothing; its chain names the tenant
    "audit.ChainHead",
    "audit.Checkpoint",
    "audit.LegalHold",
    "audit.SubjectKey",
    "models_registry.Blob",  # bytes, known by their digest alone; versions own them
    "models_registry.BlobPieces",  # of such bytes, and so is the next one
    "models_registry.BlobShape",
}


def owned() -> list[type[models.Model]]:
    return [
        model
        for model in apps.get_models()
        if any(field.related_model is Tenant for field in model._meta.fields) and model is not Role
    ]


def test_every_table_has_a_tenant_or_is_on_the_list() -> None:
    ours = {m._meta.label for m in apps.get_models() if m._meta.app_label in OURS}
    assert ours - {m._meta.label for m in owned()} <= WITHOUT_TENANT


@pytest.mark.parametrize("model", owned(), ids=lambda model: model._meta.label)
def test_a_tenant_owned_row_always_has_its_tenant(model: type[models.Model]) -> None:
    field = model._meta.get_field("tenant")
    assert isinstance(field, models.ForeignKey)
    assert not field.null


@pytest.mark.django_db
@pytest.mark.parametrize("model", owned(), ids=lambda model: model._meta.label)
def test_a_tenant_owned_table_is_read_in_a_scope_only(model: type[models.Model], tenant: Tenant) -> None:
    managers = model._meta.managers
    assert managers
    for manager in managers:
        with pytest.raises(ScopeError):
            manager.count()
        with pytest.raises(ScopeError):
            list(manager.all())
        with tenant_scope(tenant):
            assert manager.count() <= 1  # of nobody else


@pytest.mark.parametrize("model", owned(), ids=lambda model: model._meta.label)
def test_what_is_unique_in_a_tenant_says_so_by_name(model: type[models.Model]) -> None:
    for constraint in model._meta.constraints:
        assert constraint.name.startswith(f"{model._meta.app_label}_") or constraint.name.startswith("registry_")
        assert constraint.violation_error_message
        assert constraint.violation_error_message != constraint.default_violation_error_message, constraint.name
