"""``ollamamax doctor``: looks at everything an installation needs, and says what is wrong and what to do."""

from __future__ import annotations

import datetime
import json
import platform
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from dashboard.queries.system import system
from ollamamax import env
from ollamamax.bus import regions
from ollamamax.doctor import bundle, failover, fleet, machine, stores
from ollamamax.doctor.diagnosis import Diagnosis, Grade, worst


class Command(BaseCommand):
    help = (
        "Look at versions, clocks, certificates, disk, files, Redis, PostgreSQL, migrations, nodes, loops and backups, and say what to do. "
        "Exit code: 0 all is fine, 1 with warnings, 2 with faults."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="A list of code, grade, text and remedy.")
        parser.add_argument(
            "--bundle",
            type=Path,
            metavar="FILE",
            help="Write a support bundle (tar.gz) without secrets: this, settings, logs.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        found = examine()
        told = [{**asdict(each), "grade": each.grade.name.lower()} for each in found]
        if options["bundle"]:
            try:
                _write(options["bundle"], told)
            except OSError as error:
                raise CommandError(f"The bundle could not be written: {error.strerror}.") from error
        if options["json"]:
            self.stdout.write(json.dumps(told, indent=2))
        else:
            for each in found:
                self.stdout.write(f"{_MARKS[each.grade]} {each.text}")
                if each.remedy:
                    self.stdout.write(f"          {each.remedy}")
        sys.exit(worst(found))


_MARKS = {Grade.FINE: "fine     ", Grade.WARNING: "WARNING  ", Grade.FAULT: "FAULT    "}


def examine() -> list[Diagnosis]:
    now = datetime.datetime.now(datetime.UTC)
    values = settings.ENV
    found = [machine.python(), machine.disk(settings.HOME), *machine.permissions(settings.HOME)]
    if values["OLLAMAMAX_TLS_CERT"]:
        host = urlsplit(settings.PUBLIC_URL).hostname or ""
        found += machine.certificate(values["OLLAMAMAX_TLS_CERT"], values["OLLAMAMAX_TLS_KEY"], host, now)
    found += [*stores.of_postgres(), *failover.of_postgres()]
    for region in regions.every():
        found += [*stores.of_redis(region), *failover.of_redis(region)]
        found += [*fleet.loops(region), *fleet.nodes(region, version("ollamamax"))]
    return [*found, *fleet.backup(now)]


def _write(file: Path, told: list[dict[str, Any]]) -> None:
    parts = {
        "doctor": told,
        "settings": [asdict(each) for each in env.shown()],
        "system": system(),
        "machine": {"python": sys.version, "platform": platform.platform(), "release": version("ollamamax")},
    }
    bundle.write(file, parts, settings.HOME, env.given())
