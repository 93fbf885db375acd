"""What each hour's records sum up to, kept in step with the records by whoever adds them; filled with those that are there."""

import django.db.models.deletion
from django.db import migrations, models

TABLE = """
-- The key is the order in which sums are read, and its columns are filled up ('' and the nil UUID) where a sum is over all.
CREATE TABLE metering_usagehour (
    hour timestamptz NOT NULL,
    requests bigint NOT NULL,
    refused bigint NOT NULL,
    failed bigint NOT NULL,
    priced bigint NOT NULL,
    tenant_id uuid NOT NULL,
    key uuid NOT NULL,
    node uuid NOT NULL,
    by varchar(8) NOT NULL,
    model varchar(400) NOT NULL,
    "user" varchar(256) NOT NULL,
    currency varchar(3) NOT NULL,
    prompt_tokens numeric(38, 0) NOT NULL,
    completion_tokens numeric(38, 0) NOT NULL,
    cost numeric(38, 9) NOT NULL,
    CONSTRAINT metering_usagehour_pkey PRIMARY KEY (by, tenant_id, hour, model, "user", key, node, currency),
    CONSTRAINT metering_usagehour_tenant_fk
        FOREIGN KEY (tenant_id) REFERENCES identity_tenant (id) DEFERRABLE INITIALLY DEFERRED
) WITH (fillfactor = 80);
"""
FILL = """
INSERT INTO metering_usagehour (
    by, tenant_id, hour, model, "user", key, node, currency,
    requests, refused, failed, prompt_tokens, completion_tokens, priced, cost
)
SELECT
    CASE GROUPING(model, "user", key, node)
        WHEN 15 THEN 'all' WHEN 7 THEN 'model' WHEN 11 THEN 'user' WHEN 13 THEN 'key' WHEN 14 THEN 'node' ELSE 'each' END,
    tenant_id, hour, COALESCE(model, ''), COALESCE("user", ''),
    COALESCE(key, '00000000-0000-0000-0000-000000000000'), COALESCE(node, '00000000-0000-0000-0000-000000000000'), '',
    count(node), 0, count(node) FILTER (WHERE outcome IN ('failed', 'gateway_lost', 'node_lost')),
    sum(prompt_tokens), sum(completion_tokens), 0, 0
FROM (SELECT *, date_trunc('hour', received_at, 'UTC') AS hour FROM metering_usagerecord) AS record
GROUP BY GROUPING SETS (
    (tenant_id, hour), (tenant_id, hour, model), (tenant_id, hour, "user"), (tenant_id, hour, key), (tenant_id, hour, node),
    (tenant_id, hour, model, "user", key, node)
)
"""


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0004_partitions"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(TABLE), migrations.RunSQL(FILL)],
            state_operations=[
                migrations.CreateModel(
                    name="UsageHour",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "by",
                                "tenant_id",
                                "hour",
                                "model",
                                "user",
                                "key",
                                "node",
                                "currency",
                                blank=True,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("by", models.CharField(max_length=8)),
                        ("hour", models.DateTimeField()),
                        ("model", models.CharField(max_length=400)),
                        ("user", models.CharField(max_length=256)),
                        ("key", models.UUIDField()),
                        ("node", models.UUIDField()),
                        ("currency", models.CharField(max_length=3)),
                        ("requests", models.BigIntegerField()),
                        ("refused", models.BigIntegerField()),
                        ("failed", models.BigIntegerField()),
                        ("prompt_tokens", models.DecimalField(decimal_places=0, max_digits=38)),
                        ("completion_tokens", models.DecimalField(decimal_places=0, max_digits=38)),
                        ("priced", models.BigIntegerField()),
                        ("cost", models.DecimalField(decimal_places=9, max_digits=38)),
                        (
                            "tenant",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="identity.tenant",
                            ),
                        ),
                    ],
                ),
            ],
        ),
    ]
