"""The stages of a version in a model, which may follow which, and who must agree. Pure: no Django, no database."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ollamamax.kernel.errors import Conflict, Forbidden


class ReleaseStage(StrEnum):
    """``draft``: as it came. ``staged``: nodes have it, whether a channel points at it or not. ``production``: likewise, and protected channels take
    it. ``deprecated``: it answers still, and says in a header that it should not be used. ``archived``: no channel may point at it."""

    DRAFT = "draft"
    STAGED = "staged"
    PRODUCTION = "production"
    DEPRECATED = "deprecated"
    ARCHIVED = "archived"


FOLLOWING: dict[ReleaseStage, tuple[ReleaseStage, ...]] = {
    ReleaseStage.DRAFT: (ReleaseStage.STAGED, ReleaseStage.ARCHIVED),
    ReleaseStage.STAGED: (ReleaseStage.PRODUCTION, ReleaseStage.DRAFT, ReleaseStage.ARCHIVED),
    ReleaseStage.PRODUCTION: (ReleaseStage.DEPRECATED,),
    ReleaseStage.DEPRECATED: (ReleaseStage.PRODUCTION, ReleaseStage.ARCHIVED),
    ReleaseStage.ARCHIVED: (ReleaseStage.DRAFT,),
}
KEPT_ON_NODES = (ReleaseStage.STAGED, ReleaseStage.PRODUCTION)
"""Nodes have versions in these stages also while no channel points at them: to move a channel there, or back, waits for no bytes."""
OF_PROMOTERS = (ReleaseStage.PRODUCTION, ReleaseStage.DEPRECATED)
"""Who may promote alone brings a version here, or from here elsewhere."""


def check_step(held: ReleaseStage, wanted: ReleaseStage, channels: Collection[str]) -> None:
    """Raises `Conflict` for a stage that does not follow, and for an archive of what ``channels`` point at."""
    if wanted not in FOLLOWING[held]:
        told = ", ".join(FOLLOWING[held])
        raise Conflict(f"A version that is {held} can become {told}, and not {wanted}.", param="stage")
    if wanted == ReleaseStage.ARCHIVED and channels:
        raise Conflict(
            f"{', '.join(sorted(channels))} point at it: move these channels first.",
            param="stage",
            channels=sorted(channels),
        )


def is_promoters(held: ReleaseStage, wanted: ReleaseStage) -> bool:
    """Whether the step is for those who may promote."""
    return held in OF_PROMOTERS or wanted in OF_PROMOTERS


def check_target(channel: str, protected: bool, stage: ReleaseStage) -> None:
    """Raises `Conflict` when the channel may not point at a version in this stage."""
    if stage == ReleaseStage.ARCHIVED:
        raise Conflict("The version is archived: no channel may point at it.", param="version")
    if protected and stage != ReleaseStage.PRODUCTION:
        raise Conflict(
            f"The channel '{channel}' is protected: it takes versions in production only, and this one is {stage}.",
            param="channel",
        )


@dataclass(frozen=True)
class AskedPromotion:
    """A promotion that waits: who asked, how many others must approve, and who did. People, not keys."""

    person: str
    needed: int
    approved: Sequence[str] = ()

    @property
    def missing(self) -> int:
        return max(0, self.needed - len(self.approved))


def approve(asked: AskedPromotion, person: str) -> AskedPromotion:
    """With one more approval. Raises `Forbidden` for who asked, or who is nobody; a second approval by the same person counts once."""
    if not person:
        raise Forbidden("Only people approve: this key was made by nobody.")
    if person == asked.person:
        raise Forbidden("You asked for it: somebody else must approve.")
    if person in asked.approved:
        return asked
    return AskedPromotion(asked.person, asked.needed, (*asked.approved, person))


def what_holds(
    channels: Iterable[str], stage: ReleaseStage, promotions: int, rollouts: Iterable[str] = ()
) -> list[str]:
    """Why a version cannot be deleted, as sentences; none when it can."""
    found = [f"the channel '{name}' points at it" for name in sorted(channels)]
    if stage in KEPT_ON_NODES:
        found.append(f"it is {stage}")
    found += [f"a rollout of the channel '{name}' has it" for name in rollouts]
    if promotions:
        found.append("somebody asked that it become production")
    return found
