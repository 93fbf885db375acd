"""The permission ``budget.manage`` for those system roles that run the tenant or pay for it."""

from django.db import migrations

SLUGS = ["owner", "admin", "billing"]
PERMISSION = "budget.manage"


def give(apps, schema_editor):  # type: ignore[no-untyped-def]
    for role in apps.get_model("identity", "Role")._base_manager.filter(tenant=None, slug__in=SLUGS):
        role.permissions = sorted({*role.permissions, PERMISSION})
        role.save(update_fields=["permissions"])


def take(apps, schema_editor):  # type: ignore[no-untyped-def]
    for role in apps.get_model("identity", "Role")._base_manager.filter(tenant=None, slug__in=SLUGS):
        role.permissions = sorted({*role.permissions} - {PERMISSION})
        role.save(update_fields=["permissions"])


class Migration(migrations.Migration):
    dependencies = [("identity", "0022_removed_members")]

    operations = [migrations.RunPython(give, take)]
