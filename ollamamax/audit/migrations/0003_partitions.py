"""Audit records in partitions of a month, with a format number and what is personal sealed; checkpoints, legal holds, subjects' keys.

The owner's functions make partitions; what drops one is for the owner alone, and wants checkpoints first. What was recorded is taken
over as it is: it keeps its hashes, and format 1. A program of the release before goes on adding records of that format.
"""

from django.db import migrations, models

import ollamamax.kernel.ids

TABLE = """
ALTER TABLE audit_auditrecord RENAME TO audit_auditrecord_before;
ALTER TABLE audit_auditrecord_before ALTER COLUMN id DROP IDENTITY;
CREATE SEQUENCE audit_auditrecord_id_seq AS bigint;
CREATE TABLE audit_auditrecord (
    id bigint NOT NULL DEFAULT nextval('audit_auditrecord_id_seq'),
    chain varchar(32) NOT NULL,
    seq bigint NOT NULL,
    at timestamptz NOT NULL,
    actor_kind varchar(16) NOT NULL,
    actor_id varchar(64) NOT NULL,
    actor_name varchar(300) NOT NULL,
    action varchar(64) NOT NULL,
    target_type varchar(64) NOT NULL,
    target_id varchar(200) NOT NULL,
    request varchar(64) NOT NULL,
    detail jsonb NOT NULL,
    prev_hash varchar(64) NOT NULL,
    hash varchar(64) NOT NULL,
    format smallint NOT NULL DEFAULT 1,
    outcome varchar(16) NOT NULL DEFAULT 'ok',
    personal jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT audit_record_seq_at_unique UNIQUE (chain, seq, at),
    CONSTRAINT audit_record_seq_positive CHECK (seq >= 1)
) PARTITION BY RANGE (at);
ALTER SEQUENCE audit_auditrecord_id_seq OWNED BY audit_auditrecord.id;
CREATE TABLE audit_auditrecord_other PARTITION OF audit_auditrecord DEFAULT;
CREATE INDEX audit_record_at ON audit_auditrecord (chain, at, seq);
CREATE INDEX audit_record_actor ON audit_auditrecord (chain, actor_id, seq);
CREATE INDEX audit_record_target ON audit_auditrecord (chain, target_id, seq);
CREATE INDEX audit_record_target_type ON audit_auditrecord (chain, target_type, seq);
-- How an action begins is asked for, which only an index in the order of bytes answers under every collation.
CREATE INDEX audit_record_action ON audit_auditrecord (chain, action varchar_pattern_ops, seq);
CREATE INDEX audit_record_request ON audit_auditrecord (request) WHERE request <> '';
ALTER TABLE audit_chainhead ADD COLUMN at timestamptz;
-- Programs that run meanwhile go on: whoever might add records to the table before may add them to this one.
DO $$
DECLARE
    who regrole;
BEGIN
    FOR who IN SELECT DISTINCT grantee::regrole FROM pg_class, aclexplode(relacl)
        WHERE pg_class.oid = 'audit_auditrecord_before'::regclass AND grantee <> 0 AND grantee <> relowner
    LOOP
        EXECUTE format('GRANT SELECT, INSERT ON audit_auditrecord TO %s', who);
        EXECUTE format('GRANT USAGE, SELECT ON SEQUENCE audit_auditrecord_id_seq TO %s', who);
    END LOOP;
END $$;
"""

