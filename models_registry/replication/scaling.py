"""ScalingTerms: what a tenant decided about the number of a model's replicas in memory: the objective, how slowly they leave, and bounds by the time of day.

Pure: no Django, no database.
"""

from __future__ import annotations

import datetime
import zoneinfo

import msgspec
from celery.schedules import ParseException, crontab

from cluster.autoscaling.decision import ScalingObjective

LEAST_MS, MOST_MS = 50, 600_000
LEAST_SHARE, MOST_SHARE = 50, 99
"""Percent. With all of them no number of replicas would do."""
LEAST_COOL_DOWN, MOST_COOL_DOWN = 60, 86_400
MOST_SCHEDULES = 20
MOST_SCALED = 10_000


class ScalingSchedule(msgspec.Struct, frozen=True, omit_defaults=True):
    """Bounds that count in each minute that ``cron`` names (minute, hour, day of the month, month, day of the week), in the place of the terms' own."""

    cron: str
    least: int = 0
    most: int | None = None
    zone: str = "UTC"
    """A name of the IANA database, such as Europe/Berlin."""

    def counts(self, now: datetime.datetime) -> bool:
        at, when = now.astimezone(zoneinfo.ZoneInfo(self.zone)), crontab.from_string(self.cron)
        return (
            at.minute in when.minute
            and at.hour in when.hour
            and at.day in when.day_of_month
            and at.month in when.month_of_year
            and at.isoweekday() % 7 in when.day_of_week
        )


class ScalingTerms(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of ``share`` percent of the requests: at most so many milliseconds in the queue, or from receipt to the first token; one of both, or both."""

    queue_wait_ms: int | None = None
    first_token_ms: int | None = None
    share: int = 95
    cool_down_seconds: int = 600
    """Replicas leave when nothing asked for them for so long."""
    zero_after_seconds: int | None = 600
    """After so long without a request the last one leaves, too, where none is expected; ``None``: it stays."""
    schedules: tuple[ScalingSchedule, ...] = ()
    """The first one that counts now."""

    def objective(self, now: datetime.datetime, least: int, most: int | None) -> ScalingObjective:
        """With the bounds of the terms, or of the schedule that counts now."""
        found = next((each for each in self.schedules if each.counts(now)), None)
        return ScalingObjective(
            wait=None if self.queue_wait_ms is None else self.queue_wait_ms / 1000,
            first_token=None if self.first_token_ms is None else self.first_token_ms / 1000,
            share=self.share / 100,
            cool_down=float(self.cool_down_seconds),
            zero_after=None if self.zero_after_seconds is None else float(self.zero_after_seconds),
            least=least if found is None else found.least,
            most=most if found is None else found.most,
        )


def objection(terms: ScalingTerms) -> str | None:
    """Why these terms cannot be; ``None`` for good ones."""
    if terms.queue_wait_ms is None and terms.first_token_ms is None:
        return "An objective has 'queue_wait_ms', 'first_token_ms', or both."
    for each in terms.schedules:
        if each.most is not None and each.most < each.least:
            return f"In the schedule '{each.cron}' 'most' is {each.most}, and 'least' {each.least}: it cannot be less."
        try:
            crontab.from_string(each.cron)
        except (ParseException, ValueError):
            return f"'{each.cron}' is no schedule: it has a minute, an hour, a day, a month and a day of the week, as cron has them."
        if each.zone not in zoneinfo.available_timezones():
            return f"'{each.zone}' is no time zone of the IANA database."
    return None
