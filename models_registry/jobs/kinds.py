"""What each kind of job does: in the registry, or by the engines that keep the model by themselves."""

from __future__ import annotations

from models_registry.actions.create import create_model
from models_registry.jobs import engines, usable
from models_registry.jobs.bundle import import_here
from models_registry.jobs.pull import pull as pull_here
from models_registry.jobs.push import push
from models_registry.jobs.runner import Kinds
from models_registry.jobs.work import Work
from models_registry.models import Job
from models_registry.transfer.reference import Reference
from ollamamax.kernel.errors import ModelNotFound
from ollamamax.kernel.principal import Principal


def create(acting: Principal, job: Job, work: Work) -> None:
    if "from" in job.request and engines.is_kept_by_engines(job, job.request["from"]):
        engines.create(acting, job, work)
    else:
        version = create_model(acting=acting, wanted=job.request, tell=work.tell)
        loads = any(job.request.get(part) for part in ("template", "adapters"))
        usable.publish(acting, job, work, version, name=job.request["model"], loads=loads)


def pull(acting: Principal, job: Job, work: Work) -> None:
    """By the engines where they keep this name, or where no node runs what the registry has."""
    reference = Reference(**job.request)
    try:
        theirs = engines.is_kept_by_engines(job, reference.name)
    except ModelNotFound:
        theirs = not engines.hosts_blobs(job)
    if theirs:
        address = f"http://{reference.name}" if reference.scheme == "http" else reference.name
        body = {"model": address} | ({"insecure": True} if reference.scheme == "http" else {})
        engines.pull(acting, job, work, reference.name, body)
    else:
        pull_here(acting, job, work)


KINDS: Kinds = {
    Job.Kind.CREATE: create,
    Job.Kind.PULL: pull,
    Job.Kind.PUSH: push,
    Job.Kind.DELETE: engines.delete,
    Job.Kind.IMPORT: import_here,
}
