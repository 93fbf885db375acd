"""Of which kind a rollout is: in steps, all at once, or beside what people are answered."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("models_registry", "0019_job_imported")]

    operations = [
        migrations.AddField(
            model_name="rollout",
            name="kind",
            field=models.CharField(
                choices=[("staged", "Staged"), ("blue_green", "blue-green"), ("shadow", "Shadow")],
                db_default="staged",
                default="staged",
                max_length=16,
            ),
        ),
        migrations.AddConstraint(
            model_name="rollout",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["staged", "blue_green", "shadow"])),
                name="registry_rollout_kind_known",
                violation_error_message="Not a kind of rollout.",
            ),
        ),
    ]
