"""The names that engines give their models may begin with a slash, and have @ and +."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("identity", "0006_may_join_nodes"),
        ("models_registry", "0004_job_upload"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="model",
            name="registry_model_name_form",
        ),
        migrations.AddConstraint(
            model_name="model",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("name__regex", "^/?[A-Za-z0-9_]([A-Za-z0-9._-]{0,99}:[0-9]{1,5}/)?[A-Za-z0-9._/@+-]{0,199}$")
                ),
                name="registry_model_name_form",
                violation_error_message="A model's name has up to 200 letters, digits, and . _ / @ + -; it may begin with a registry's host and port, or with a slash.",
            ),
        ),
    ]
