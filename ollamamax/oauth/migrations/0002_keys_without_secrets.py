"""The keys of workloads that are there already have no secret that anybody was shown."""

from django.db import migrations


def mark(apps, schema_editor):  # type: ignore[no-untyped-def]
    keys = apps.get_model("oauth", "Workload")._base_manager.values("key")
    # One that was rotated since has a text that somebody was shown.
    apps.get_model("identity", "ApiKey")._base_manager.filter(pk__in=keys, rotated_at=None).update(has_secret=False)


class Migration(migrations.Migration):
    dependencies = [("identity", "0028_keys_without_secrets"), ("oauth", "0001_workloads")]

    operations = [migrations.RunPython(mark, migrations.RunPython.noop)]