FUNCTIONS = """
CREATE FUNCTION audit_guard_partition(part text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- Triggers for each row come from the whole table; TRUNCATE of a partition alone is no row's.
    EXECUTE format('CREATE TRIGGER audit_part_refuse BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()', part);
END $$;

CREATE FUNCTION audit_make_partition(since timestamptz) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    part text := format('audit_auditrecord_%s', to_char(since AT TIME ZONE 'UTC', 'YYYYMMDD'));
    beyond timestamptz := (since AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC';
    early boolean;
BEGIN
    IF to_regclass(part) IS NOT NULL THEN
        RETURN 0;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE audit_auditrecord INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', part);
    LOCK TABLE audit_auditrecord_other IN ACCESS EXCLUSIVE MODE;
    SELECT EXISTS (SELECT 1 FROM audit_auditrecord_other WHERE at >= since AND at < beyond) INTO early;
    IF early THEN
        -- Rows that came before their partition are moved, which nobody but this function may do.
        ALTER TABLE audit_auditrecord_other DISABLE TRIGGER USER;
        EXECUTE format(
            'WITH early AS (DELETE FROM audit_auditrecord_other WHERE at >= %L AND at < %L RETURNING *) INSERT INTO %I SELECT * FROM early',
            since, beyond, part
        );
        ALTER TABLE audit_auditrecord_other ENABLE TRIGGER USER;
    END IF;
    EXECUTE format('ALTER TABLE audit_auditrecord ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', part, since, beyond);
    PERFORM audit_guard_partition(part);
    RETURN 1;
END $$;

-- Returns how many it made: for this month and the 3 after it.
CREATE FUNCTION audit_make_partitions() RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '3s' AS $$
DECLARE
    made integer := 0;
    month timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('audit:partitions', 0));
    FOR n IN 0..3 LOOP
        made := made + audit_make_partition((month + n * interval '1 month') AT TIME ZONE 'UTC');
    END LOOP;
    RETURN made;
END $$;

-- For the owner alone. Refused while one chain's records in it are not covered by a checkpoint, or it is under legal hold.
CREATE FUNCTION audit_drop_partition(part text) RETURNS void LANGUAGE plpgsql SET lock_timeout = '3s' AS $$
DECLARE
    uncovered bigint;
BEGIN
    IF part !~ '^audit_auditrecord_[0-9]{8}$' THEN
        RAISE EXCEPTION '% is no partition of the audit trail', part USING ERRCODE = 'insufficient_privilege';
    END IF;
    EXECUTE format(
        'SELECT count(*) FROM (SELECT chain, max(seq) AS last FROM %I GROUP BY chain) AS held'
        ' WHERE NOT EXISTS (SELECT 1 FROM audit_checkpoint AS made WHERE made.chain = held.chain AND made.seq >= held.last)'
        ' OR EXISTS (SELECT 1 FROM audit_legalhold AS hold WHERE hold.chain = held.chain AND hold.released_at IS NULL)',
        part
    ) INTO uncovered;
    IF uncovered > 0 THEN
        RAISE EXCEPTION '% chains of the audit trail in % have no checkpoint, or are under legal hold', uncovered, part
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    EXECUTE format('DROP TABLE %I', part);
END $$;

CREATE OR REPLACE FUNCTION audit_append() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF NEW.seq = 1 AND NEW.prev_hash = repeat('0', 64) THEN
        INSERT INTO audit_chainhead (chain, seq, hash, at) VALUES (NEW.chain, NEW.seq, NEW.hash, NEW.at);
        RETURN NEW;
    END IF;
    UPDATE audit_chainhead SET seq = NEW.seq, hash = NEW.hash, at = NEW.at
        WHERE chain = NEW.chain AND seq = NEW.seq - 1 AND hash = NEW.prev_hash;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'record % does not follow the head of audit chain %', NEW.seq, NEW.chain
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;

-- Temporary tables come last, or one named as these are would be used in their place.
DO $$ BEGIN
    EXECUTE format('ALTER FUNCTION audit_append() SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION audit_make_partitions() SET search_path = %I, pg_temp', current_schema());
END $$;
REVOKE ALL ON FUNCTION audit_append() FROM PUBLIC;
REVOKE ALL ON FUNCTION audit_guard_partition(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION audit_make_partition(timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION audit_make_partitions() FROM PUBLIC;
REVOKE ALL ON FUNCTION audit_drop_partition(text) FROM PUBLIC;
"""

