"""Quality gates: `run_gate("G2", month)` runs expectations/G2_matched.json on the warehouse, and stops or goes on.

Rule: a gate reads, never repairs. Every expectation leaves one row in `ops.gate_results`; a critical failure stops the
month, a warning or info is kept and the month goes on. Values of rows never leave the database: results are counts and
aggregates. No rule stands in this module. What one table must be like stands in its contract, and is judged by the gate
the contract names (`expectations/contracts/`, generated); what must hold between tables, or of a month, stands in the
suite of the gate, written by hand.

A suite names the role that may read what it judges, and its batches. A batch is a query (or a table, of which it takes
the month's rows) with Great Expectations' own expectations; `{month}` stands for the month. A rule over several tables
is an `unexpected_rows_expectation`: a query `from {batch}` (called `batch` in it) for the rows that break the rule.
Queries may be lists of lines.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Number
from typing import TYPE_CHECKING, Any

from psycopg import sql

from include.months import Month
from include.settings import EXPECTATIONS_FOLDER, Role, Settings
from include.warehouse.alerts import raise_alert, settle_alert
from include.warehouse.connection import connect
from include.warehouse.dbt import without_row_values

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult, Engine

log = logging.getLogger(__name__)

ALERT = "gate_stop"
Observed = Mapping[str, str | None]

MEND = "Mend the suite or the tables it reads, and rerun."

# Counts only: GX must not carry values of rows, in memory either.
RESULT_FORMAT = {"result_format": "SUMMARY", "partial_unexpected_count": 0, "exclude_unexpected_values": True}


class GateStopped(RuntimeError):
    """A critical rule does not hold; the message says which, how often, where to look and what to run next."""


class GateBroken(RuntimeError):
    """A rule could not be computed (a table or column is missing): no verdict, so the month does not go on."""


@dataclass(frozen=True)
class GateVerdict:
    """What a gate that let the month pass found; counts and rule names only."""

    gate: str
    signal_month: str
    rules: int
    passed: int
    warnings: tuple[str, ...]
    infos: tuple[str, ...]


@dataclass(frozen=True)
class Rule:
    """One expectation as the suite describes it to people."""

    name: str
    says: str
    severity: str
    expectation: str
    contract: str
    look_at: str


@dataclass(frozen=True)
class RuleResult:
    """One row of ops.gate_results."""

    rule: Rule
    success: bool
    checked_rows: int
    unexpected_rows: int | None
    observed: str | None


def run_gate(gate: str, month: Month, run_id: str | None = None) -> GateVerdict:
    """Judge the month; returns the verdict, or raises GateStopped when a critical rule fails."""
    suite = load_suite(gate)
    results = list(_judge(suite, month))
    failed = [result for result in results if not result.success]
    for result in failed:
        log.warning("%s of %s: %s failed (%s): %s", gate, month, result.rule.name, result.rule.severity, _found(result))
    critical = [result for result in failed if result.rule.severity == "critical"]
    stopped = _explain(suite, month, critical) if critical else None
    _store(suite, month, run_id, results, stopped)
    if stopped:
        raise GateStopped(stopped)
    log.info("%s of %s: %s of %s rules hold", gate, month, len(results) - len(failed), len(results))
    return GateVerdict(
        gate=gate,
        signal_month=str(month),
        rules=len(results),
        passed=len(results) - len(failed),
        warnings=tuple(result.rule.name for result in failed if result.rule.severity == "warning"),
        infos=tuple(result.rule.name for result in failed if result.rule.severity == "info"),
    )


def load_suite(gate: str) -> Mapping[str, Any]:
    """The gate's suite as written by hand, followed by what the contracts leave to this gate."""
    paths = sorted(EXPECTATIONS_FOLDER.glob(f"{gate}_*.json"))
    if len(paths) != 1:
        known = ", ".join(path.stem for path in sorted(EXPECTATIONS_FOLDER.glob("G*_*.json")))
        raise ValueError(f"{gate!r} is not one gate in {EXPECTATIONS_FOLDER.name}/; there are: {known}")
    suite = json.loads(paths[0].read_text(encoding="utf-8"))
    return {**suite, "batches": [*suite["batches"], *_contracted_batches(gate)]}


def _contracted_batches(gate: str) -> Iterator[Mapping[str, Any]]:
    for path in sorted((EXPECTATIONS_FOLDER / "contracts").glob("*.json")):
        for batch in json.loads(path.read_text(encoding="utf-8"))["batches"]:
            if batch["gate"] == gate:
                yield batch


