"""What waits for whom now, for one screen: counts by who must act and what it is, never a person.

The parts of the platform's own books are the view `ops.waiting`; what waits for Kwadraad stands in the lists dbt makes,
which exist once a month was built.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from include.settings import Role
from include.warehouse.connection import connect


@dataclass(frozen=True)
class Waiting:
    """One line: who must act, on what kind of thing, of which months, how many, and since when at the longest."""

    waits_for: str
    kind: str
    months: list[str]
    subject: str
    items: int
    since: datetime | None


# accepted help and nobody came yet (as the daily reminder of the work list), and candidates nobody has decided about
_AT_KWADRAAD = """
    union all
    select
        'help_accepted', 'kwadraad', warm.signal_month, 'sheet Warm', count(*), min(warm.accepted_at)
    from outbound.out_kwadraad_warm as warm
    where warm.followup_started_on is null and not exists (
        select from ops.closure_items as items where items.case_id = warm.case_id and items.state = 'accepted'
    )
    group by warm.signal_month
    union all
    select 'escalation', 'kwadraad', signal_month, 'sheet Beoordelen', count(*), null::timestamptz
    from outbound.out_kwadraad_review
    where subject = 'escalation' and signal_month not in (select closed.signal_month from ops.closure_ledger as closed)
    group by signal_month
"""


def what_waits() -> list[Waiting]:
    """Everything that waits, one line for each who and what, the longest waiting first within who."""
    with connect(Role.TRANSFORMER) as connection, connection.cursor(row_factory=class_row(Waiting)) as cursor:
        built = connection.execute(
            "select to_regclass('outbound.out_kwadraad_warm') is not null"
            " and to_regclass('outbound.out_kwadraad_review') is not null"
        ).fetchone()[0]
        return cursor.execute(
            "with waiting as (select kind, waits_for, signal_month, subject, items, since from ops.waiting"
            f"{_AT_KWADRAAD if built else ''}) "
            "select waits_for, kind, array_agg(distinct signal_month order by signal_month) as months,"
            " min(subject) as subject, sum(items)::bigint as items, min(since) as since "
            "from waiting group by waits_for, kind order by waits_for, min(since), kind"
        ).fetchall()
