"""What the judge remembers from one look to the next. It is kept in Redis too, so that another process goes on from it."""

from __future__ import annotations

import msgspec

from cluster.health.sign import Sign
from cluster.health.speed import Usual
from ollamamax.contract.health import Severity

LONGEST_PAUSE = 30.0
"""Seconds between two looks beyond which nobody looked meanwhile: nothing is known to have lasted, or to have been away."""
WINDOW = 60.0
"""Seconds over which requests are counted."""
SLICES = 6


class HeldSign(msgspec.Struct, array_like=True):
    """A sign: since when it has been there at every look, when it was seen last, and whether it is a finding."""

    sign: Sign
    first: float
    last: float
    raised: bool = False


class Recent(msgspec.Struct, array_like=True):
    """Requests that ended within `WINDOW`: slices of time, each with its number, how many ended well and how many failed."""

    slices: list[tuple[int, int, int]] = []

    def add(self, now: float, ok: int, failed: int) -> None:
        number = int(now // (WINDOW / SLICES))
        kept = [each for each in self.slices if number - SLICES < each[0] < number]
        same = next((each for each in self.slices if each[0] == number), (number, 0, 0))
        self.slices = [*kept, (number, same[1] + ok, same[2] + failed)]

    def counts(self, now: float) -> tuple[int, int]:
        """Of the window: how many ended well, and how many failed."""
        oldest = int(now // (WINDOW / SLICES)) - SLICES
        found = [each for each in self.slices if each[0] > oldest]
        return sum(each[1] for each in found), sum(each[2] for each in found)


class NodeMemory(msgspec.Struct, array_like=True):
    """Of one node. ``anchor_*``: the report from which on the reports are counted that should have come by now."""

    held: dict[str, HeldSign] = {}
    boot: str = ""
    seq: int = -1
    heard_at: float = 0.0
    anchor_at: float = 0.0
    anchor_seq: int = 0
    late: float = 0.0
    """The share of its reports that were missing in the last whole stretch."""
    tokens: int = -1
    moved_at: float = 0.0
    """When its count of tokens grew last, or nothing ran."""
    gpus: int = 0
    """The most that it had since its agent started."""
    ecc: dict[int, tuple[int, float]] = {}
    """GPU -> how many uncorrected errors it had, and when that number grew last while it was looked at (0: never)."""


class Memory(msgspec.Struct, array_like=True):
    """``at``: of the last look. ``recent`` is by ``n`` node, ``m`` tenant/model, ``t`` tenant; ``usual`` by node and model."""

    at: float = 0.0
    nodes: dict[str, NodeMemory] = {}
    models: dict[str, dict[str, HeldSign]] = {}
    tenants: dict[str, dict[str, HeldSign]] = {}
    recent: dict[str, Recent] = {}
    usual: dict[str, Usual] = {}
    queued: dict[str, list[tuple[float, int]]] = {}


def before(held: dict[str, HeldSign], code: str, of: str = "") -> Severity | None:
    """How bad a sign was found to be, as long as it is a finding."""
    found = held.get(f"{code} {of}" if of else code) if held else None
    return found.sign.severity if found is not None and found.raised else None


encode_memory = msgspec.msgpack.Encoder().encode
decode_memory = msgspec.msgpack.Decoder(Memory).decode
