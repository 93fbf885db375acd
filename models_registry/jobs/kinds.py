"""What each kind of job does."""

from __future__ import annotations

from models_registry.actions.create import create_model
from models_registry.jobs.pull import pull
from models_registry.jobs.push import push
from models_registry.jobs.runner import Kinds
from models_registry.jobs.work import Work
from models_registry.models import Job
from ollamamax.kernel.principal import Principal


def create(acting: Principal, job: Job, work: Work) -> None:
    create_model(acting=acting, wanted=job.request, tell=work.tell)


KINDS: Kinds = {
    Job.Kind.CREATE: create,
    Job.Kind.PULL: pull,
    Job.Kind.PUSH: push,
}
