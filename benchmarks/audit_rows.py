"""Very many audit records that were generated: by COPY, each hashed as the product hashes it, each following the one before it in its chain."""

from __future__ import annotations

import datetime
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from ollamamax.audit import chain

MONTHS = 12
COLUMNS = (*chain.FIELDS, "hash")
OFTEN = (
    *("key.issue", "key.revoke", "key.rotate", "session.log_in", "session.log_out", "member.change", "model.configure"),
    *("node.drain", "node.resume", "grant.give", "grant.end", "request.cancel", "request.refuse", "alias.change"),
)
RARE = "tenant.suspend"
_ONE_IN = 100_000
"""How seldom the rare action is."""
TARGETS = 20_000
"""Things of one chain that records are about."""
_CHUNK = 2_000


def tenant(number: int) -> str:
    return f"{number + 1:032x}"


@dataclass(frozen=True)
class Pattern:
    """What generated records of one chain say of who acts: ``actors`` are rows of the chain that the product wrote, whose sealed names and
    addresses these have too."""

    name: str
    seq: int
    hash: str
    actors: Sequence[Mapping[str, Any]]


def fill(url: str, pattern: Pattern, count: int, since: datetime.datetime, until: datetime.datetime) -> tuple[int, str]:
    """Add so many records, spread evenly over the time, with the triggers off, as only the database's owner can; number and hash of the last."""
    dice = random.Random(pattern.name)
    step = (until - since) / count
    seq, previous = pattern.seq, pattern.hash
    copy = "COPY audit_auditrecord ({}) FROM STDIN".format(", ".join(COLUMNS))
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        for begin in range(0, count, _CHUNK):
            lines = []
            for number in range(begin, min(begin + _CHUNK, count)):
                seq += 1
                row = _row(dice, pattern, seq, since + step * number, previous)
                previous = row["hash"] = chain.digest_of_row(row)
                lines.append("\t".join(_text(row[name]) for name in COLUMNS))
            with cursor.copy(copy) as out:
                out.write("\n".join(lines) + "\n")
            if begin % 200_000 == 0:
                connection.commit()
    return seq, previous


def _row(dice: random.Random, pattern: Pattern, seq: int, at: datetime.datetime, previous: str) -> dict[str, Any]:
    actor = pattern.actors[dice.randrange(len(pattern.actors))]
    action = RARE if dice.randrange(_ONE_IN) == 0 else OFTEN[dice.randrange(len(OFTEN))]
    target = dice.randrange(TARGETS)
    return {
        "chain": pattern.name,
        "seq": seq,
        "at": at,
        "actor_kind": actor["actor_kind"],
        "actor_id": actor["actor_id"],
        "actor_name": actor["actor_name"],
        "action": action,
        "target_type": action.partition(".")[0],
        "target_id": f"{target:032x}",
        "request": f"{dice.getrandbits(128):032x}",
        "detail": {"name": f"thing-{target}", "before": {"name": f"thing-{dice.randrange(TARGETS)}"}},
        "prev_hash": previous,
        "format": chain.NEWEST,
        "outcome": "refused" if action == "request.refuse" else "ok",
        "personal": actor["personal"],
    }


def _text(value: Any) -> str:
    """In COPY's text form."""
    if isinstance(value, dict):
        value = json.dumps(value, ensure_ascii=False)
    elif isinstance(value, datetime.datetime):
        return value.isoformat()
    return str(value).replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
