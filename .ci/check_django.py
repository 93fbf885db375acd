"""Django's own checks as in production: `check --deploy`, and that no migration is missing. Ends with 1 on any finding."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    with tempfile.TemporaryDirectory() as home:
        production = {
            "OLLAMAMAX_SECRET_KEY": secrets.token_urlsafe(64),
            "OLLAMAMAX_PUBLIC_URL": "https://ollamamax.example",
            "OLLAMAMAX_TLS_PROXY": "1",
            "OLLAMAMAX_HOME": home,
            "OLLAMAMAX_LOG_LEVEL": "warning",
            # Nothing listens there: these checks need no server, and must not find one.
            "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
            "REDIS_URL": "redis://127.0.0.1:1/0",
            "HOST": "0.0.0.0",  # noqa: S104 - as behind a proxy; nothing is bound
        }
        kept = {k: v for k, v in os.environ.items() if not k.startswith("OLLAMAMAX_")}
        manage = [sys.executable, "-W", "ignore:Got an error checking a consistent migration history", "manage.py"]
        for arguments in (["check", "--deploy", "--fail-level", "WARNING"], ["makemigrations", "--check", "--dry-run"]):
            status = subprocess.run([*manage, *arguments], cwd=ROOT, env={**kept, **production}).returncode  # noqa: S603
            if status:
                print(f"manage.py {' '.join(arguments)} failed", file=sys.stderr)  # noqa: T201
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
