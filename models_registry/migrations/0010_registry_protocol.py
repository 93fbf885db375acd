"""Blobs that were sent to one repository, and since when a blob is needed by nobody."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("identity", "0021_no_grants_of_our_own"),
        ("models_registry", "0009_permissions_on_models"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="upload",
            name="registry_upload_unique",
        ),
        migrations.AddField(
            model_name="blob",
            name="unneeded_since",
            field=models.DateTimeField(blank=True, db_index=True, null=True),
        ),
        migrations.AddField(
            model_name="upload",
            name="repository",
            field=models.CharField(blank=True, default="", max_length=200),
        ),
        migrations.AddConstraint(
            model_name="upload",
            constraint=models.UniqueConstraint(
                fields=("tenant", "blob", "repository"),
                name="registry_upload_unique",
                violation_error_message="The tenant has sent this blob already.",
            ),
        ),
    ]
