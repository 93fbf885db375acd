"""The permission ``experiment.manage`` for those system roles that run the tenant."""

from django.db import migrations

SLUGS = ["owner", "admin"]
PERMISSION = "experiment.manage"


def give(apps, schema_editor):  # type: ignore[no-untyped-def]
    for role in apps.get_model("identity", "Role")._base_manager.filter(tenant=None, slug__in=SLUGS):
        role.permissions = sorted({*role.permissions, PERMISSION})
        role.save(update_fields=["permissions"])


def take(apps, schema_editor):  # type: ignore[no-untyped-def]
    for role in apps.get_model("identity", "Role")._base_manager.filter(tenant=None, slug__in=SLUGS):
        role.permissions = sorted({*role.permissions} - {PERMISSION})
        role.save(update_fields=["permissions"])


class Migration(migrations.Migration):
    dependencies = [("identity", "0031_prompts")]

    operations = [migrations.RunPython(give, take)]
