"""Lines of a batch: what comes in, what goes out, in OpenAI's form. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import msgspec

from ollamamax.batches.queries.batch import BatchAnswer
from ollamamax.contract.from_client import decode
from ollamamax.gateway.http import encode
from ollamamax.gateway.whole_response import WholeResponse
from ollamamax.kernel.errors import InvalidRequest
from ollamamax.kernel.ids import new_id

MOST_CUSTOM_ID = 512


@dataclass(frozen=True)
class BatchLine:
    """One line, understood; ``body`` is the JSON as it stands in the file."""

    number: int
    custom_id: str
    model: str
    body: bytes


@dataclass(frozen=True)
class BatchProblem:
    """Why a batch was refused; ``number`` is the line, if it is about one."""

    code: str
    message: str
    param: str | None = None
    number: int | None = None

    def fields(self) -> dict[str, Any]:
        # Postgres keeps no zero bytes in JSON, and messages quote what callers sent.
        message = self.message.replace("\0", "\N{REPLACEMENT CHARACTER}")
        return {"code": self.code, "message": message, "param": self.param, "line": self.number}


class _Line(msgspec.Struct):
    custom_id: str
    method: str
    url: str
    body: msgspec.Raw


class _Body(msgspec.Struct):
    model: str
    stream: bool | None = None


_line = msgspec.json.Decoder(_Line)
_body = msgspec.json.Decoder(_Body)
_raw = msgspec.json.Decoder(msgspec.Raw)


def numbered(file: BinaryIO, most_bytes: int) -> Iterator[tuple[int, bytes | None]]:
    """The lines that are not blank, with their numbers from 1; ``None`` for one that is longer than ``most_bytes``."""
    number = 0
    while line := file.readline(most_bytes + 1):
        number += 1
        if len(line) > most_bytes:
            while line and not line.endswith(b"\n"):
                line = file.readline(1 << 20)
            yield number, None
        elif stripped := line.strip():
            yield number, stripped


def understand(number: int, line: bytes | None, endpoint: str) -> BatchLine | BatchProblem:
    """What a line asks, or what is wrong with it."""
    if line is None:
        return BatchProblem("line_too_long", "This line is longer than a request may be.", None, number)
    try:
        line.decode()
        decode(_raw, line)  # a field that is wrong must not hide that the rest is no JSON
    except (InvalidRequest, UnicodeDecodeError):
        return BatchProblem("invalid_json_line", "This line is not parseable as valid JSON.", None, number)
    try:
        found = decode(_line, line)
        body = decode(_body, bytes(found.body))
    except InvalidRequest as error:
        return BatchProblem("invalid_request", f"This line is no request of a batch: {error.message}", None, number)
    return _judge(number, found, body, endpoint)


def _judge(number: int, found: _Line, body: _Body, endpoint: str) -> BatchLine | BatchProblem:
    if not 0 < len(found.custom_id) <= MOST_CUSTOM_ID:
        message = f"The custom_id must have 1 to {MOST_CUSTOM_ID} characters."
        return BatchProblem("invalid_custom_id", message, "custom_id", number)
    if found.method != "POST":
        return BatchProblem("invalid_method", "The method must be POST.", "method", number)
    if found.url != endpoint:
        message = f"The URL '{found.url[:100]}' is not the batch's endpoint '{endpoint}'."
        return BatchProblem("mismatched_endpoint", message, "url", number)
    if body.stream:
        return BatchProblem("invalid_request", "A request of a batch cannot be streamed.", "body.stream", number)
    return BatchLine(number, found.custom_id, body.model, bytes(found.body))


def answered(request: BatchLine, answer: WholeResponse) -> BatchAnswer:
    """The output line of a request that was run, whether well or not."""
    response = {
        "status_code": answer.status,
        "request_id": answer.request,
        "body": msgspec.Raw(answer.body),
    }
    return BatchAnswer(request.number, answer.status < 300, _output(request.custom_id, response, None))


def not_run(request: BatchLine, code: str, message: str) -> bytes:
    """The line of a request that never had its turn."""
    return _output(request.custom_id, None, {"code": code, "message": message})


def _output(custom_id: str, response: dict[str, Any] | None, error: dict[str, str] | None) -> bytes:
    return encode({"id": f"batch_req_{new_id()}", "custom_id": custom_id, "response": response, "error": error})
