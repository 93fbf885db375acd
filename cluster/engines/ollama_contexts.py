"""Which load options an Ollama server is sent, so that it does not load a model again for each request that differs.

Ollama loads a model anew whenever a request's load options are not those of the loaded instance, also when one leaves
them out (its issues 8903 and 10948). So every request is sent the same: what the model's profile fixes, or else what the
instance has by now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ollamamax.contract import Load
from ollamamax.kernel.errors import Unavailable


class Contexts:
    """By version: the context of the loaded instance, by the server's word or by what it was sent last."""

    def __init__(self) -> None:
        self._told: dict[str, int] = {}
        self._sent: dict[str, int] = {}
        self._loads: dict[str, Load] = {}
        self._users: Counter[str] = Counter()

    def of(self, version: str) -> int | None:
        return self._told.get(version) or self._sent.get(version)

    def told(self, running: Mapping[str, int | None]) -> None:
        """What the server says is in memory: version -> context, ``None`` from versions of Ollama that do not tell."""
        for version in {*self._told, *self._sent, *running}:
            # While a request runs, the server's list may still be that of before it loaded the model.
            if not self._users[version]:
                if version not in running:
                    self._sent.pop(version, None)
                if context := running.get(version):
                    self._told[version] = context
                else:
                    self._told.pop(version, None)

    def forget(self, version: str) -> None:
        self._told.pop(version, None)
        self._sent.pop(version, None)

    @contextmanager
    def fixed(self, version: str, load: Load, wanted: int | None) -> Iterator[dict[str, Any]]:
        """The load options to send while a request runs. Raises `Unavailable` when the request was sent here for a
        larger instance than the profile's, which is gone."""
        context = self._choose(version, load, wanted)
        options = {"num_ctx": context, "num_gpu": load.num_gpu}
        self._loads[version] = load
        former = self._sent.get(version)
        if context is not None:
            self._sent[version] = context
            if context != self._told.get(version):
                self._told.pop(version, None)
        self._users[version] += 1
        try:
            yield {name: value for name, value in options.items() if value is not None}
        except Exception:
            # What one request asked too much of must not be what all others are sent.
            if context != former and self._sent.get(version) == context:
                self._sent.pop(version, None)
            raise
        finally:
            self._users[version] -= 1

    def _choose(self, version: str, load: Load, wanted: int | None) -> int | None:
        told, sent = self._told.get(version, 0), self._sent.get(version, 0)
        if load.num_ctx is None:
            return max(told, sent, wanted or 0) or None
        # An instance that somebody else loaded larger stays while it is used; one of a former profile does not.
        same = self._loads.get(version, load) == load
        context = max(load.num_ctx, told) if same else load.num_ctx
        if wanted is not None and wanted > context:
            raise Unavailable(f"This model is not loaded with num_ctx {wanted} here any more.", retry_after=1)
        return context
