"""Escalation to Meldpunt Bezorgd or the crisis team: a list of candidates, and what a person decided about each.

Rule: nothing is ever referred by this platform. Who refused help before and has grown arrears is a candidate, only
where the municipality has switched that rule on (seed `route_rules`, rule `escalation_candidate`; off by default). A
person decides, on a ground of the dated list `escalation_grounds`, and the decision is kept for good; referring itself
is done by that person, outside. A candidate about whom is decided leaves the sheet `Beoordelen`. Reason: data given for
early signalling may not be used for another purpose by a rule, only by a judgement that can be accounted for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from psycopg.rows import class_row

from include.months import Month
from include.settings import Role
from include.warehouse.connection import connect
from include.warehouse.logbook import Operation, logged

RULE = "escalation_candidate"


class Recipient(StrEnum):
    """Who can be told, by the person who decides."""

    MELDPUNT_BEZORGD = "meldpunt_bezorgd"
    CRISISTEAM = "crisisteam"


class NotDecided(RuntimeError):
    """The decision cannot be recorded: no candidate, or a ground that does not carry it."""


@dataclass(frozen=True)
class Candidate:
    """A person in a case, without saying who; the name is on Kwadraad's work list."""

    signal_month: str
    call_record_id: str
    case_id: str
    refused_on: date | None
    refused_arrears_eur: Decimal | None
    arrears_eur: Decimal
    decision: str | None
    recipient: str | None
    ground: str | None


def candidates(month: Month | None = None) -> list[Candidate]:
    """Every candidate (of a month) with its newest decision, the undecided first."""
    with connect(Role.TRANSFORMER) as connection, connection.cursor(row_factory=class_row(Candidate)) as cursor:
        return cursor.execute(
            """
            select
                routes.signal_month, routes.call_record_id, routes.case_id, persons.refused_on,
                persons.refused_arrears_eur, persons.arrears_eur, decided.decision, decided.recipient, decided.ground
            from intermediate.int_routes as routes
            inner join intermediate.int_case_persons as persons
                on persons.call_record_id = routes.call_record_id and persons.signal_month = routes.signal_month
            left join staging.stg_escalation_decisions as decided on decided.call_record_id = routes.call_record_id
            where routes.is_escalation_candidate and routes.signal_month = coalesce(%s, routes.signal_month)
            order by decided.decision is not null, routes.signal_month, routes.call_record_id
            """,
            (str(month) if month else None,),
        ).fetchall()


def is_switched_on(month: Month) -> bool:
    """Whether the municipality has candidates listed at all, in this month."""
    with connect(Role.TRANSFORMER) as connection:
        row = connection.execute(
            "select 1 from staging.route_rules where rule_id = %s and is_enabled "
            "and %s between valid_from and coalesce(valid_to, 'infinity'::date)",
            (RULE, month.first_day),
        ).fetchone()
    return row is not None


def decide(call_record_id: str, recipient: Recipient | None, ground: str, decided_by: str) -> Candidate:
    """Record a person's decision about a candidate: refer to `recipient`, or not at all (None)."""
    with logged("decide escalation", actor=decided_by, object=call_record_id, reason=ground) as operation:
        operation.about([call_record_id])
        return _decide(call_record_id, recipient, ground, decided_by, operation)


def _decide(
    call_record_id: str, recipient: Recipient | None, ground: str, decided_by: str, operation: Operation
) -> Candidate:
    found = [one for one in candidates() if one.call_record_id == call_record_id]
    if not found:
        raise NotDecided(
            f"{call_record_id} is no escalation candidate, so there is nothing to decide. Who is: vs escalation list. "
            f"Candidates are only listed where the rule {RULE} is switched on (seed route_rules)."
        )
    decision = "refer" if recipient else "no_referral"
    known = grounds(Month.parse(found[0].signal_month))
    if known.get(ground) != decision:
        carried = ", ".join(sorted(name for name, carries in known.items() if carries == decision))
        raise NotDecided(
            f"The ground {ground!r} does not carry the decision {decision!r}; grounds that do: {carried}. Another "
            "ground is a dated row in the seed escalation_grounds, with its citation."
        )
    with connect(Role.EXPORTER) as connection:
        connection.execute(
            "insert into ops.escalation_decisions "
            "(signal_month, case_id, call_record_id, decision, recipient, ground, decided_by) "
            "values (%s, %s, %s, %s, %s, %s, %s)",
            (
                found[0].signal_month, found[0].case_id, call_record_id, decision,
                recipient.value if recipient else None, ground, decided_by,
            ),
        )  # fmt: skip
        operation.done(connection)
    return next(one for one in candidates() if one.call_record_id == call_record_id)


def grounds(month: Month) -> dict[str, str]:
    """The grounds of the month, each with the decision it carries."""
    with connect(Role.TRANSFORMER) as connection:
        return dict(
            connection.execute(
                "select ground, decision from staging.escalation_grounds "
                "where %s between valid_from and coalesce(valid_to, 'infinity'::date)",
                (month.first_day,),
            ).fetchall()
        )
