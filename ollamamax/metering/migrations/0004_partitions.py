"""Usage records in partitions of a week and routes in partitions of a day, by the time in their ids.

The owner's functions make and drop partitions: the user that everything runs as may call them, and may make and drop nothing
itself. What was recorded is taken over, which takes some 20 s for each million of records.
"""

import django.db.models.deletion
from django.db import migrations, models

TABLES = """
ALTER TABLE metering_usagerecord RENAME TO metering_usagerecord_before;
ALTER TABLE metering_usagerecord_before RENAME CONSTRAINT metering_usagerecord_pkey TO metering_usagerecord_before_pkey;
ALTER INDEX metering_usage_newest RENAME TO metering_usage_newest_before;

CREATE TABLE metering_usagerecord (
    received_at timestamptz NOT NULL,
    prompt_tokens bigint NOT NULL,
    completion_tokens bigint NOT NULL,
    queue_ms double precision,
    first_token_ms double precision,
    duration_ms double precision NOT NULL,
    request uuid NOT NULL,
    tenant_id uuid NOT NULL,
    key uuid NOT NULL,
    node uuid,
    attempts smallint NOT NULL,
    model varchar(400) NOT NULL,
    version varchar(71) NOT NULL,
    node_name varchar(100) NOT NULL,
    api varchar(100) NOT NULL,
    trace varchar(32) NOT NULL,
    outcome varchar(16) NOT NULL,
    error varchar(100) NOT NULL,
    priority varchar(10) NOT NULL,
    "user" varchar(256) NOT NULL DEFAULT '',
    currency varchar(3) NOT NULL DEFAULT '',
    cost numeric(20, 9),
    CONSTRAINT metering_usagerecord_pkey PRIMARY KEY (request),
    CONSTRAINT metering_usage_outcome_known
        CHECK (outcome IN ('ok', 'cancelled', 'failed', 'gateway_lost', 'node_lost', 'refused')),
    CONSTRAINT metering_usagerecord_prompt_tokens_check CHECK (prompt_tokens >= 0),
    CONSTRAINT metering_usagerecord_completion_tokens_check CHECK (completion_tokens >= 0),
    CONSTRAINT metering_usagerecord_attempts_check CHECK (attempts >= 0),
    CONSTRAINT metering_usagerecord_tenant_fk
        FOREIGN KEY (tenant_id) REFERENCES identity_tenant (id) DEFERRABLE INITIALLY DEFERRED
) PARTITION BY RANGE (request);
CREATE INDEX metering_usage_newest ON metering_usagerecord (tenant_id, received_at DESC, request DESC);
CREATE TABLE metering_usagerecord_other PARTITION OF metering_usagerecord DEFAULT;

CREATE TABLE metering_requestroute (
    request uuid NOT NULL,
    tenant_id uuid NOT NULL,
    route jsonb NOT NULL,
    CONSTRAINT metering_requestroute_pkey PRIMARY KEY (request),
    CONSTRAINT metering_requestroute_tenant_fk
        FOREIGN KEY (tenant_id) REFERENCES identity_tenant (id) DEFERRABLE INITIALLY DEFERRED
) PARTITION BY RANGE (request);
CREATE TABLE metering_requestroute_other PARTITION OF metering_requestroute DEFAULT;
"""

