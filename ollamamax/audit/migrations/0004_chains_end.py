"""The owner of the tables may drop the chain of a tenant that was removed: nobody else, and no other chain.

The guards let a row go where its chain is the one that is being dropped and it is the owner who acts; the owner could always have switched them off.
"""

from django.db import migrations

FUNCTIONS = """
-- Whether this is the owner, amid `audit_drop_chain`. What runs all day may set the setting, and is not the owner.
CREATE FUNCTION audit_ends(name text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT COALESCE(current_setting('omx.chain_ends', true), '') <> ''
        AND (name IS NULL OR name = current_setting('omx.chain_ends', true))
        AND pg_has_role(current_user, (SELECT relowner FROM pg_class WHERE oid = 'audit_auditrecord'::regclass), 'USAGE')
$$;

CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF TG_LEVEL = 'STATEMENT' THEN
            IF audit_ends(NULL) THEN
                RETURN NULL;
            END IF;
        ELSIF audit_ends(OLD.chain) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit trail can only be added to: % of % refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;

-- For the owner alone. Returns how many records went, with all else that is kept for the chain.
CREATE FUNCTION audit_drop_chain(name text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    dropped bigint;
BEGIN
    IF name !~ '^[0-9a-f]{32}$' OR NOT EXISTS (
        SELECT 1 FROM audit_auditrecord WHERE chain = 'system' AND action = 'tenant.delete' AND target_id = name
    ) THEN
        RAISE EXCEPTION 'the audit chain % is of no tenant that was removed', name USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF EXISTS (SELECT 1 FROM audit_legalhold AS hold WHERE hold.chain = name AND hold.released_at IS NULL) THEN
        RAISE EXCEPTION 'the audit chain % is under legal hold', name USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM set_config('omx.chain_ends', name, true);
    DELETE FROM audit_auditrecord WHERE chain = name;
    GET DIAGNOSTICS dropped = ROW_COUNT;
    DELETE FROM audit_chainhead WHERE chain = name;
    DELETE FROM audit_checkpoint WHERE chain = name;
    DELETE FROM audit_legalhold WHERE chain = name;
    DELETE FROM audit_subjectkey WHERE chain = name;
    PERFORM set_config('omx.chain_ends', '', true);
    RETURN dropped;
END $$;
REVOKE ALL ON FUNCTION audit_drop_chain(text) FROM PUBLIC;
"""
GUARDS = """
-- Which row of the heads goes is asked of each, and not of the statement alone.
CREATE TRIGGER audit_head_row_refuse BEFORE DELETE ON audit_chainhead
    FOR EACH ROW EXECUTE FUNCTION audit_refuse();
"""
REVERSE = """
DROP TRIGGER audit_head_row_refuse ON audit_chainhead;
DROP FUNCTION audit_drop_chain(text);
CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail can only be added to: % of % refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;
DROP FUNCTION audit_ends(text);
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_partitions")]

    operations = [migrations.RunSQL(FUNCTIONS, migrations.RunSQL.noop), migrations.RunSQL(GUARDS, REVERSE)]
