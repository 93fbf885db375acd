"""One evaluation in the hands of a runner: its cases one after another, to its end, unless the runner is stopped before."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any

import msgspec
from django.db import IntegrityError
from django.utils import timezone

from ollamamax import logs
from ollamamax.batches.runner.patience import pause_after, pause_for_room
from ollamamax.bus.database import in_database_at_last
from ollamamax.bus.directory import Directory
from ollamamax.evaluations import checking, judging
from ollamamax.evaluations.actions import progress
from ollamamax.evaluations.actions.progress import CaseResult
from ollamamax.evaluations.cases import EvaluationCase, EvaluationCheck, read_cases
from ollamamax.evaluations.checking import CheckImpossible, CheckOutcome
from ollamamax.evaluations.models import Evaluation
from ollamamax.evaluations.queries.evaluation import held_evaluation, key_of_evaluation_works, numbers_with_result
from ollamamax.gateway.app import Gateway
from ollamamax.gateway.http import encode
from ollamamax.gateway.whole_response import WholeResponse
from ollamamax.identity import access
from ollamamax.kernel.errors import Conflict

CHAT, EMBED = "/v1/chat/completions", "/v1/embeddings"
MOST_ANSWER = 16_000
"""Characters of an answer that are kept; checks see all of it."""
_UNAUTHENTICATED = 401
_KEY_PAUSE = 1.0
_log = logs.get(__name__)


class EvaluationFailed(Exception):
    """It cannot be carried out; ``args[0]`` says why in a sentence."""


class EvaluationRun:
    """Of the evaluation with this id, while this runner holds it."""

    def __init__(self, runner: str, gateway: Gateway, directory: Directory, evaluation: uuid.UUID) -> None:
        self._runner = runner
        self._gateway = gateway
        self._directory = directory
        self._id = evaluation
        self._waits_for = ""

    @property
    def waits(self) -> bool:
        """Whether it waits for room on the nodes, or for a node at all."""
        return bool(self._waits_for)

    async def run(self) -> None:
        """Raises `LeaseLost` when another runner has it, or nobody. Cancelled, it may be claimed anew and goes on where it was."""
        evaluation = await in_database_at_last(held_evaluation, self._id, self._runner)
        if evaluation is None:
            return
        left = (evaluation.expires_at - timezone.now()).total_seconds()
        try:
            async with asyncio.timeout(max(0.0, left)):
                await self._cases(evaluation)
        except EvaluationFailed as failed:
            await self._failed(evaluation, str(failed.args[0]))
        except TimeoutError:
            waited = f" What it waited for last: {self._waits_for}" if self._waits_for else ""
            await self._failed(evaluation, f"It did not end in the time that it was given.{waited}")
        else:
            await in_database_at_last(progress.complete, evaluation, self._runner)
            _log.info("evaluation_completed", evaluation=self._id.hex, total=evaluation.total)

    async def _failed(self, evaluation: Evaluation, reason: str) -> None:
        await in_database_at_last(progress.fail, evaluation, self._runner, reason)
        _log.warning("evaluation_failed", evaluation=self._id.hex, reason=reason)

    async def _cases(self, evaluation: Evaluation) -> None:
        done = await in_database_at_last(numbers_with_result, evaluation)
        try:
            cases = read_cases(evaluation.cases)
        except Conflict as lost:
            raise EvaluationFailed(f"Its cases: {lost.message}") from None
        for number, case in enumerate(cases):
            if number in done:
                continue
            try:
                result = await self._case(evaluation, number, case)
            except CheckImpossible as problem:
                raise EvaluationFailed(f"Case '{case.name}': {problem.args[0]}") from None
            try:
                await in_database_at_last(progress.add_result, evaluation, self._runner, result)
            except IntegrityError:
                # A write whose answer was lost had been done after all, and was repeated.
                if number not in await in_database_at_last(numbers_with_result, evaluation):
                    raise

    async def _case(self, evaluation: Evaluation, number: int, case: EvaluationCase) -> CaseResult:
        release = evaluation.release
        version = f"{release.model.name}@{release.version.digest}"
        began = time.monotonic()
        if case.kind == "embed":
            one, other, response = await self._embedded(evaluation, case, version)
            outcomes = [checking.distance(check, one, other[index]) for index, check in enumerate(case.checks)]
            return _result(number, case, outcomes, "", response, time.monotonic() - began, None)
        response = await self._asked(evaluation, case, CHAT, _chat(version, case))
        took = time.monotonic() - began
        said = msgspec.json.decode(response.body)
        text = _text(said)
        outcomes = [await self._outcome(evaluation, case, check, text) for check in case.checks]
        return _result(number, case, outcomes, text, response, took, said)

    async def _outcome(
        self, evaluation: Evaluation, case: EvaluationCase, check: EvaluationCheck, text: str
    ) -> CheckOutcome:
        if check.kind == "exact":
            return checking.exact(check, text)
        if check.kind == "regex":
            return checking.regex(check, text)
        if check.kind == "json_schema":
            return await checking.json_schema(check, text)
        if check.kind == "judge":
            response = await self._asked(evaluation, case, CHAT, judging.question(check, case, text))
            return judging.outcome(check, _text(msgspec.json.decode(response.body)))
        if not text.strip():
            return CheckOutcome("distance", passed=False, detail="The answer is empty: it has no embedding.")
        body = {"model": check.model, "input": [text, check.expected]}
        one, other = _vectors(await self._asked(evaluation, case, EMBED, body), 2)
        return checking.distance(check, one, other)

    async def _embedded(
        self, evaluation: Evaluation, case: EvaluationCase, version: str
    ) -> tuple[list[float], list[list[float]], WholeResponse]:
        """The embeddings of a case's text and of what each of its checks expects."""
        texts = [case.text, *(check.expected for check in case.checks)]
        response = await self._asked(evaluation, case, EMBED, {"model": version, "input": texts})
        first, *others = _vectors(response, len(texts))
        return first, others, response

    async def _asked(
        self, evaluation: Evaluation, case: EvaluationCase, path: str, body: dict[str, Any]
    ) -> WholeResponse:
        """Ask on idle slots until an answer stands. Raises `EvaluationFailed`, where what answered is an error."""
        encoded = encode(body)
        failures = refusals = 0
        while True:
            known = access.working_key(self._directory, evaluation.key.identifier)
            if known is None:
                if not await in_database_at_last(key_of_evaluation_works, evaluation):
                    raise EvaluationFailed("The API key that it runs as was revoked or has expired.")
                await asyncio.sleep(_KEY_PAUSE)  # Redis lost the keys; they are published again soon
                continue
            identity = access.identified(known, evaluation.key.identifier)
            answer = await self._gateway.ask(identity, path, encoded, exact=True)
            if answer.status == 200:
                self._waits_for = ""
                return answer
            if answer.status == _UNAUTHENTICATED:
                await asyncio.sleep(_KEY_PAUSE)
                continue  # revoked while it ran: looked up again
            told = _error(answer)
            if (pause := pause_for_room(answer, refusals)) is not None:
                refusals, self._waits_for = refusals + 1, told
            elif (pause := pause_after(answer, failures)) is not None:
                failures += 1
            else:
                raise EvaluationFailed(f"Case '{case.name}': {body['model']} answered {answer.status}: {told}")
            await asyncio.sleep(pause)


