"""Sums of each day by a user, a key or a node together with a model; filled from the records that are there."""

from django.db import migrations, models

TABLE = """
ALTER TABLE metering_usagesum ALTER COLUMN by TYPE varchar(16);
ALTER TABLE metering_usagesum ADD COLUMN model varchar(400) NOT NULL DEFAULT '';
ALTER TABLE metering_usagesum DROP CONSTRAINT metering_usagesum_pkey;
ALTER TABLE metering_usagesum ADD CONSTRAINT metering_usagesum_pkey
    PRIMARY KEY (by, period, tenant_id, start, subject, model, currency);
"""
# Row-level security shows the rows of every tenant under this setting alone; it ends with the migration's transaction.
EVERY_TENANT = "SELECT set_config('omx.tenant', '*', true)"
FILL = """
INSERT INTO metering_usagesum (
    by, period, tenant_id, start, subject, model, currency, requests, refused, failed, prompt_tokens, completion_tokens, priced, cost
)
SELECT
    by, 'day', tenant_id, date_trunc('day', received_at, 'UTC'), subject, model, currency,
    count(node) FILTER (WHERE outcome <> 'refused'), count(*) FILTER (WHERE outcome = 'refused'),
    count(node) FILTER (WHERE outcome IN ('failed', 'gateway_lost', 'node_lost')),
    sum(prompt_tokens), sum(completion_tokens), count(cost), COALESCE(sum(cost), 0)
FROM metering_usagerecord
CROSS JOIN LATERAL (
    VALUES ('user+model', "user"), ('key+model', key::text), ('node+model', COALESCE(node::text, ''))
) AS subjects (by, subject)
GROUP BY 1, 2, 3, 4, 5, 6, 7
"""


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0006_status_metadata"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(TABLE),
                migrations.RunSQL(EVERY_TENANT),
                migrations.RunSQL(FILL),
            ],
            state_operations=[
                migrations.AlterField(model_name="usagesum", name="by", field=models.CharField(max_length=16)),
                migrations.AddField(
                    model_name="usagesum", name="model", field=models.CharField(default="", max_length=400)
                ),
                migrations.AlterField(
                    model_name="usagesum",
                    name="pk",
                    field=models.CompositePrimaryKey(
                        "by",
                        "period",
                        "tenant_id",
                        "start",
                        "subject",
                        "model",
                        "currency",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
            ],
        ),
    ]
