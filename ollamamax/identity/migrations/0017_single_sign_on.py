"""Permissions on identity providers for those system roles that run a tenant or audit it, and whether a tenant asks for them."""

from django.db import migrations, models

GIVEN = {"owner": ["sso.view", "sso.manage"], "admin": ["sso.view", "sso.manage"], "auditor": ["sso.view"]}


def give(apps, schema_editor):  # type: ignore[no-untyped-def]
    for role in apps.get_model("identity", "Role")._base_manager.filter(tenant=None, slug__in=GIVEN):
        role.permissions = sorted({*role.permissions, *GIVEN[role.slug]})
        role.save(update_fields=["permissions"])


def take(apps, schema_editor):  # type: ignore[no-untyped-def]
    for role in apps.get_model("identity", "Role")._base_manager.filter(tenant=None, slug__in=GIVEN):
        role.permissions = sorted({*role.permissions}.difference(GIVEN[role.slug]))
        role.save(update_fields=["permissions"])


class Migration(migrations.Migration):
    dependencies = [("identity", "0016_webhook_manage")]

    operations = [
        migrations.RunPython(give, take),
        migrations.AddField(model_name="tenant", name="sso_enforced", field=models.BooleanField(default=False)),
    ]
