"""For how long a tenant keeps prompts and to which key they are sealed; the permission ``prompt.view`` for owners alone."""

from django.db import migrations, models

PERMISSION = "prompt.view"


def give(apps, schema_editor):  # type: ignore[no-untyped-def]
    for role in apps.get_model("identity", "Role")._base_manager.filter(tenant=None, slug="owner"):
        role.permissions = sorted({*role.permissions, PERMISSION})
        role.save(update_fields=["permissions"])


def take(apps, schema_editor):  # type: ignore[no-untyped-def]
    for role in apps.get_model("identity", "Role")._base_manager.filter(tenant=None, slug="owner"):
        role.permissions = sorted({*role.permissions} - {PERMISSION})
        role.save(update_fields=["permissions"])


class Migration(migrations.Migration):
    dependencies = [("identity", "0030_signing_algorithms")]

    operations = [
        migrations.AddField(
            model_name="tenant",
            name="prompt_days",
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(model_name="tenant", name="prompt_key", field=models.BinaryField(null=True)),
        migrations.AddField(model_name="tenant", name="sealed_prompt_key", field=models.BinaryField(null=True)),
        migrations.AddConstraint(
            model_name="tenant",
            constraint=models.CheckConstraint(
                condition=models.Q(prompt_days=0)
                | models.Q(prompt_days__lte=400, prompt_key__isnull=False, sealed_prompt_key__isnull=False),
                name="identity_tenant_prompt_days",
                violation_error_message="Prompts are kept for at most 400 days.",
            ),
        ),
        migrations.RunPython(give, take),
    ]
