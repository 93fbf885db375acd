"""Errors of the registry protocol, in the words of the distribution specification ("Error Codes"), and what others become there. Pure."""

from __future__ import annotations

from typing import Any

from ollamamax.kernel import errors


class RegistryFault(errors.OllamaMaxError):
    """``oci`` is the specification's code."""

    def __init__(self, oci: str, status: int, message: str, **detail: Any) -> None:
        super().__init__(message, **detail)
        self.oci, self.status = oci, status
        self.code = oci.lower()


def name_invalid(name: str) -> RegistryFault:
    return RegistryFault("NAME_INVALID", 400, "This is not a name of a repository.", name=name[:300])


def name_unknown(name: str) -> RegistryFault:
    return RegistryFault("NAME_UNKNOWN", 404, "There is no such repository.", name=name)


def manifest_unknown(reference: str) -> RegistryFault:
    return RegistryFault("MANIFEST_UNKNOWN", 404, "There is no such manifest.", reference=reference)


def manifest_invalid(why: str) -> RegistryFault:
    return RegistryFault("MANIFEST_INVALID", 400, why)


def blob_unknown(digest: str) -> RegistryFault:
    return RegistryFault("BLOB_UNKNOWN", 404, "The repository has no such blob.", digest=digest[:100])


def digest_invalid(why: str) -> RegistryFault:
    return RegistryFault("DIGEST_INVALID", 400, why)


def upload_unknown() -> RegistryFault:
    return RegistryFault("BLOB_UPLOAD_UNKNOWN", 404, "There is no such upload, or it is over.")


def size_invalid(why: str) -> RegistryFault:
    return RegistryFault("SIZE_INVALID", 400, why)


_CODES: dict[int, str] = {
    400: "UNSUPPORTED",
    401: "UNAUTHORIZED",
    403: "DENIED",
    404: "NAME_UNKNOWN",
    405: "UNSUPPORTED",
    409: "DENIED",
    413: "SIZE_INVALID",
    429: "TOOMANYREQUESTS",
    503: "UNAVAILABLE",
    507: "UNAVAILABLE",
}


def told(error: errors.OllamaMaxError) -> dict[str, Any]:
    """The body of the answer."""
    code = error.oci if isinstance(error, RegistryFault) else _CODES.get(error.status, "UNKNOWN")
    return {"errors": [{"code": code, "message": error.message, "detail": error.fields or None}]}
