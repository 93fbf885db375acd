"""The `ollamamax` console command: Django's management commands under the product's name, and `gateway`, which has no Django.

Beside what `make up` started it needs no settings: it reads them from that installation's home.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    is_gateway = sys.argv[1:2] == ["gateway"]
    if not os.environ.get("REDIS_URL" if is_gateway else "OLLAMAMAX_SECRET_KEY"):
        from ollamamax.embedded import environment, home

        for name, value in environment.of_running(home.at()).items():
            os.environ[name] = os.environ.get(name) or value
    if is_gateway:
        from ollamamax.processes import gateway

        gateway.main()
        return
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ollamamax.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
