"""Tenants whose deletion was asked for, and from when on they are removed. Additive: the release before goes on, and deletes none."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("identity", "0028_keys_without_secrets")]

    operations = [
        migrations.AddField(model_name="tenant", name="deletes_at", field=models.DateTimeField(null=True)),
        migrations.AddField(model_name="tenant", name="deletion_asked_at", field=models.DateTimeField(null=True)),
        migrations.AddConstraint(
            model_name="tenant",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("deletes_at", None), ("deletion_asked_at", None)),
                    models.Q(
                        ("deletes_at__gte", models.F("deletion_asked_at")),
                        ("deletion_asked_at__isnull", False),
                        ("suspended_at__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="identity_tenant_deletion_suspends",
                violation_error_message="A tenant that is to be deleted is suspended until then.",
            ),
        ),
    ]
