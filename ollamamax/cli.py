"""The `ollamamax` console command: Django's management commands under the product's name.

Beside what `make up` started it needs no settings: it reads them from that installation's home.
"""

from __future__ import annotations

import os
import sys

from django.core.management import execute_from_command_line


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ollamamax.settings")
    if not os.environ.get("OLLAMAMAX_SECRET_KEY"):
        from ollamamax.embedded import environment, home

        for name, value in environment.of_running(home.at()).items():
            os.environ[name] = os.environ.get(name) or value
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