def _judge(suite: Mapping[str, Any], month: Month) -> Iterator[RuleResult]:
    """Every rule of the suite on the month, in the order of the suite."""
    # GX tells hundreds of lines about itself, at import and at every rule
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    logging.getLogger("great_expectations._docs_decorators").setLevel(logging.WARNING)
    # include.quality.counting takes the place of an expectation of GX, on purpose
    logging.getLogger("great_expectations.expectations.registry").setLevel(logging.ERROR)
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    import include.quality.counting  # noqa: F401

    role = Role[suite["role"].upper()]
    address = Settings.from_environment().dsn(role).replace("postgresql://", "postgresql+psycopg2://", 1)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    # one connection, so that what is computed once (_computed_once) is there for every rule
    warehouse = context.data_sources.add_postgres(
        "warehouse", connection_string=address, kwargs={"pool_size": 1, "max_overflow": 0}
    )
    engine = warehouse.get_execution_engine().engine
    try:
        for number, batch in enumerate(suite["batches"]):
            with _readable(suite, batch), engine.begin() as connection:
                query, checked_rows, observed = _computed_once(connection, batch, month, number)
            _ask_for_columns_only(engine, query)
            asset = warehouse.add_query_asset(batch["name"], query=query)
            expectations = [_expectation(expectation, month) for expectation in batch["expectations"]]
            definition = gx.ValidationDefinition(
                name=batch["name"],
                data=asset.add_batch_definition_whole_table("month"),
                suite=context.suites.add(gx.ExpectationSuite(name=batch["name"], expectations=expectations)),
            )
            answer = context.validation_definitions.add(definition).run(result_format=RESULT_FORMAT)
            found = {result.expectation_config.meta["rule"]: result for result in answer.results}
            for expectation in batch["expectations"]:
                name = expectation["meta"]["rule"]
                _refuse_unjudged(suite, name, found[name])
                yield _result(_rule(suite, batch, expectation), found[name], checked_rows, observed.get(name))
    finally:
        engine.dispose()


def _batch_query(batch: Mapping[str, Any], month: Month) -> str:
    if "table" in batch:
        return f"select * from {batch['table']} where signal_month = {_literal(month)}"
    return _text(batch["query"], month)


def _expectation(expectation: Mapping[str, Any], month: Month) -> dict[str, Any]:
    """The expectation as GX takes it: lists of lines joined, the month filled in."""
    arguments = dict(expectation["kwargs"])
    if "unexpected_rows_query" in arguments:
        query = _text(arguments["unexpected_rows_query"], month)
        # GX names the batch itself, but not in a query with a join: give it one name in both
        has_join = re.search(r"\bjoin\b", query, re.IGNORECASE)
        named = "{batch} as batch" if has_join else "(select * from {batch}) as batch"
        arguments["unexpected_rows_query"] = query.replace("{batch}", named)
    return {**expectation, "kwargs": arguments}


def _text(query: str | Sequence[str], month: Month) -> str:
    text = query if isinstance(query, str) else "\n".join(query)
    return text.replace("{month}", _literal(month))


def _literal(month: Month) -> str:
    # a Month can only be YYYY-MM; quoted as SQL all the same
    return sql.Literal(str(month)).as_string()


def _computed_once(
    connection: Connection, batch: Mapping[str, Any], month: Month, number: int
) -> tuple[str, int, Observed]:
    """The query rules read the batch by, how many rows it has (a gate that passed on nothing can be seen), and the
    aggregates rules want kept.

    Great Expectations runs the batch's query several times a rule, and rules may be twenty: what is more than the rows
    of one table is computed once, into a temporary table that goes with the connection.
    """
    query = _batch_query(batch, month)
    kept = [(e["meta"]["rule"], e["meta"]["observe"]) for e in batch["expectations"] if "observe" in e["meta"]]
    columns = "".join(f", max({column})::text" for _, column in kept)
    if not _reads_one_table(connection, query):
        _run(connection, f"create temporary table gate_batch_{number} as {query}")
        _run(connection, f"analyze gate_batch_{number}")
        query = f"select * from gate_batch_{number}"
    row = _run(connection, f"select count(*){columns} from ({query}) as batch").one()
    return query, row[0], dict(zip([rule for rule, _ in kept], row[1:], strict=True))


def _ask_for_columns_only(engine: Engine, query: str) -> None:
    """Great Expectations learns the names of a batch's columns by running its whole query, and would hold every row of
    the month in memory for them; what the database is asked is the same query without rows."""
    from sqlalchemy import event

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def without_rows(
        _connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool
    ) -> tuple[str, Any]:
        is_whole_batch = statement.strip() == query.strip()
        return f"select * from ({query}) as batch limit 0" if is_whole_batch else statement, parameters


