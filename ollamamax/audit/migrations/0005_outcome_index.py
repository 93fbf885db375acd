"""What was refused or failed is found at once in a long trail, also where there is none."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audit", "0004_chains_end")]

    operations = [
        migrations.AddIndex(
            model_name="auditrecord",
            index=models.Index(
                fields=["chain", "outcome", "seq"],
                name="audit_record_outcome",
                condition=~models.Q(outcome="ok"),
            ),
        ),
    ]
