"""Jobs that take bundles in, versions that came in one, and whose bundles a tenant takes."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("models_registry", "0016_blob_pieces")]

    operations = [
        migrations.AddField(
            model_name="promotionpolicy",
            name="trusted_signers",
            field=models.JSONField(db_default=[], default=list),
        ),
        migrations.AlterField(
            model_name="promotionpolicy",
            name="approvals",
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name="job",
            name="kind",
            field=models.CharField(
                choices=[
                    ("pull", "Pull"),
                    ("push", "Push"),
                    ("create", "Create"),
                    ("delete", "Delete"),
                    ("import", "Import"),
                ],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="release",
            name="origin",
            field=models.CharField(
                choices=[
                    ("published", "Published"),
                    ("pushed", "Pushed"),
                    ("copied", "Copied"),
                    ("engine", "kept by an engine"),
                    ("bundle", "from a bundle"),
                ],
                max_length=16,
            ),
        ),
        migrations.RemoveConstraint(model_name="job", name="registry_job_kind_known"),
        migrations.AddConstraint(
            model_name="job",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["pull", "push", "create", "delete", "import"])),
                name="registry_job_kind_known",
                violation_error_message="Not a kind of job.",
            ),
        ),
        migrations.RemoveConstraint(model_name="release", name="registry_release_origin_known"),
        migrations.AddConstraint(
            model_name="release",
            constraint=models.CheckConstraint(
                condition=models.Q(("origin__in", ["published", "pushed", "copied", "engine", "bundle"])),
                name="registry_release_origin_known",
                violation_error_message="Not a way by which a model gets a version.",
            ),
        ),
    ]