FUNCTIONS = """
-- The least id (a UUID of version 7) that begins at this time.
CREATE FUNCTION metering_first_id(at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT rpad(lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0'), 32, '0')::uuid
$$;

CREATE FUNCTION metering_make_partition(parent text, since timestamptz, until timestamptz) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    part text := format('%s_%s', parent, to_char(since AT TIME ZONE 'UTC', 'YYYYMMDD'));
    other text := parent || '_other';
    lowest uuid := metering_first_id(since);
    beyond uuid := metering_first_id(until);
BEGIN
    IF to_regclass(part) IS NOT NULL THEN
        RETURN 0;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', part, parent);
    -- Rows that came before their partition lie in the default one, which may then hold none of this range.
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', other);
    EXECUTE format(
        'WITH early AS (DELETE FROM %I WHERE request >= %L AND request < %L RETURNING *) INSERT INTO %I SELECT * FROM early',
        other, lowest, beyond, part
    );
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, part, lowest, beyond);
    RETURN 1;
END $$;

-- Returns how many it made: for this week and the 4 after it, for today and the 7 days after it.
CREATE FUNCTION metering_make_partitions() RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '3s' AS $$
DECLARE
    week timestamptz := date_trunc('week', now(), 'UTC');
    today timestamptz := date_trunc('day', now(), 'UTC');
    step interval;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('metering:partitions', 0));
    FOR n IN 0..4 LOOP
        step := interval '168 hours';
        made := made + metering_make_partition('metering_usagerecord', week + n * step, week + (n + 1) * step);
    END LOOP;
    FOR n IN 0..7 LOOP
        step := interval '24 hours';
        made := made + metering_make_partition('metering_requestroute', today + n * step, today + (n + 1) * step);
    END LOOP;
    RETURN made;
END $$;

-- Returns how many partitions it dropped. Neither number is taken for less than 1.
CREATE FUNCTION metering_drop_partitions(record_days integer, route_days integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '3s' AS $$
DECLARE
    found record;
    records_from timestamptz := now() - GREATEST(record_days, 1) * interval '24 hours';
    routes_from timestamptz := now() - GREATEST(route_days, 1) * interval '24 hours';
    dropped integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('metering:partitions', 0));
    FOR found IN
        SELECT child.relname AS part
        FROM (VALUES
            ('metering_usagerecord', interval '168 hours', records_from),
            ('metering_requestroute', interval '24 hours', routes_from)
        ) AS kind (parent, length, kept_from)
        JOIN pg_inherits ON inhparent = kind.parent::regclass
        JOIN pg_class child ON child.oid = inhrelid AND child.relname ~ '_[0-9]{8}$'
        WHERE to_date(right(child.relname, 8), 'YYYYMMDD')::timestamp AT TIME ZONE 'UTC' + kind.length <= kind.kept_from
    LOOP
        EXECUTE format('DROP TABLE %I', found.part);
        dropped := dropped + 1;
    END LOOP;
    DELETE FROM metering_usagerecord_other WHERE received_at < records_from;
    -- An id from beyond what partitions are made for tells no time.
    DELETE FROM metering_requestroute_other
        WHERE request < metering_first_id(routes_from) OR request >= metering_first_id(now() + interval '30 days');
    RETURN dropped;
END $$;

-- Temporary tables come last, or one named as these are would be used in their place.
DO $$ BEGIN
    EXECUTE format('ALTER FUNCTION metering_make_partitions() SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION metering_drop_partitions(integer, integer) SET search_path = %I, pg_temp', current_schema());
END $$;
REVOKE ALL ON FUNCTION metering_make_partition(text, timestamptz, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION metering_make_partitions() FROM PUBLIC;
REVOKE ALL ON FUNCTION metering_drop_partitions(integer, integer) FROM PUBLIC;
"""

TAKE_OVER = """
DO $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT DISTINCT date_trunc('week', said.at, 'UTC') AS since
        FROM metering_usagerecord_before, to_timestamp(('x' || left(request::text, 8) || substr(request::text, 10, 4))::bit(48)::bigint / 1000.0) AS said (at)
        WHERE said.at BETWEEN now() - interval '10 years' AND now()
    LOOP
        PERFORM metering_make_partition('metering_usagerecord', found.since, found.since + interval '168 hours');
    END LOOP;
    FOR found IN
        SELECT DISTINCT date_trunc('day', said.at, 'UTC') AS since
        FROM metering_usagerecord_before, to_timestamp(('x' || left(request::text, 8) || substr(request::text, 10, 4))::bit(48)::bigint / 1000.0) AS said (at)
        WHERE route IS NOT NULL AND said.at BETWEEN now() - interval '60 days' AND now()
    LOOP
        PERFORM metering_make_partition('metering_requestroute', found.since, found.since + interval '24 hours');
    END LOOP;
END $$;
SELECT metering_make_partitions();
INSERT INTO metering_usagerecord (
    request, tenant_id, key, model, version, node, node_name, api, trace, received_at, prompt_tokens, completion_tokens,
    queue_ms, first_token_ms, duration_ms, outcome, error, attempts, priority
)
SELECT
    request, tenant_id, key, model, version, node, node_name, api, trace, received_at, prompt_tokens, completion_tokens,
    queue_ms, first_token_ms, duration_ms, outcome, error, attempts, priority
FROM metering_usagerecord_before;
INSERT INTO metering_requestroute (request, tenant_id, route)
SELECT request, tenant_id, route FROM metering_usagerecord_before WHERE route IS NOT NULL AND route <> 'null';
DROP TABLE metering_usagerecord_before;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0003_node_null"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(TABLES), migrations.RunSQL(FUNCTIONS), migrations.RunSQL(TAKE_OVER)],
            state_operations=[
                migrations.AlterField(
                    model_name="usagerecord",
                    name="tenant",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="identity.tenant",
                    ),
                ),
                migrations.RemoveField(model_name="usagerecord", name="route"),
                migrations.AddField(
                    model_name="usagerecord", name="user", field=models.CharField(default="", max_length=256)
                ),
                migrations.AddField(
                    model_name="usagerecord",
                    name="cost",
                    field=models.DecimalField(decimal_places=9, max_digits=20, null=True),
                ),
                migrations.AddField(
                    model_name="usagerecord", name="currency", field=models.CharField(default="", max_length=3)
                ),
                migrations.RemoveConstraint(model_name="usagerecord", name="metering_usage_outcome_known"),
                migrations.AddConstraint(
                    model_name="usagerecord",
                    constraint=models.CheckConstraint(
                        condition=models.Q(
                            ("outcome__in", ["ok", "cancelled", "failed", "gateway_lost", "node_lost", "refused"])
                        ),
                        name="metering_usage_outcome_known",
                        violation_error_message="Not an outcome of a request.",
                    ),
                ),
                migrations.CreateModel(
                    name="RequestRoute",
                    fields=[
                        ("request", models.UUIDField(primary_key=True, serialize=False)),
                        ("route", models.JSONField()),
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
