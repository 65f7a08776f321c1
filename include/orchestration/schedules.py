"""When each DAG runs. The partition key of a monthly DAG is its signal month, `YYYY-MM`.

With `VS_SCHEDULES=off` nothing starts by the clock: months of the past are then driven by hand, through the REST API
with `{"logical_date": null, "partition_key": "2024-06"}`, which works with the schedules on as well. Asset schedules
stay on in both cases. To move a day or an hour, change it here.
"""

from airflow.sdk import (
    Asset,
    CronPartitionTimetable,
    CronTriggerTimetable,
    PartitionedAssetTimetable,
    PartitionedAtRuntime,
)
from airflow.sdk.bases.timetable import BaseTimetable

from include.settings import Settings

TIMEZONE = "Europe/Amsterdam"
KEY_FORMAT = "%Y-%m"


def at_month_start() -> BaseTimetable:
    """The 1st at 06:00, for the month that begins."""
    return _monthly("0 6 1 * *")


def after_month_end() -> BaseTimetable:
    """The 1st at 06:00, for the month that has ended."""
    return _monthly("0 6 1 * *", run_offset=-1)


def every_morning() -> BaseTimetable | None:
    """Every day at 08:30; the months are found in the data, so there is no partition."""
    return CronTriggerTimetable("30 8 * * *", timezone=TIMEZONE) if _schedules_on() else None


def every_day_early() -> BaseTimetable | None:
    """Every day at 07:30, before the outcomes come in; the months are found in the inboxes."""
    return CronTriggerTimetable("30 7 * * *", timezone=TIMEZONE) if _schedules_on() else None


def every_day_after_the_news() -> BaseTimetable | None:
    """Every day at 09:15, when the deliveries and outcomes of the morning are in."""
    return CronTriggerTimetable("15 9 * * *", timezone=TIMEZONE) if _schedules_on() else None


def when(asset: Asset) -> BaseTimetable:
    """As soon as `asset` is there for a month, for that month."""
    return PartitionedAssetTimetable(asset)


def _monthly(cron: str, run_offset: int | None = None) -> BaseTimetable:
    if not _schedules_on():
        return PartitionedAtRuntime()
    return CronPartitionTimetable(cron, timezone=TIMEZONE, run_offset=run_offset, key_format=KEY_FORMAT)


def _schedules_on() -> bool:
    return Settings.from_environment().schedules_on
