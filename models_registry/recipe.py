"""What `create` is asked for, and what of it can be honoured: Ollama's request, checked and put in order. Pure."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from cluster.engines.recipe import PARAMETERS
from cluster.engines.template import try_out
from models_registry import manifest as manifests
from models_registry.blob_keys import DIGEST
from models_registry.modelfile import as_fields, parse
from models_registry.spelling import shortest
from ollamamax.contract.as_ollama import OllamaFields
from ollamamax.contract.fields import RefusedField
from ollamamax.contract.ignored import Ignored
from ollamamax.kernel.errors import InvalidRequest, Unsupported

ROLES = frozenset({"system", "user", "assistant"})


class CreateRequest(msgspec.Struct, rename={"from_": "from"}, forbid_unknown_fields=True):
    """The body of ``/api/create``; ``name`` is the older word for ``model``, ``quantization`` for ``quantize``.

    ``modelfile`` is how clients from before Ollama 0.5.5 say all of it; fields go before what it says.
    """

    model: str = ""
    name: str = ""
    stream: bool | None = None
    from_: str = ""
    files: dict[str, str] | None = None
    adapters: dict[str, str] | None = None
    template: str = ""
    system: str = ""
    license: str | list[str] | None = None
    parameters: dict[str, Any] | None = None
    messages: list[dict[str, Any]] | None = None
    modelfile: str = ""
    # RefusedField, by `FIELDS`.
    quantize: str = ""
    quantization: str = ""
    renderer: str = ""
    parser: str = ""
    requires: str = ""
    info: dict[str, Any] | None = None
    remote_host: str = ""
    path: str = ""


_QUANTIZED = RefusedField("the llamacpp engine here cannot quantize: quantize the file first", ("",))
FIELDS = OllamaFields(
    CreateRequest,
    refused={
        "quantize": _QUANTIZED,
        "quantization": _QUANTIZED,
        "renderer": RefusedField("no engine here has Ollama's renderers", ("",)),
        "parser": RefusedField("no engine here has Ollama's parsers", ("",)),
        "requires": RefusedField("there is no Ollama here whose version could be asked for", ("",)),
        "info": RefusedField("a model says itself what it is", ({},)),
        "remote_host": RefusedField("models run on this fleet only", ("",)),
        "path": RefusedField("send the file as a blob and name it in 'files'", ("",)),
    },
)


def checked(request: CreateRequest) -> dict[str, Any]:
    """What the job is to do, as JSON. Raises `InvalidRequest` and `Unsupported`, naming the field."""
    if request.modelfile:
        request = _with_modelfile(request)
        FIELDS.obey(request, Ignored())
    name = new_name(request.model or request.name)
    if request.from_ and request.files:
        raise InvalidRequest("give either 'from' or 'files', not both", param="files")
    if not request.from_ and not request.files:
        raise InvalidRequest("neither 'from' or 'files' was specified", param="from")
    if request.template:
        try_out(request.template)
    wanted: dict[str, Any] = {"model": name}
    if request.from_:
        wanted["from"] = full_name(request.from_)
    wanted["files"] = digests("files", request.files)
    wanted["adapters"] = digests("adapters", request.adapters)
    for field in ("template", "system"):
        if text := getattr(request, field):
            wanted[field] = short(field, text)
    if request.license:
        texts = [request.license] if isinstance(request.license, str) else request.license
        wanted["license"] = [short("license", text) for text in texts]
    if request.parameters:
        wanted["parameters"] = parameters(request.parameters)
    if request.messages:
        wanted["messages"] = [message(each) for each in request.messages]
    return {field: value for field, value in wanted.items() if value}


def _with_modelfile(request: CreateRequest) -> CreateRequest:
    """The request with the fields that its Modelfile stands for, where it has none of its own."""
    said = as_fields(parse(request.modelfile))
    said["from_"] = said.pop("from", "")
    said["parameters"] = {name: _typed(name, values) for name, values in said.get("parameters", {}).items()}
    if request.from_ or request.files:
        said = {field: value for field, value in said.items() if field not in {"from_", "files"}}
    known = {field: value for field, value in said.items() if field in CreateRequest.__struct_fields__}
    unknown = said.keys() - known.keys()
    if unknown:
        raise Unsupported(f"{min(unknown).upper()} in a Modelfile is not supported.", param="modelfile")
    return msgspec.structs.replace(
        request, modelfile="", **{field: value for field, value in known.items() if not getattr(request, field)}
    )


def _typed(name: str, values: list[str]) -> Any:
    """A parameter out of a Modelfile, where all values are text; the first counts where there is one only."""
    kind = PARAMETERS.get(name)
    if kind is None or kind == list[str]:
        return values
    try:
        return msgspec.convert(values[0], kind, strict=False)
    except msgspec.ValidationError:
        return values[0]  # refused with its name, as any other of a wrong type


def new_name(text: str) -> str:
    """`full_name` of a model that is to be made here: one that begins with a slash is an engine's own."""
    if text.strip().startswith("/"):
        raise InvalidRequest("invalid model name", param="model")
    return full_name(text)