TAKE_OVER = """
DO $$
DECLARE
    found record;
BEGIN
    FOR found IN SELECT DISTINCT date_trunc('month', at AT TIME ZONE 'UTC') AS month FROM audit_auditrecord_before LOOP
        PERFORM audit_make_partition(found.month AT TIME ZONE 'UTC');
    END LOOP;
END $$;
SELECT audit_make_partitions();
INSERT INTO audit_auditrecord (
    id, chain, seq, at, actor_kind, actor_id, actor_name, action, target_type, target_id, request, detail, prev_hash, hash
)
SELECT id, chain, seq, at, actor_kind, actor_id, actor_name, action, target_type, target_id, request, detail, prev_hash, hash
FROM audit_auditrecord_before;
SELECT setval('audit_auditrecord_id_seq', (SELECT GREATEST(max(id), 1) FROM audit_auditrecord_before), EXISTS (SELECT 1 FROM audit_auditrecord_before));
UPDATE audit_chainhead SET at = found.at FROM audit_auditrecord_before AS found
    WHERE found.chain = audit_chainhead.chain AND found.seq = audit_chainhead.seq;
DROP TABLE audit_auditrecord_before;
"""
"""The head is moved before its own guard is there again, which a plain statement may not do."""

GUARD_OFF = "ALTER TABLE audit_chainhead DISABLE TRIGGER audit_head_refuse_direct;"
GUARD_ON = """
ALTER TABLE audit_chainhead ENABLE TRIGGER audit_head_refuse_direct;
CREATE TRIGGER audit_record_append BEFORE INSERT ON audit_auditrecord
    FOR EACH ROW EXECUTE FUNCTION audit_append();
CREATE TRIGGER audit_record_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_auditrecord
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_row_refuse BEFORE UPDATE OR DELETE ON audit_auditrecord
    FOR EACH ROW EXECUTE FUNCTION audit_refuse();
SELECT audit_guard_partition('audit_auditrecord_other');
"""

