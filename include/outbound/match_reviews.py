"""Who is who, where the evidence was not enough: the open questions, and what a person answered.

Rule: two persons that may be one are never joined by a guess; the pair is a question on the sheet `Beoordelen` and a
row of `ops.match_reviews`. An answer is kept with who gave it, when and why, and every later build respects it, also a
rebuild from landing: accepted pairs are one person (at two addresses: known to each other, for recurrence only),
rejected ones are never linked or asked about again. An answer can be changed; the last one counts.
To change when something is asked: the seeds match_weights and match_rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from psycopg.rows import class_row

from include.months import Month
from include.settings import Role
from include.warehouse.connection import connect
from include.warehouse.logbook import logged

_COLUMNS = "review_id, signal_month, place, evidence, score, state, decided_by, decided_at, reason"


class NotAsked(RuntimeError):
    """There is no such question."""


@dataclass(frozen=True)
class Question:
    """Two persons that may be one, without saying who; the names are on Kwadraad's work list."""

    review_id: str
    signal_month: str
    place: str
    evidence: str
    score: Decimal
    state: str
    decided_by: str | None
    decided_at: datetime | None
    reason: str | None


def questions(month: Month | None = None, *, with_answered: bool = False) -> list[Question]:
    """The open questions (of a month), the likeliest first; with those that were answered, when asked for."""
    with connect(Role.EXPORTER) as connection, connection.cursor(row_factory=class_row(Question)) as cursor:
        return cursor.execute(
            f"select {_COLUMNS} from ops.match_reviews"
            " where signal_month = coalesce(%s, signal_month) and (state = 'open' or %s)"
            " order by state <> 'open', signal_month, score desc, review_id",
            (str(month) if month else None, with_answered),
        ).fetchall()


def answer(review_id: str, *, is_same_person: bool, decided_by: str, reason: str) -> Question:
    """Record a person's answer; it counts from the next build of a month."""
    with (
        logged("answer match question", actor=decided_by, object=review_id, reason=reason) as operation,
        connect(Role.EXPORTER) as connection,
        connection.cursor(row_factory=class_row(Question)) as cursor,
    ):
        answered = cursor.execute(
            "update ops.match_reviews set state = %s, decided_by = %s, decided_at = now(), reason = %s"
            f" where review_id = %s returning {_COLUMNS}",
            ("accepted" if is_same_person else "rejected", decided_by, reason, review_id),
        ).fetchone()
        if answered is None:
            raise NotAsked(
                f"{review_id} is no question, so there is nothing to answer. Which are: vs review list. A question that"
                " no longer arises (corrected data, another answer) leaves the list."
            )
        about = connection.execute(
            "select unnest(array[left_person_id, right_person_id]) from ops.match_reviews where review_id = %s",
            (review_id,),
        )
        operation.about(person_id for (person_id,) in about)
        operation.done(connection)
    return answered