def full_name(text: str) -> str:
    """With its tag, and without what Ollama adds by itself. Raises `InvalidRequest` in Ollama's words."""
    try:
        model, tag = manifests.split_name(shortest(text))
    except InvalidRequest:
        raise InvalidRequest("invalid model name", param="model") from None
    return f"{model}:{tag}"


def digests(field: str, files: dict[str, str] | None) -> list[str]:
    """The digests of named files, in the order of their names."""
    found = []
    for name, digest in sorted((files or {}).items()):
        if not DIGEST.fullmatch(digest):
            raise InvalidRequest(f"invalid digest format for '{name}': {digest[:100]}", param=field)
        found.append(digest)
    return found


def parameters(given: dict[str, Any]) -> dict[str, Any]:
    """Each of its own type. Raises `Unsupported` for one that no engine here knows."""
    found = {}
    for name, value in given.items():
        if value is None:
            continue
        if name not in PARAMETERS:
            raise Unsupported(
                f"parameter '{name}' is not supported by the llamacpp engine.", param=f"parameters.{name}"
            )
        if name == "stop" and isinstance(value, str):
            value = [value]
        if PARAMETERS[name] is int and isinstance(value, float) and value.is_integer():
            value = int(value)
        try:
            found[name] = msgspec.convert(value, PARAMETERS[name])
        except msgspec.ValidationError:
            raise InvalidRequest(
                f"parameter '{name}' has a wrong value: {json.dumps(value)[:100]}", param=f"parameters.{name}"
            ) from None
    return found


def message(given: dict[str, Any]) -> dict[str, str]:
    role, content = given.get("role"), given.get("content", "")
    if role not in ROLES or not isinstance(content, str):
        raise InvalidRequest("a message has a role (system, user or assistant) and a text", param="messages")
    for field in ("images", "tool_calls"):
        if given.get(field):
            raise Unsupported(f"'{field}' in the messages of a model is not supported.", param="messages")
    return {"role": role, "content": short("messages", content)}


def short(field: str, text: str) -> str:
    if len(text.encode()) > manifests.MOST_TEXT:
        raise InvalidRequest(f"'{field}' is longer than {manifests.MOST_TEXT} bytes.", param=field)
    return text


def text_layers(wanted: dict[str, Any]) -> list[tuple[str, bytes]]:
    """The layers that the request itself holds: media type and bytes."""
    layers = [
        (media_type, wanted[field].encode())
        for field, media_type in (("template", manifests.TEMPLATE), ("system", manifests.SYSTEM))
        if field in wanted
    ]
    if "parameters" in wanted:
        layers.append((manifests.PARAMS, json.dumps(wanted["parameters"], sort_keys=True).encode()))
    if "messages" in wanted:
        layers.append((manifests.MESSAGES, json.dumps(wanted["messages"], ensure_ascii=False).encode()))
    return layers + [(manifests.LICENSE, text.encode()) for text in wanted.get("license", [])]
