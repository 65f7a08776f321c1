"""What a person is asked before something leaves the house, with the counts that go into the question.

Counts only: the question stands in Airflow, where no personal data is. `{{ counts.… }}` is filled by the task
`count_<about>` that runs before the question.
"""

from __future__ import annotations

from dataclasses import dataclass

from include.months import Month
from include.settings import Role


@dataclass(frozen=True)
class Question:
    """A subject line and a body in Markdown, both templates."""

    subject: str
    body: str


QUESTIONS = {
    "call_list": Question(
        "Call list of {{ month }}: {{ counts.new_records }} new records to Certin?",
        "Persons to call: **{{ counts.call }}** (new on the list: {{ counts.new_records }}). Directly to Kwadraad: "
        "**{{ counts.direct }}**. Without a number: {{ counts.letter }} letters, {{ counts.visit }} visits. "
        "Not picked up: {{ counts.not_picked_up }}. Gate verdicts: ops.gate_results. No answer is a no.",
    ),
    "closure": Question(
        "{% if counts.version > 1 %}Restate {{ month }} as version {{ counts.version }}{% else %}Close {{ month }}"
        "{% endif %}: {{ counts.closed }} of {{ counts.opened }} cases?",
        "{% if counts.version > 1 %}{{ month }} is closed; version {{ counts.version - 1 }} stays readable. New since: "
        "**{{ counts.reason }}**. To RIS go {{ counts.to_close }} cases that can be closed now. {% endif %}"
        "Opened **{{ counts.opened }}** = closed **{{ counts.closed }}** + open {{ counts.open }} + excluded "
        "{{ counts.excluded }}. Reasons: intermediate.int_closures__proposed. No answer is a no.",
    ),
}


def call_list_counts(month: Month) -> dict[str, int]:
    """How many persons go where, and how many call records are new on Certin's list."""
    from include.warehouse.connection import connect

    with connect(Role.TRANSFORMER) as connection:
        routes = connection.execute(
            "select route, count(*) from intermediate.int_routes where signal_month = %s group by route", (str(month),)
        ).fetchall()
        new = connection.execute(
            "select count(*) from outbound.out_certin_call_list as list where signal_month = %s"
            " and not exists (select from ops.call_records as sent where sent.call_record_id = list.call_record_id)",
            (str(month),),
        ).fetchone()[0]
    counts = dict(routes)
    return {
        "call": counts.get("call", 0),
        "new_records": new,
        "direct": sum(count for route, count in counts.items() if route.startswith("direct_")),
        "letter": counts.get("letter", 0),
        "visit": counts.get("visit", 0),
        "not_picked_up": counts.get("not_picked_up", 0),
    }


def closure_counts(month: Month) -> dict[str, int | str]:
    """How many cases would be closed, stay open and are excluded; of a restatement also why, and what goes to RIS."""
    from include.outbound.ris_closures import closures_to_send
    from include.warehouse.connection import connect
    from include.warehouse.restatements import restatement_of

    with connect(Role.TRANSFORMER) as connection:
        states = dict(
            connection.execute(
                "select state, count(*) from intermediate.int_closures__proposed"
                " where signal_month = %s group by state",
                (str(month),),
            ).fetchall()
        )
    counts = {state: states.get(state, 0) for state in ("closed", "open", "excluded")}
    restatement = restatement_of(month)
    return {
        "opened": sum(counts.values()),
        **counts,
        "to_close": closures_to_send(month),
        "version": restatement.version if restatement else 1,
        "reason": restatement.reason if restatement else "",
    }