def _reads_one_table(connection: Connection, query: str) -> bool:
    """True for the rows of one table, which no copy makes cheaper to read."""
    table = re.match(r"select \* from ([a-z_]+\.[a-z_]+) where [^()]*$", query)
    if not table:
        return False
    kind = _run(connection, f"select relkind from pg_class where oid = to_regclass('{table[1]}')").scalar()
    return kind in ("r", "p")


def _run(connection: Connection, statement: str) -> CursorResult[Any]:
    # a percent sign in a suite is a percent sign
    return connection.execution_options(no_parameters=True).exec_driver_sql(statement)


@contextmanager
def _readable(suite: Mapping[str, Any], batch: Mapping[str, Any]) -> Iterator[None]:
    """What cannot be read is neither passed nor failed; PostgreSQL may quote a row, so its own words do not go on."""
    from sqlalchemy.exc import DBAPIError, OperationalError

    try:
        yield
    except DBAPIError as error:
        message = f"Gate {suite['gate']} could not read {batch['name']}: {without_row_values(str(error.orig))} {MEND}"
        broken = ConnectionError if isinstance(error, OperationalError) else GateBroken
        raise broken(message) from None


def _rule(suite: Mapping[str, Any], batch: Mapping[str, Any], expectation: Mapping[str, Any]) -> Rule:
    meta = expectation["meta"]
    return Rule(
        name=meta["rule"],
        says=meta["says"],
        severity=expectation["severity"],
        expectation=expectation["type"],
        contract=meta.get("contract", suite["contract"]),
        look_at=meta.get("look_at", batch.get("look_at", batch.get("table", batch["name"]))),
    )


def _result(rule: Rule, result: Any, checked_rows: int, observed: str | None) -> RuleResult:
    counts = result.result
    unexpected = counts.get("unexpected_count")
    if rule.expectation == "unexpected_rows_expectation":
        unexpected = counts.get("observed_value")
    elif observed is None and isinstance(counts.get("observed_value"), Number):
        observed = str(counts["observed_value"])
    return RuleResult(rule, bool(result.success), checked_rows, unexpected, observed)


def _refuse_unjudged(suite: Mapping[str, Any], rule: str, result: Any) -> None:
    """A rule that could not be computed is neither passed nor failed."""
    reasons = list(_exceptions(result.exception_info or {}))
    if not reasons:
        return
    reason = without_row_values(reasons[0])
    message = f"Gate {suite['gate']} could not judge {rule}: {reason} {MEND}"
    if "OperationalError" in reasons[0]:
        raise ConnectionError(message)
    raise GateBroken(message)


def _exceptions(info: Mapping[str, Any]) -> Iterator[str]:
    """GX reports one exception flat, and several of one rule by metric."""
    for part in [info, *(value for value in info.values() if isinstance(value, Mapping))]:
        if part.get("raised_exception"):
            yield str(part.get("exception_message"))


def _store(
    suite: Mapping[str, Any], month: Month, run_id: str | None, results: Sequence[RuleResult], stopped: str | None
) -> None:
    """Every verdict; and the alert of a gate that stopped, until it lets the month pass."""
    with connect(Role[suite["role"].upper()]) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "insert into ops.gate_results (gate, suite, signal_month, run_id, expectation, rule, severity, success,"
            " checked_rows, unexpected_rows, observed) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    suite["gate"], f"{suite['gate']}_{suite['name']}", str(month), run_id, result.rule.expectation,
                    result.rule.name, result.rule.severity, result.success, result.checked_rows,
                    result.unexpected_rows, result.observed,
                )
                for result in results
            ],
        )  # fmt: skip
        if stopped:
            raise_alert(connection, ALERT, month, suite["gate"], stopped)
        else:
            settle_alert(connection, ALERT, month, suite["gate"])


def _found(result: RuleResult) -> str:
    if result.unexpected_rows is not None:
        where = f" ({result.observed})" if result.observed else ""
        return f"{result.unexpected_rows} found{where}, {result.checked_rows} checked"
    return f"{result.observed or 'nothing'} found, {result.checked_rows} checked"


def _explain(suite: Mapping[str, Any], month: Month, critical: Sequence[RuleResult]) -> str:
    lines = [f"Gate {suite['gate']} ({suite['name']}) stopped {month}: {len(critical)} critical rule(s) do not hold."]
    for result in critical:
        rule = result.rule
        lines.append(f"- {rule.name} [{rule.contract}]: {rule.says} {_found(result)}. Look at: {rule.look_at}.")
    lines.append(f"Next: {suite['next']}")
    lines.append(
        f"All verdicts: select rule, severity, success, unexpected_rows, checked_rows, observed from ops.gate_results "
        f"where gate = '{suite['gate']}' and signal_month = '{month}' order by result_id desc."
    )
    return "\n".join(lines)