# Only rows of format 1 are records that the tables before can hold whole.
REVERSE = """
ALTER TABLE audit_auditrecord RENAME TO audit_auditrecord_after;
CREATE TABLE audit_auditrecord (
    id bigint NOT NULL PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY,
    chain varchar(32) NOT NULL,
    seq bigint NOT NULL,
    at timestamptz NOT NULL,
    actor_kind varchar(16) NOT NULL,
    actor_id varchar(64) NOT NULL,
    actor_name varchar(300) NOT NULL,
    action varchar(64) NOT NULL,
    target_type varchar(64) NOT NULL,
    target_id varchar(200) NOT NULL,
    request varchar(64) NOT NULL,
    detail jsonb NOT NULL,
    prev_hash varchar(64) NOT NULL,
    hash varchar(64) NOT NULL,
    CONSTRAINT audit_record_seq_unique UNIQUE (chain, seq),
    CONSTRAINT audit_record_seq_positive CHECK (seq >= 1)
);
INSERT INTO audit_auditrecord SELECT id, chain, seq, at, actor_kind, actor_id, actor_name, action, target_type, target_id,
    request, detail, prev_hash, hash FROM audit_auditrecord_after;
SELECT setval(pg_get_serial_sequence('audit_auditrecord', 'id'), (SELECT GREATEST(max(id), 1) FROM audit_auditrecord_after));
DROP TABLE audit_auditrecord_after;
DROP FUNCTION audit_drop_partition(text);
DROP FUNCTION audit_make_partitions();
DROP FUNCTION audit_make_partition(timestamptz);
DROP FUNCTION audit_guard_partition(text);
CREATE OR REPLACE FUNCTION audit_append() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF NEW.seq = 1 AND NEW.prev_hash = repeat('0', 64) THEN
        INSERT INTO audit_chainhead (chain, seq, hash) VALUES (NEW.chain, NEW.seq, NEW.hash);
        RETURN NEW;
    END IF;
    UPDATE audit_chainhead SET seq = NEW.seq, hash = NEW.hash
        WHERE chain = NEW.chain AND seq = NEW.seq - 1 AND hash = NEW.prev_hash;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'record % does not follow the head of audit chain %', NEW.seq, NEW.chain
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
ALTER TABLE audit_chainhead DROP COLUMN at;
CREATE TRIGGER audit_record_append BEFORE INSERT ON audit_auditrecord
    FOR EACH ROW EXECUTE FUNCTION audit_append();
CREATE TRIGGER audit_record_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_auditrecord
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_append_as_owner")]

    operations = [
        migrations.CreateModel(
            name="Checkpoint",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("chain", models.CharField(max_length=32)),
                ("seq", models.BigIntegerField()),
                ("hash", models.CharField(max_length=64)),
                ("at", models.DateTimeField()),
                ("partition", models.CharField(max_length=63)),
                ("key", models.CharField(max_length=64)),
                ("signature", models.CharField(max_length=128)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("chain", "seq"),
                        name="audit_checkpoint_unique",
                        violation_error_message="There is a checkpoint at this record already.",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="LegalHold",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("chain", models.CharField(max_length=32)),
                ("reason", models.CharField(max_length=300)),
                ("placed_at", models.DateTimeField(auto_now_add=True)),
                ("placed_by", models.CharField(max_length=64)),
                ("released_at", models.DateTimeField(null=True)),
            ],
            options={"indexes": [models.Index(fields=["chain", "-id"], name="audit_hold_chain")]},
        ),
        migrations.CreateModel(
            name="SubjectKey",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("chain", models.CharField(max_length=32)),
                ("subject", models.CharField(max_length=64)),
                ("key", models.BinaryField(null=True)),
                ("names", models.BinaryField(null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("erased_at", models.DateTimeField(null=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("erased_at", None)),
                        fields=("chain", "subject"),
                        name="audit_subject_key_unique",
                        violation_error_message="This subject has a key already.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("erased_at", None), ("key__isnull", False)),
                            models.Q(("erased_at__isnull", False), ("key", None), ("names", None)),
                            _connector="OR",
                        ),
                        name="audit_subject_key_erased",
                        violation_error_message="The key of an erased subject is destroyed.",
                    ),
                ],
            },
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(TABLE, REVERSE),
                migrations.RunSQL(FUNCTIONS, migrations.RunSQL.noop),
                migrations.RunSQL(GUARD_OFF, migrations.RunSQL.noop),
                migrations.RunSQL(TAKE_OVER, migrations.RunSQL.noop),
                migrations.RunSQL(GUARD_ON, migrations.RunSQL.noop),
            ],
            state_operations=[
                migrations.AddField("chainhead", "at", models.DateTimeField(null=True)),
                migrations.AddField("auditrecord", "format", models.SmallIntegerField(db_default=1)),
                migrations.AddField("auditrecord", "outcome", models.CharField(db_default="ok", max_length=16)),
                migrations.AddField(
                    "auditrecord",
                    "personal",
                    models.JSONField(blank=True, db_default=models.Value({}, models.JSONField())),
                ),
                migrations.RemoveConstraint("auditrecord", "audit_record_seq_unique"),
                migrations.AddConstraint(
                    "auditrecord",
                    models.UniqueConstraint(
                        fields=("chain", "seq", "at"),
                        name="audit_record_seq_at_unique",
                        violation_error_message="The audit chain already has a record with this number.",
                    ),
                ),
                migrations.AddIndex("auditrecord", models.Index(fields=["chain", "at", "seq"], name="audit_record_at")),
                migrations.AddIndex(
                    "auditrecord", models.Index(fields=["chain", "actor_id", "seq"], name="audit_record_actor")
                ),
                migrations.AddIndex(
                    "auditrecord", models.Index(fields=["chain", "target_id", "seq"], name="audit_record_target")
                ),
                migrations.AddIndex(
                    "auditrecord", models.Index(fields=["chain", "target_type", "seq"], name="audit_record_target_type")
                ),
                migrations.AddIndex(
                    "auditrecord", models.Index(fields=["chain", "action", "seq"], name="audit_record_action")
                ),
                migrations.AddIndex(
                    "auditrecord",
                    models.Index(
                        condition=models.Q(("request", ""), _negated=True),
                        fields=["request"],
                        name="audit_record_request",
                    ),
                ),
            ],
        ),
    ]
