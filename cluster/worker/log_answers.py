"""Answers who asks for the node's log: its last lines, bounded, without secrets."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from redis.exceptions import RedisError

from cluster.engines import engine_log
from cluster.worker.identity import Identity
from cluster.worker.redaction import redacted
from ollamamax import contract, logs
from ollamamax.bus import keys, sentinels
from ollamamax.bus.pipelined import Pipelined
from ollamamax.contract.node_log import MOST_LINE, MOST_LINES, LogLine, LogSource, NodeLog, encode_node_log
from ollamamax.kernel.log_ring import LogRing

AGENT = LogRing()
"""What this process logged."""
_MOST_TEXT = 256 << 10
"""Characters of one answer."""
_QUESTION = re.compile(r"[0-9a-f]{32}")
_ELSEWHERE = "The {kind} engine is started by others: its log is on the host."


class LogAnswers:
    def __init__(self, commands: Pipelined, identity: Identity, boot: str) -> None:
        self._commands = commands
        self._identity = identity
        self._boot = boot

    async def answer(self, control: contract.Control) -> None:
        """A question that is none is not answered."""
        if _QUESTION.fullmatch(control.ticket) is None:
            return
        answer = encode_node_log(self.lines(control.source, control.seq))
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            await self._commands.do("PUBLISH", keys.log_answer(self._identity.node, control.ticket), answer)

    def lines(self, source: LogSource, after: int) -> NodeLog:
        kind = self._identity.engine.kind
        if source == "engine" and kind != "llamacpp":
            return NodeLog(source, self._boot, [], _ELSEWHERE.format(kind=kind))
        ring = AGENT if source == "agent" else engine_log.LINES
        secrets = self._secrets()
        found: list[LogLine] = []
        left = _MOST_TEXT
        for number, text in reversed(ring.after(after, MOST_LINES)):
            # Secrets first: of one that is cut off the rest would not be known.
            line = redacted(text, secrets)[:MOST_LINE]
            left -= len(line)
            if left < 0:
                break
            found.append(LogLine(number, line))
        return NodeLog(source, self._boot, found[::-1])

    def _secrets(self) -> list[str]:
        found = [self._identity.secret, *sentinels.passwords(self._identity.redis_url)]
        if self._identity.engine.api_key_file:
            with contextlib.suppress(OSError):
                found.append(Path(self._identity.engine.api_key_file).read_text(errors="replace").strip())
        return found


def keep_own_log() -> None:
    """From now on keep what this process logs."""
    logs.tell_too(AGENT.add_bytes)
