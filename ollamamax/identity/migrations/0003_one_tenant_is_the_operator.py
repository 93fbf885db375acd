"""In an installation that has exactly one tenant, that one runs it; of several, its operator names one."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def name_operator(apps: Apps, schema_editor: BaseDatabaseSchemaEditor | None) -> None:
    tenant = apps.get_model("identity", "Tenant")
    if tenant.objects.count() == 1:
        tenant.objects.update(is_operator=True)


class Migration(migrations.Migration):
    dependencies = [("identity", "0002_limits_and_operator")]

    operations = [migrations.RunPython(name_operator, migrations.RunPython.noop)]
