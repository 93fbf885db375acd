"""The table that grants were moved from goes."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("identity", "0020_grants_move")]

    operations = [migrations.DeleteModel(name="Grant")]
