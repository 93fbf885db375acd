"""Jobs: one for the same words, one holder at a time, taken up again, given up in the end; and who may see and end them."""

from __future__ import annotations

import datetime
import threading

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from models_registry.actions import job as jobs
from models_registry.models import Job
from ollamamax.audit.models import AuditRecord
from ollamamax.env import Environment
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.errors import EngineFailed, Forbidden, Overloaded
from tests.cast import Person

pytestmark = pytest.mark.django_db(transaction=True)


def ask(person: Person, name: str = "m:1") -> Job:
    return jobs.submit_job(acting=person.acting, kind="pull", model=name, request={"model": name})


def row(job: Job) -> Job:
    with every_tenant():
        return Job.objects.get(pk=job.pk)


def lapse(job: Job) -> None:
    with every_tenant():
        Job.objects.filter(pk=job.pk).update(lease_until=timezone.now() - datetime.timedelta(seconds=1))


def test_the_same_words_are_the_same_job_until_it_is_over(owner: Person, stranger: Person) -> None:
    first = ask(owner)
    assert ask(owner).pk == first.pk
    assert ask(owner, "other:1").pk != first.pk
    assert ask(stranger).pk != first.pk
    asked = AuditRecord.objects.filter(chain=owner.tenant.id.hex, action="job.pull").order_by("seq")
    assert [each.detail["joined"] for each in asked] == [False, True, False]
    claimed = jobs.claim_job("a")
    assert claimed == first
    assert jobs.finish_job(first.pk, "a", [{"status": "x"}])
    assert row(first).state == Job.State.DONE
    assert ask(owner).pk != first.pk


def test_many_who_claim_get_each_job_once(owner: Person, stranger: Person) -> None:
    wanted = {ask(owner).pk, ask(stranger).pk}
    got: list[Job | None] = []

    def claim(number: int) -> None:
        got.append(jobs.claim_job(f"holder{number}"))
        connection.close()

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [job.pk for job in got if job is not None]
    assert sorted(found) == sorted(set(found))
    while (job := jobs.claim_job("rest")) is not None:
        found.append(job.pk)
    assert set(found) == wanted


def test_a_tenant_does_not_take_all_places(owner: Person, stranger: Person) -> None:
    for number in range(4):
        ask(owner, f"m:{number}")
    other = ask(stranger)
    claimed = [jobs.claim_job(f"h{number}") for number in range(4)]
    assert [each is not None for each in claimed] == [True, True, True, False]
    assert claimed[2] == other


def test_who_lost_a_job_cannot_change_it(owner: Person) -> None:
    job = ask(owner)
    jobs.claim_job("first")
    assert jobs.renew_job(job.pk, "first", [{"status": "half"}])
    assert jobs.claim_job("second") is None
    lapse(job)
    assert jobs.claim_job("second") == job
    assert not jobs.renew_job(job.pk, "first", [])
    assert not jobs.finish_job(job.pk, "first", [], EngineFailed("late"))
    jobs.release_job(job.pk, "first")
    found = row(job)
    assert (found.state, found.holder, found.attempts, found.progress) == ("running", "second", 2, [{"status": "half"}])


def test_a_job_that_ends_its_process_each_time_is_given_up(owner: Person) -> None:
    job = ask(owner)
    for number in range(jobs.MOST_ATTEMPTS):
        assert jobs.claim_job(f"h{number}") == job
        lapse(job)
    assert jobs.claim_job("last") is None
    found = row(job)
    assert (found.state, found.error_status) == ("failed", 500)
    assert "died" in found.error


def test_released_it_waits_again(owner: Person) -> None:
    job = ask(owner)
    jobs.claim_job("a")
    jobs.release_job(job.pk, "a")
    assert row(job).state == "waiting"
    assert jobs.claim_job("b") == job


def test_too_many_are_refused(owner: Person, member: Person, settings: Settings) -> None:
    settings.ENV = Environment({**settings.ENV.values, "OLLAMAMAX_MAX_JOBS_PER_TENANT": 2})
    for number in range(2):
        ask(owner, f"m:{number}")
    with pytest.raises(Overloaded):
        ask(owner, "one more")
    with pytest.raises(Forbidden):
        ask(member)


def test_jobs_are_seen_by_all_and_ended_by_some(
    owner: Person,
    owner_api: APIClient,
    member_api: APIClient,
    viewer_api: APIClient,
    stranger_api: APIClient,
    anonymous_api: APIClient,
) -> None:
    job = ask(owner)
    path = f"/api/v1/jobs/{job.pk}"
    for api in (owner_api, member_api, viewer_api):
        assert [each["id"] for each in api.get("/api/v1/jobs").json()["results"]] == [str(job.pk)]
        assert api.get(path).json()["state"] == "waiting"
    for api in (member_api, viewer_api):
        assert api.delete(path).status_code == 403
    assert stranger_api.get("/api/v1/jobs").json()["results"] == []
    assert stranger_api.get(path).status_code == stranger_api.delete(path).status_code == 404
    assert anonymous_api.get(path).status_code == 401
    assert owner_api.delete(path).status_code == 204
    assert owner_api.delete(path).status_code == 204
    assert owner_api.get(path).json()["state"] == "cancelled"
    assert AuditRecord.objects.filter(action="job.cancel").count() == 2
    assert jobs.claim_job("a") is None


def test_the_list_asks_the_database_as_often_for_many(
    owner: Person, owner_api: APIClient, django_assert_max_num_queries: object
) -> None:
    for number in range(20):
        ask(owner, f"m:{number}")
    with django_assert_max_num_queries(5):  # type: ignore[operator]
        assert len(owner_api.get("/api/v1/jobs").json()["results"]) == 20
