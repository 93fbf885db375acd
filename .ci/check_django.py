"""Django's own checks as in production: `check --deploy`, and that no migration is missing. Ends with 1 on any finding."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.servers import Servers  # noqa: E402 - found by the line above

CHECKS = (["check", "--deploy", "--fail-level", "WARNING"], ["makemigrations", "--check", "--dry-run"])


def main() -> int:
    servers = Servers()
    servers.start(database=True)
    try:
        with tempfile.TemporaryDirectory() as home:
            production = {
                "OLLAMAMAX_SECRET_KEY": secrets.token_urlsafe(64),
                "OLLAMAMAX_PUBLIC_URL": "https://ollamamax.example",
                "OLLAMAMAX_TLS_PROXY": "1",
                "OLLAMAMAX_HOME": home,
                "OLLAMAMAX_LOG_LEVEL": "warning",
                "HOST": "0.0.0.0",  # noqa: S104 - as behind a proxy; nothing is bound
            }
            kept = {k: v for k, v in os.environ.items() if not k.startswith("OLLAMAMAX_")}
            for arguments in CHECKS:
                manage = [sys.executable, "manage.py", *arguments]
                if subprocess.run(manage, cwd=ROOT, env={**kept, **production}).returncode:  # noqa: S603
                    print(f"manage.py {' '.join(arguments)} failed", file=sys.stderr)  # noqa: T201
                    return 1
    finally:
        servers.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
