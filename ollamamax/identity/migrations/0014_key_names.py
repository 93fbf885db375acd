"""A key keeps the name of who made it, and no two keys of a tenant that are not revoked have the same name."""

from django.db import migrations, models

# Row-level security shows the rows of every tenant under this setting alone; it ends with the migration's transaction.
EVERY_TENANT = "SELECT set_config('omx.tenant', '*', true)"
NAME_MAKERS = """
UPDATE identity_apikey AS key SET created_by_name = maker.email FROM identity_user AS maker WHERE maker.id = key.created_by_id
"""
# The oldest one keeps its name. An identifier has 16 characters and belongs to one key.
RENAME_DUPLICATES = """
WITH numbered AS (
    SELECT id, row_number() OVER (PARTITION BY tenant_id, name ORDER BY created_at, id) AS number
    FROM identity_apikey WHERE revoked_at IS NULL
)
UPDATE identity_apikey AS key SET name = left(key.name, 81) || ' (' || key.identifier || ')'
FROM numbered WHERE numbered.id = key.id AND numbered.number > 1
"""


class Migration(migrations.Migration):
    dependencies = [("identity", "0013_request_manage")]

    operations = [
        migrations.AddField(
            model_name="apikey", name="created_by_name", field=models.CharField(default="", max_length=254)
        ),
        migrations.RunSQL(EVERY_TENANT, migrations.RunSQL.noop),
        migrations.RunSQL(NAME_MAKERS, migrations.RunSQL.noop),
        migrations.RunSQL(RENAME_DUPLICATES, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="apikey",
            constraint=models.UniqueConstraint(
                condition=models.Q(("revoked_at", None)),
                fields=("tenant", "name"),
                name="identity_key_name_unique",
                violation_error_message="There is a key of this name already.",
            ),
        ),
    ]
