"""Row-level security: in the scope of a tenant its rows alone are there, for the tables' owner too; without a scope none are.

The setting ``omx.tenant`` says whose scope it is: a tenant's UUID, ``*`` for every tenant, or nothing.
"""

from django.db import migrations

FUNCTIONS = """
CREATE FUNCTION scope_tenant() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT NULLIF(NULLIF(current_setting('omx.tenant', true), ''), '*')::uuid
$$;

CREATE FUNCTION scope_is_every() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT COALESCE(current_setting('omx.tenant', true), '') = '*'
$$;

-- Gives every table with a tenant its policy, where it has none yet. Returns how many that were. Rows of no tenant are read in all scopes.
-- Partitions are reached through their table alone: the user that everything runs as has no right to them.
CREATE FUNCTION keep_tenants_apart() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    found record;
    made integer := 0;
BEGIN
    FOR found IN
        SELECT c.oid::regclass AS place, a.attnotnull AS owned
        FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'tenant_apart')
    LOOP
        -- The scope is asked for once a statement, and not once a row.
        EXECUTE format(
            'CREATE POLICY tenant_apart ON %s USING (tenant_id = (SELECT scope_tenant()) OR (SELECT scope_is_every()))', found.place
        );
        IF NOT found.owned THEN
            EXECUTE format('CREATE POLICY tenant_common ON %s FOR SELECT USING (tenant_id IS NULL)', found.place);
        END IF;
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', found.place);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', found.place);
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;
REVOKE ALL ON FUNCTION keep_tenants_apart() FROM PUBLIC;
"""


class Migration(migrations.Migration):
    dependencies = [("identity", "0011_strict_fields_of_keys")]

    operations = [migrations.RunSQL(FUNCTIONS)]
