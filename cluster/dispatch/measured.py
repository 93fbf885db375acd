"""What a gateway measured of one version on one node: first tokens, speeds, loads. Old measurements fade."""

from __future__ import annotations

from cluster.scheduling.candidate import Candidate
from cluster.scheduling.decayed import Decayed, Line

_LEAST_MS = 1e-3


class Measured:
    __slots__ = ("_first_token", "_load", "_overhead", "_prompt", "_speed", "_token")

    def __init__(self) -> None:
        self._first_token, self._overhead, self._load = Decayed(), Decayed(), Decayed()
        self._prompt, self._speed, self._token = Decayed(), Decayed(), Line()

    def add(
        self,
        *,
        now: float,
        first_token_ms: float | None,
        prompt_tokens: int,
        cached_tokens: int,
        prompt_ms: float,
        completion_tokens: int,
        eval_ms: float,
        load_ms: float,
        beside: int,
    ) -> None:
        """``beside``: how many other requests ran there. What the engine does not tell is 0 and not counted."""
        if first_token_ms is not None:
            self._first_token.add(first_token_ms, now=now)
            self._overhead.add(max(0.0, first_token_ms - prompt_ms), now=now)
        if load_ms > 0:
            self._load.add(load_ms, now=now)
        read = prompt_tokens - cached_tokens
        if read > 0 and prompt_ms > _LEAST_MS:
            self._prompt.add(read, prompt_ms / 1000, now=now)
        if completion_tokens > 1 and eval_ms > _LEAST_MS:
            self._speed.add(completion_tokens, eval_ms / 1000, now=now)
            self._token.add(beside, eval_ms / completion_tokens, now=now)

    def write(self, candidate: Candidate, now: float) -> None:
        """Bring a candidate up to date."""
        candidate.first_token_ms = self._first_token.value(now) if self._first_token.weight else None
        candidate.overhead_ms = self._overhead.value(now) if self._overhead.weight else None
        candidate.load_ms = self._load.value(now) if self._load.weight else None
        candidate.prompt_speed = self._prompt.value(now) if self._prompt.weight else None
        candidate.speed = self._speed.value(now) if self._speed.weight else None
        line = self._token.values(now)
        candidate.token_ms, candidate.crowding_ms = (None, None) if line is None else line
