"""A start of a home without data that begins with a backup (`make up RESTORE=FILE`): its key first, the rest once PostgreSQL runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ollamamax.backup import sealing
from ollamamax.backup.archive import ArchiveBroken
from ollamamax.backup.contents import settings_in
from ollamamax.embedded.home import Home, write_private
from ollamamax.embedded.problem import Problem
from ollamamax.embedded.processes import module


@dataclass(frozen=True)
class Backup:
    """``identity``: the file of the age key that opens it, where it is encrypted."""

    file: Path
    identity: Path | None

    @classmethod
    def of(cls, file: str, identity: str) -> Backup | None:
        return cls(Path(file).absolute(), Path(identity).absolute() if identity else None) if file else None

    def take_key(self, home: Home) -> None:
        """Write the installation's key into the home, which must have no data yet. Raises `Problem`."""
        if home.bootstrap_file.exists():
            raise Problem(f"{home.folder} has data already: name another folder with OLLAMAMAX_HOME= to restore into.")
        try:
            identities = sealing.identities_in(self.identity) if self.identity else []
            settings = settings_in(self.file, identities)
        except (ArchiveBroken, sealing.KeyUnusable) as error:
            raise Problem(f"{error} Nothing was changed.") from error
        known = home.secrets() | {"secret_key": settings["OLLAMAMAX_SECRET_KEY"]}
        write_private(home.secrets_file, json.dumps(known, indent=2))

    def command(self) -> list[str]:
        opening = ["--identity", str(self.identity)] if self.identity else []
        return module("ollamamax.cli", "restore", str(self.file), *opening)
