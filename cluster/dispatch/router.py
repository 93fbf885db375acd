"""Which nodes a request may go to, as its record tells it, and what is learnt from its end."""

from __future__ import annotations

from collections.abc import Mapping

from cluster.dispatch.request import Request
from cluster.fleet.fleet import Fleet
from ollamamax.contract import ScoredNode

RECORDED = 8
"""How many candidates a request's record keeps, the best ones."""
_WHOLE = (0.0, 1.0)
"""What most parts are."""
RULED_OUT = 64
"""How many nodes that were no candidates a record names."""


class Router:
    """``waiting``: how many requests for each version wait for a slot, as far as is known."""

    def __init__(self, fleet: Fleet, waiting: Mapping[str, int]) -> None:
        self._fleet = fleet
        self._waiting = waiting

    def expect(self, request: Request) -> None:
        """Note what the request is expected to use; corrected when it is settled."""
        request.expected_prompt_tokens = request.wants().prompt_tokens
        if request.inference.kind in {"chat", "completion"}:
            usual = round(self._fleet.answer_tokens(request.asked.tenant, request.asked.version))
            most = request.inference.options.max_tokens
            request.expected_completion_tokens = usual if most is None or most < 0 else min(usual, most)

    def rank(self, request: Request) -> list[str]:
        """The nodes that may run it, best first; the ranking is kept, for `note`."""
        wants, waiting = request.wants(), self._waiting.get(request.asked.version, 0)
        ranked = self._fleet.route(wants, without=request.tried, waiting=waiting) or self._fleet.route(
            # A node that failed a moment ago is better than none.
            wants,
            without=request.tried,
            waiting=waiting,
            despite_breakers=True,
        )
        request.ranked = ranked
        return [each.node for each in ranked]

    def has_other(self, request: Request) -> bool:
        """Whether another node than the one that has it could run it now."""
        without = request.tried | {request.node}
        return bool(self._fleet.route(request.wants(), without=without, waiting=0, despite_breakers=True))

    def may_be_served(self, request: Request) -> bool:
        """Whether a node that `rank` leaves out may run it in a moment."""
        wants = request.wants()
        return self._fleet.may_be_served(wants, without=request.tried) or (
            request.asked.fetched_by != "" and self._fleet.will_be_fetched(wants, request.asked.fetched_by)
        )

    def is_fetched(self, request: Request) -> bool:
        """Whether a node fetches what it runs: it is waited for as long as the request has time."""
        return request.asked.fetched_by != "" and self._fleet.is_fetched(request.wants())

    def note(self, request: Request) -> None:
        """Write the last ranking into the request's record, once its answer has gone out."""
        request.route.strategy = request.asked.profile.strategy
        request.route.candidates = [
            ScoredNode(each.node, self._fleet.name(each.node), each.reason, round(each.score, 4), _rounded(each.parts))
            for each in request.ranked[:RECORDED]
        ]

    def rule_out(self, request: Request) -> None:
        """Note which nodes were no candidates, and why: only where it matters, because it takes as long as to route."""
        found = self._fleet.ruled_out(
            request.wants(), without=request.tried, waiting=self._waiting.get(request.asked.version, 0)
        )
        request.route.ruled_out = {self._fleet.name(node): why for node, why in found[:RULED_OUT]}

    def learn(self, request: Request) -> None:
        """Take over what a request measured, once it has ended."""
        final = request.final
        if final is None or request.given_at is None:
            return
        if request.continued:
            # The first token was another node's, and this one's times include reading what that one had said.
            self._fleet.observe(
                request.node,
                request.asked.version,
                first_token_ms=None,
                completion_tokens=final.completion_tokens,
                load_ms=final.load_ms,
            )
            return
        first = request.first_token_at
        self._fleet.observe(
            request.node,
            request.asked.version,
            first_token_ms=None if first is None else max(0.0, first - request.given_at) * 1000,
            prompt_tokens=final.prompt_tokens,
            cached_tokens=final.cached_tokens,
            prompt_ms=final.prompt_ms,
            completion_tokens=final.completion_tokens,
            eval_ms=final.eval_ms,
            load_ms=final.load_ms,
        )


def _rounded(parts: Mapping[str, float]) -> dict[str, float]:
    return {name: value if value in _WHOLE else round(value, 3) for name, value in parts.items()}
