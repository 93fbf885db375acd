"""The trigger that moves a chain's head acts as the owner of the tables, so that who adds records needs no right to heads."""

from django.db import migrations

# Temporary tables come last, or one named as the heads are would be written in their place.
AS_OWNER = """
DO $$ BEGIN
    ALTER FUNCTION audit_append() SECURITY DEFINER;
    EXECUTE format('ALTER FUNCTION audit_append() SET search_path = %I, pg_temp', current_schema());
END $$;
REVOKE ALL ON FUNCTION audit_append() FROM PUBLIC;
"""
REVERSE = """
ALTER FUNCTION audit_append() SECURITY INVOKER;
ALTER FUNCTION audit_append() RESET search_path;
GRANT EXECUTE ON FUNCTION audit_append() TO PUBLIC;
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]

    operations = [migrations.RunSQL(AS_OWNER, REVERSE)]