def _chat(version: str, case: EvaluationCase) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": version,
        "messages": [{"role": each.role, "content": each.content} for each in case.messages],
        "temperature": case.temperature,
        "max_tokens": case.max_tokens,
    }
    if case.seed is not None:
        body["seed"] = case.seed
    if case.format == "json":
        body["response_format"] = {"type": "json_object"}
    elif case.format is not None:
        schema = {"name": "answer", "schema": case.format, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def _text(said: dict[str, Any]) -> str:
    return str(said["choices"][0]["message"].get("content") or "")


def _vectors(response: WholeResponse, count: int) -> list[list[float]]:
    found = [each["embedding"] for each in msgspec.json.decode(response.body)["data"]]
    if len(found) != count:
        raise CheckImpossible(f"{len(found)} embeddings came for {count} texts.")
    return found


def _error(answer: WholeResponse) -> str:
    try:
        told = msgspec.json.decode(answer.body)["error"]["message"]
    except (msgspec.DecodeError, KeyError, TypeError):
        return "no message"
    return str(told)


def _result(
    number: int,
    case: EvaluationCase,
    outcomes: list[CheckOutcome],
    text: str,
    response: WholeResponse,
    took: float,
    said: dict[str, Any] | None,
) -> CaseResult:
    usage = (said or msgspec.json.decode(response.body)).get("usage") or {}
    measured = response.measured
    return CaseResult(
        number=number,
        name=case.name,
        passed=all(each.passed for each in outcomes),
        checks=[_kept(each) for each in outcomes],
        answer=_storable(text[:MOST_ANSWER]),
        cut=len(text) > MOST_ANSWER,
        finish_reason=str(said["choices"][0].get("finish_reason") or "")[:32] if said is not None else "",
        prompt_tokens=usage.get("prompt_tokens"),
        completion_tokens=usage.get("completion_tokens") if said is not None else None,
        first_token_ms=measured.first_token_ms if said is not None else None,
        tokens_per_second=measured.tokens_per_second if said is not None else None,
        duration_ms=took * 1000,
        node=measured.node[:100],
        request=response.request[:32],
    )


def _kept(outcome: CheckOutcome) -> dict[str, Any]:
    told = outcome.as_json()
    return told | {"detail": _storable(told["detail"])}


def _storable(text: str) -> str:
    """Without what Postgres cannot hold."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
