"""Takes in a bundle that was sent before."""

from __future__ import annotations

from models_registry.actions.bundle import forget_bundle, import_bundle
from models_registry.bundle.signing import BundleInvalid, SignerNotTrusted
from models_registry.jobs.work import Work
from models_registry.models import Job
from ollamamax.kernel.principal import Principal


def import_here(acting: Principal, job: Job, work: Work) -> None:
    """Of a bundle that is refused nothing is kept, but for one whose signer may come to be trusted."""
    digest = job.request["bundle"]
    try:
        work.imported = tuple(import_bundle(acting=acting, digest=digest, tell=work.tell_bytes))
    except SignerNotTrusted:
        raise
    except BundleInvalid:
        forget_bundle(acting=acting, digest=digest)
        raise
