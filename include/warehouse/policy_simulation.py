"""What months would have been under other rules: `simulate(changes, months)`.

Rule: the same models are run, under dbt's target `simulation`, over the same signals and persons; only the rules a file
names, and what follows from them, get schemas of their own (`simulation_…`), which are dropped afterwards. So there is
one place for a rule, and nothing of the month itself is written. Months are simulated in order: the next one sees what
the simulated one picked up.

What a simulation cannot know: how people who were not called would have answered, and numbers nobody looked up. The
second is counted (`never_looked_up`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from psycopg import Connection, sql
from psycopg.rows import class_row, dict_row

from include.months import Month
from include.settings import Role
from include.warehouse.connection import connect
from include.warehouse.dbt import run_elsewhere
from include.warehouse.rule_changes import KEYS, RuleChanges, RuleFileWrong, changed_rows

TARGET = "simulation"
SELECTOR = "config.meta.simulated:true"
RULES, MODELS = "simulation_staging", "simulation_intermediate"
#: the models a simulated month reads of the months before it
HISTORY = ("int_signals__matched",)


class NothingToSimulate(RuntimeError):
    """A month was never built, or its persons are gone."""


@dataclass(frozen=True)
class Counts:
    """One route in one month, as it was and as it would have been. Route `all` counts every signal and case once."""

    signal_month: str
    route: str
    signals: int
    cases: int
    calls: int
    simulated_signals: int
    simulated_cases: int
    simulated_calls: int


@dataclass
class Simulation:
    """All months, and what to know when reading them."""

    name: str
    counts: list[Counts] = field(default_factory=list)
    #: persons who got no letter or visit, would have, and for whom no number was ever looked up
    never_looked_up: int = 0


def simulate(changes: RuleChanges, months: Sequence[Month]) -> Simulation:
    """Both counts of every month; the real tables are only read."""
    months = sorted(months)
    found = Simulation(changes.name)
    with _one_at_a_time() as connection:
        _refuse_unbuilt(connection, months)
        try:
            _prepare(connection, changes, months[0])
            run_elsewhere(TARGET, SELECTOR, months, lambda month: _count(connection, month, found))
        finally:
            drop_simulation(connection)
    return found


def drop_simulation(connection: Connection) -> None:
    """Nothing of a simulation stays, also not of one that was killed."""
    connection.execute(f"drop schema if exists {MODELS}, {RULES} cascade")


@contextmanager
def _one_at_a_time() -> Iterator[Connection]:
    with connect(Role.TRANSFORMER, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(hashtext('vs:simulation'))")
        yield connection  # the lock ends with the connection


def _refuse_unbuilt(connection: Connection, months: Sequence[Month]) -> None:
    built = {month for (month,) in connection.execute("select distinct signal_month from intermediate.int_routes")}
    missing = [str(month) for month in months if str(month) not in built]
    if missing:
        raise NothingToSimulate(
            f"{', '.join(missing)} has no routes: it was never built, or its persons were purged. "
            f"What can be simulated: {', '.join(sorted(built)) or 'nothing yet'}."
        )


def _prepare(connection: Connection, changes: RuleChanges, first: Month) -> None:
    """The rules as they would be, and empty tables like the real ones, with the history the first month reads."""
    drop_simulation(connection)
    connection.execute(f"create schema {RULES}; create schema {MODELS}")
    for seed in KEYS:
        _write_rules(connection, changes, seed)
    for model in HISTORY:
        connection.execute(
            sql.SQL("create table {new} (like {old} including all); insert into {new} select * from {old}").format(
                new=sql.Identifier(MODELS, model), old=sql.Identifier("intermediate", model)
            )
            + sql.SQL(" where signal_month < {}").format(sql.Literal(str(first)))
        )


def _write_rules(connection: Connection, changes: RuleChanges, seed: str) -> None:
    old, new = sql.Identifier("staging", seed), sql.Identifier(RULES, seed)
    connection.execute(sql.SQL("create table {} (like {})").format(new, old))
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(sql.SQL("select * from {}").format(old)).fetchall()
    rows = changed_rows(seed, rows, changes.by_seed.get(seed, ()))
    names = sql.SQL(", ").join(map(sql.Identifier, rows[0]))
    places = sql.SQL(", ").join(map(sql.Placeholder, rows[0]))
    with connection.cursor() as cursor:
        try:
            cursor.executemany(sql.SQL("insert into {} ({}) values ({})").format(new, names, places), rows)
        except psycopg.DataError as error:
            raise RuleFileWrong(f"A value for {seed} does not fit its column: {error.diag.message_primary}") from error


_COUNTED = """
    select
        coalesce(routes.route, 'not_picked_up') as route, signals.signal_id, signals.case_id,
        case when routes.route = 'call' then routes.call_record_id end as called
    from {schema}.int_signals__matched as signals
    left join {schema}.int_routes as routes
        on routes.signal_month = signals.signal_month and routes.person_id = signals.person_id
        and routes.case_id = signals.case_id
    where signals.signal_month = %(month)s
"""

_COMPARED = f"""
with was as ({_COUNTED.format(schema="intermediate")}),
would_be as ({_COUNTED.format(schema=MODELS)}),
routes as (
    select route, route_order from staging.routes
    union all
    select 'all', 1000
)
select
    %(month)s as signal_month, routes.route,
    was.signals, was.cases, was.calls,
    would_be.signals as simulated_signals, would_be.cases as simulated_cases, would_be.calls as simulated_calls
from routes
cross join lateral (
    select count(*)::integer as signals, count(distinct case_id)::integer as cases,
        count(distinct called)::integer as calls
    from was where routes.route in (was.route, 'all')
) as was
cross join lateral (
    select count(*)::integer as signals, count(distinct case_id)::integer as cases,
        count(distinct called)::integer as calls
    from would_be where routes.route in (would_be.route, 'all')
) as would_be
order by routes.route_order
"""

_NEVER_LOOKED_UP = f"""
select count(*)::integer
from {MODELS}.int_routes as routes
inner join {MODELS}.int_case_persons as persons
    on persons.call_record_id = routes.call_record_id and persons.signal_month = routes.signal_month
where routes.signal_month = %(month)s and routes.route in ('letter', 'visit')
    and not exists (select from ops.enrichment_requests as asked where asked.request_id = persons.request_id)
    and not exists (
        select from intermediate.int_routes as was
        where was.call_record_id = routes.call_record_id and was.signal_month = routes.signal_month
            and was.route in ('letter', 'visit')
    )
"""


def _count(connection: Connection, month: Month, found: Simulation) -> None:
    parameters = {"month": str(month)}
    with connection.cursor(row_factory=class_row(Counts)) as cursor:
        found.counts += cursor.execute(_COMPARED, parameters).fetchall()
    (never_looked_up,) = connection.execute(_NEVER_LOOKED_UP, parameters).fetchone()
    found.never_looked_up += never_looked_up


def totals(simulation: Simulation) -> list[Counts]:
    """All months together, route by route, in the order of the months' routes."""
    numbers = ("signals", "cases", "calls", "simulated_signals", "simulated_cases", "simulated_calls")
    summed: dict[str, list[int]] = {}
    for one in simulation.counts:
        so_far = summed.setdefault(one.route, [0] * len(numbers))
        summed[one.route] = [sum(pair) for pair in zip(so_far, (getattr(one, name) for name in numbers), strict=True)]
    return [Counts("all", route, *values) for route, values in summed.items()]
