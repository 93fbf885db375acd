"""Cases, answers and checks go into the secret box. Rows that were there are sealed, and their plain text is gone afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import migrations, models


def seal_what_is_there(apps: Any, schema_editor: Any) -> None:
    """Places are those of the models; a value of one row opens in no other."""
    told: dict[str, Callable[[Any], tuple[str, str, Any, dict[str, int]]]] = {
        "EvaluationSuite": lambda row: ("suite", "sealed_cases", row.cases, {"cases_count": len(row.cases)}),
        "Evaluation": lambda row: ("evaluation", "sealed_cases", row.cases, {}),
        "EvaluationResult": lambda row: ("result", "sealed_outcome", {"answer": row.answer, "checks": row.checks}, {}),
    }
    for name, of in told.items():
        rows = apps.get_model("evaluations", name)._base_manager
        for row in rows.iterator(chunk_size=100):
            place, column, plain, more = of(row)
            value = settings.SECRET_BOX.seal(json.dumps(plain).encode(), f"evaluations.{place}:{row.pk.hex}")
            rows.filter(pk=row.pk).update(**{column: value}, **more)


class Migration(migrations.Migration):
    dependencies = [("evaluations", "0001_evaluations")]

    operations = [
        migrations.AddField("evaluationsuite", "sealed_cases", models.BinaryField(default=b""), preserve_default=False),
        migrations.AddField(
            "evaluationsuite", "cases_count", models.PositiveIntegerField(default=0), preserve_default=False
        ),
        migrations.AddField("evaluation", "sealed_cases", models.BinaryField(default=b""), preserve_default=False),
        migrations.AddField(
            "evaluationresult", "sealed_outcome", models.BinaryField(default=b""), preserve_default=False
        ),
        migrations.RunPython(seal_what_is_there, elidable=True),
        migrations.RemoveField("evaluationsuite", "cases"),
        migrations.RemoveField("evaluation", "cases"),
        migrations.RemoveField("evaluationresult", "checks"),
        migrations.RemoveField("evaluationresult", "answer"),
    ]
