"""What the records of each hour and each day sum up to, kept in step by whoever adds records; filled with those that are there."""

import django.db.models.deletion
from django.db import migrations, models

TABLE = """
-- The key is the order in which sums are read.
CREATE TABLE metering_usagesum (
    start timestamptz NOT NULL,
    requests bigint NOT NULL,
    refused bigint NOT NULL,
    failed bigint NOT NULL,
    priced bigint NOT NULL,
    tenant_id uuid NOT NULL,
    period varchar(4) NOT NULL,
    by varchar(8) NOT NULL,
    subject varchar(400) NOT NULL,
    currency varchar(3) NOT NULL,
    prompt_tokens numeric(38, 0) NOT NULL,
    completion_tokens numeric(38, 0) NOT NULL,
    cost numeric(38, 9) NOT NULL,
    CONSTRAINT metering_usagesum_pkey PRIMARY KEY (by, period, tenant_id, start, subject, currency),
    CONSTRAINT metering_usagesum_tenant_fk
        FOREIGN KEY (tenant_id) REFERENCES identity_tenant (id) DEFERRABLE INITIALLY DEFERRED
) WITH (fillfactor = 80);
"""
FILL = """
INSERT INTO metering_usagesum (
    by, period, tenant_id, start, subject, currency, requests, refused, failed, prompt_tokens, completion_tokens, priced, cost
)
SELECT
    by, period, tenant_id, date_trunc(period, received_at, 'UTC'), subject, '',
    count(node), 0, count(node) FILTER (WHERE outcome IN ('failed', 'gateway_lost', 'node_lost')),
    sum(prompt_tokens), sum(completion_tokens), 0, 0
FROM metering_usagerecord
CROSS JOIN (VALUES ('hour'), ('day')) AS periods (period)
CROSS JOIN LATERAL (
    VALUES ('all', ''), ('model', model), ('user', "user"), ('key', key::text), ('node', COALESCE(node::text, ''))
) AS subjects (by, subject)
GROUP BY 1, 2, 3, 4, 5
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
                    name="UsageSum",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "by",
                                "period",
                                "tenant_id",
                                "start",
                                "subject",
                                "currency",
                                blank=True,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("by", models.CharField(max_length=8)),
                        ("period", models.CharField(max_length=4)),
                        ("start", models.DateTimeField()),
                        ("subject", models.CharField(max_length=400)),
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
