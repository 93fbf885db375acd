"""The shortlists of versions that are on many nodes, one for each kind of request that was asked of late; made when it is asked first, and kept up to date."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping

from cluster.scheduling.candidate import Candidate, Wanted
from cluster.scheduling.shortlist import Shortlist

MOST_PLACES = 1_000_000
"""Of all shortlists together, in candidates: about 400 MB. The one that was not asked for longest goes."""
_Kind = tuple[str, tuple[object, ...]]
"""Whose request, where nodes tell that tenant apart from others, and what else decides on who may run it and in which order."""


class _OfVersion:
    __slots__ = ("named", "names", "shortlists")

    def __init__(self, having: Mapping[str, Candidate]) -> None:
        self.shortlists: dict[_Kind, Shortlist] = {}
        self.names: dict[str, tuple[str, ...]] = {}
        """Node -> the tenants that it tells apart from others."""
        self.named: Counter[str] = Counter()
        for candidate in having.values():
            self.name(candidate)

    def name(self, candidate: Candidate) -> None:
        """Note whom a node tells apart."""
        names = (candidate.tenant, *sorted(candidate.access)) if candidate.shared else (candidate.tenant,)
        held = self.names.get(candidate.node)
        if held == names:
            return
        self.forget(candidate.node)
        self.names[candidate.node] = names
        self.named.update(names)

    def forget(self, node: str) -> None:
        names = self.names.pop(node, ())
        self.named.subtract(names)
        for name in names:
            if self.named[name] <= 0:
                del self.named[name]


class Shortlists:
    def __init__(self, most_places: int = MOST_PLACES) -> None:
        self._most = most_places
        self._versions: dict[str, _OfVersion] = {}
        self._asked: OrderedDict[tuple[str, _Kind], Shortlist] = OrderedDict()

    def of(self, wanted: Wanted, here: str, having: Mapping[str, Candidate]) -> Shortlist | None:
        """The one for such requests; ``None`` where there is no room for it."""
        version = wanted.version
        held = self._versions.get(version)
        if held is None:
            held = self._versions[version] = _OfVersion(having)
        kind = _kind(wanted, held)
        found = held.shortlists.get(kind)
        if found is not None:
            self._asked.move_to_end((version, kind))
            return found
        if len(having) > self._most:
            return None
        usual = Wanted(kind[0], version, wanted.profile, num_ctx=_context(wanted))
        found = held.shortlists[kind] = Shortlist(usual, here, having.values())
        self._asked[version, kind] = found
        while len(self._asked) > 1 and sum(map(len, self._asked.values())) > self._most:
            (old, old_kind), _ = self._asked.popitem(last=False)
            del self._versions[old].shortlists[old_kind]
        return found

    def put(self, version: str, candidate: Candidate) -> None:
        """The candidate is new, or has changed."""
        held = self._versions.get(version)
        if held is None:
            return
        held.name(candidate)
        for each in held.shortlists.values():
            each.put(candidate)

    def remove(self, version: str, node: str) -> None:
        held = self._versions.get(version)
        if held is not None:
            held.forget(node)
            for each in held.shortlists.values():
                each.remove(node)


def _kind(wanted: Wanted, held: _OfVersion) -> _Kind:
    profile = wanted.profile
    # All others are one.
    whose = wanted.tenant if wanted.tenant in held.named else ""
    return whose, (
        profile.strategy,
        profile.regions,
        tuple(sorted(profile.labels.items())) if profile.labels else (),
        profile.tolerations,
        profile.num_ctx,
        profile.outside,
        _context(wanted),
    )


def _context(wanted: Wanted) -> int | None:
    """Rounded up to a power of two: who has that has what was asked for, and there are few of them."""
    return None if wanted.num_ctx is None else 1 << max(0, wanted.num_ctx - 1).bit_length()
