"""What may no longer be kept is deleted, once a month, with a certificate: `purge_expired(month)`.

Rule (AVG art. 5(1)(e); the months are the municipality's, domain page §6): how long a table or a file is kept stands in
its contract (slaProperties `retention`, in months); what dbt builds in between has its term in dbt_project.yml (`meta`,
`retention_months`). A month M is expired for a term of n months when M lies n months or more before the purge's month.
Signals that were not picked up, and the rows and files as they were delivered, have the shorter term of their contract
(`retentionNotPickedUp`). In what dbt built their names and numbers go as soon as no month looks back at them
(`names_not_picked_up_months`); what is left of them is counted and accounted for.
Nothing is left out by forgetting it: the tables are looked up in the warehouse, and one without a term stops the purge.
What no contract describes (our own logs, answers to residents) has its term in own_terms.yml.
What stays: counts. KPIs of a purged month are kept by their own contract, and no stage is built again for a month that
has lost what the stage reads, because that would turn its numbers into zeros (`refuse_purged`).
What a restored backup brings back is deleted again, as is what was erased for somebody (forgetting.py).
"""

from __future__ import annotations

import logging
import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import yaml
from psycopg import sql

from include.contracts.registry import Contract, all_contracts
from include.exchange.folders import Exchange
from include.months import Month
from include.settings import DBT_PROJECT_FOLDER, Role, Settings
from include.warehouse.connection import connect
from include.warehouse.erasure import unrecognisable
from include.warehouse.person_tables import said, tables

log = logging.getLogger(__name__)

#: Schemas with rows of persons, and the marts; `ops` holds no personal data, `staging` is views and code lists.
SCHEMAS = ("landing", "intermediate", "outbound", "marts", "marts_public", "closed")
MONTH_COLUMNS = ("signal_month", "period")
OWN_TERMS = Path(__file__).with_name("own_terms.yml")
_MONTH_IN_NAME = re.compile(r"_(\d{6})(?:_|\.)")

#: Tables without a month of their own: how a row finds its month. What finds none is as old as its last change.
_MONTHS_OF = {
    "landing.ris_outcomes": "select call_record_id, signal_month from ops.call_records",
    "landing.ris_attempts": (
        "select outcomes.outcome_id, records.signal_month from landing.ris_outcomes as outcomes"
        " inner join ops.call_records as records using (call_record_id)"
    ),
    "landing.ris_followups": "select distinct case_id, signal_month from ops.call_records",
}
_KEY_OF = {
    "landing.ris_outcomes": "call_record_id",
    "landing.ris_attempts": "outcome_id",
    "landing.ris_followups": "case_id",
}


#: What a stage of a month reads: with any of it purged, the stage would say something else about the month.
_JUDGES, _COUNTS = ("matched", "enriched", "categorised"), ("closure", "marts")
_READ_BY = dict.fromkeys(_JUDGES, "kept = 'landing.signals' or kept like 'intermediate.%%'") | dict.fromkeys(
    _COUNTS,
    "kept in ('landing.ris_outcomes', 'landing.ris_attempts', 'landing.ris_followups', 'landing.enrichment_results')"
    " or kept like 'intermediate.%%'",
)


class NoTermOfRetention(RuntimeError):
    """A table with rows of persons has no term; nothing was purged."""


class MonthIsPurged(RuntimeError):
    """The persons of a month are gone; building it again would turn its numbers into zeros."""


@dataclass(frozen=True)
class Term:
    """How long something is kept: `kept` is a table (`landing.signals`) or a folder of the exchange."""

    kept: str
    what: str
    months: int

    def expired_through(self, month: Month) -> Month:
        """The last signal month whose term is over when the purge of `month` runs."""
        return month.plus(-self.months)


@dataclass(frozen=True)
class Certificate:
    """What one purge deleted of one table or folder; counts only."""

    kept: str
    what: str
    months_kept: int
    expired_through: str
    deleted: int


def purge_expired(month: Month) -> list[Certificate]:
    """Delete what is expired in `month`, files and rows, and certify it; safe to run again."""
    with connect(Role.ADMIN) as connection:
        terms = [*_table_terms(connection), *_own_table_terms()]
        certificates = [_purge_table(connection, term, month) for term in _children_first(terms)]
        certificates.append(_forget_names(connection, month))
        _certify(connection, month, certificates)
    with connect(Role.ADMIN, autocommit=True) as connection:
        delete, files = Exchange.from_settings().delete, []
        for term in _folder_terms():
            files.append(_purge_files(connection, month, term, _expired_in(term, month), delete))
        for term in _own_folder_terms():
            files.append(_purge_files(connection, month, term, _own_expired_in(term, month), os.unlink))
    for one in (*certificates, *files):
        if one.deleted:
            log.info("purged %s of %s (%s) through %s", one.deleted, one.kept, one.what, one.expired_through)
    return [*certificates, *files]


def refuse_purged(month: Month, stage: str) -> None:
    """Raise MonthIsPurged when what `stage` reads of `month` was purged."""
    with connect(Role.TRANSFORMER) as connection:
        purged = connection.execute(
            f"select purged_in, kept from ops.purge_certificates where ({_READ_BY[stage]}) and expired_through >= %s"
            " order by purged_in, kept limit 1",
            (str(month),),
        ).fetchone()
    if purged:
        raise MonthIsPurged(
            f"What {stage} reads of {month} was deleted by the purge of {purged[0]} ({purged[1]} and others). Its KPIs "
            "stand in marts and stay as they are; this stage is not built again. See ops.purge_certificates."
        )


# -- terms -------------------------------------------------------------------------------------------------------------


def _table_terms(connection: psycopg.Connection) -> Iterator[Term]:
    """A term for every table of SCHEMAS; NoTermOfRetention when one has none."""
    contracts = {table.label: contract for contract in all_contracts() for table in contract.tables}
    in_between, calendars = _terms_of_layers(), _without_persons()
    found = connection.execute(
        "select schemaname || '.' || tablename from pg_tables where schemaname = any(%s) order by 1", (list(SCHEMAS),)
    ).fetchall()
    without = []
    for (table,) in found:
        schema = table.partition(".")[0]
        # what a closed version kept of a mart is kept as long as the mart itself
        promised = f"marts.{table.partition('.')[2]}" if schema == "closed" else table
        if table in calendars:
            continue
        if promised in contracts:
            yield from _contract_terms(table, contracts[promised])
        elif schema in in_between:
            yield Term(table, "rows", in_between[schema])
        else:
            without.append(table)
    if without:
        raise NoTermOfRetention(
            f"{', '.join(without)}: no contract says how long it is kept. Nothing was purged. Write its contract in "
            "include/contracts/ (slaProperties, retention) and run the purge again."
        )


def _contract_terms(table: str, contract: Contract) -> Iterator[Term]:
    yield Term(table, "rows", contract.retention_months)
    if table == "landing.signals":
        yield Term(table, "rows not picked up", int(contract.sla["retentionNotPickedUp"]))


def _terms_of_layers() -> dict[str, int]:
    """The terms of dbt's layers, by schema."""
    return {
        layer["+schema"]: int(layer["+meta"]["retention_months"])
        for layer in _layers()
        if "retention_months" in layer.get("+meta", {})
    }


def _without_persons() -> set[str]:
    """Calendars and the like: they have months and nobody in them."""
    return {
        f"{layer['+schema']}.{table}"
        for layer in _layers()
        for table in layer.get("+meta", {}).get("without_persons", [])
    }


def _layers() -> list[dict]:
    project = yaml.safe_load((DBT_PROJECT_FOLDER / "dbt_project.yml").read_text(encoding="utf-8"))
    return list(project["models"][project["name"]].values())


def _folder_terms() -> Iterator[Term]:
    """A term for every folder that files lie in: the archive of what came in, and each outbox."""
    received = min(int(one.sla["retentionNotPickedUp"]) for one in all_contracts() if "retentionNotPickedUp" in one.sla)
    yield Term("archive", "files as they were received", received)
    # what nobody took in: of a sender without a contract, or never completed
    left: dict[str, int] = {}
    for contract in all_contracts():
        if contract.path.parent.name == "inbound":
            term = int(contract.sla.get("retentionNotPickedUp", contract.retention_months))
            left[contract.folder] = min(left.get(contract.folder, term), term)
    for sender in Exchange.from_settings().folders("inbox"):
        left.setdefault(f"inbox/{sender}", received)
    for folder, months in sorted(left.items()):
        yield Term(folder, "files nobody took in", months)
    outgoing: dict[str, int] = {}
    for contract in all_contracts():
        folder = contract.option("folder", "")
        if folder.startswith("outbox/"):
            # a folder below which every recipient has its own
            top = folder.partition("/<")[0]
            outgoing[top] = min(outgoing.get(top, contract.retention_months), contract.retention_months)
    for folder, months in sorted(outgoing.items()):
        yield Term(folder, "files that were sent", months)


def _own_terms() -> dict[str, dict[str, dict]]:
    return yaml.safe_load(OWN_TERMS.read_text(encoding="utf-8"))


def _own_table_terms() -> Iterator[Term]:
    for table, term in _own_terms()["tables"].items():
        yield Term(table, "rows", int(term["months"]))


def _own_folder_terms() -> Iterator[Term]:
    for folder, term in _own_terms()["folders"].items():
        yield Term(folder, term["what"], int(term["months"]))


# -- tables ------------------------------------------------------------------------------------------------------------


def _children_first(terms: list[Term]) -> list[Term]:
    """Attempts find their month through outcomes, and subjects theirs through operations, so they go before them."""
    first = ("landing.ris_attempts", "ops.processing_subjects")
    return sorted(terms, key=lambda term: (term.kept not in first, term.kept, term.months))


def _purge_table(connection: psycopg.Connection, term: Term, month: Month) -> Certificate:
    through = term.expired_through(month)
    condition = _condition(connection, term)
    deleted = 0
    if condition is not None:
        # rows of closed versions and of logs are only ever deleted here (closed.refuse_change, migration 013)
        is_kept = term.kept.startswith(("closed.", "ops."))
        connection.execute("select set_config('vs.purging', %s, true)", ("yes" if is_kept else "",))
        statement = sql.SQL("delete from {} where {}").format(sql.Identifier(*term.kept.split(".")), condition)
        deleted = connection.execute(statement, {"through": str(through)}).rowcount
    return Certificate(term.kept, term.what, term.months, str(through), deleted)


def _forget_names(connection: psycopg.Connection, month: Month) -> Certificate:
    """Who signals that were not picked up are about goes from dbt's tables; what was filled in is still counted.

    Of somebody who is not to be approached it stays as long as the table: by it that person is recognised.
    """
    (months,) = (
        int(layer["+meta"]["names_not_picked_up_months"])
        for layer in _layers()
        if "names_not_picked_up_months" in layer.get("+meta", {})
    )
    names, term = set(said()["names_and_numbers"]), Term("intermediate", "names of signals not picked up", months)
    through, forgotten = term.expired_through(month), 0
    for table in tables(connection):
        of_signals = table.name.startswith("intermediate.") and not table.is_view and "signal_id" in table.columns
        columns = {name: kind for name, kind in table.columns.items() if of_signals and name in names}
        if not columns:
            continue
        changes, is_done = unrecognisable(columns)
        statement = sql.SQL(
            "update {} as t set {} from intermediate.int_signals__matched as judged"
            " where judged.signal_id = t.signal_id and judged.signal_month = t.signal_month"
            " and judged.signal_month <= %(through)s and judged.case_id is null"
            " and judged.status_rule_id not like 'suppressed%%' and not ({})"
        ).format(table.identifier, changes, is_done)
        values = {"through": str(through), "salt": secrets.token_hex(32)}
        forgotten += connection.execute(statement, values).rowcount
    return Certificate(term.kept, term.what, term.months, str(through), forgotten)


def _condition(connection: psycopg.Connection, term: Term) -> sql.Composable | None:
    """Which rows are expired; None when the table is a code list that belongs to no month."""
    if term.what == "rows not picked up":
        return sql.SQL(
            "signal_month <= %(through)s and not exists (select from intermediate.int_signals__matched as matched"
            " where matched.signal_id = signals.signal_id and matched.signal_month = signals.signal_month"
            " and matched.case_id is not null)"
        )
    if term.kept == "ops.processing_subjects":
        return sql.SQL(
            "operation_id in (select operation_id from ops.processing_log"
            " where to_char(ended_at, 'YYYY-MM') <= %(through)s)"
        )
    if term.kept in _own_terms()["tables"]:
        written = sql.Identifier(_own_terms()["tables"][term.kept]["month_of"])
        return sql.SQL("to_char({}, 'YYYY-MM') <= %(through)s").format(written)
    if term.kept in _MONTHS_OF:
        key = sql.Identifier(_KEY_OF[term.kept])
        return sql.SQL(
            "({key} in (select {key} from ({months}) as months where signal_month <= %(through)s))"
            " or ({key} not in (select {key} from ({months}) as months)"
            " and to_char(updated_at, 'YYYY-MM') <= %(through)s)"
        ).format(key=key, months=sql.SQL(_MONTHS_OF[term.kept]))
    schema, table = term.kept.split(".")
    columns = {
        name
        for (name,) in connection.execute(
            "select column_name from information_schema.columns where table_schema = %s and table_name = %s",
            (schema, table),
        )
    }
    for name in MONTH_COLUMNS:
        if name in columns:
            return sql.SQL("{} <= %(through)s").format(sql.Identifier(name))
    if "updated_at" in columns:
        return sql.SQL("to_char(updated_at, 'YYYY-MM') <= %(through)s")
    return None


def _certify(connection: psycopg.Connection, month: Month, certificates: list[Certificate]) -> None:
    """One row for what was deleted; a purge that found nothing more leaves the first certificate as it is."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into ops.purge_certificates (purged_in, kept, what, months_kept, expired_through, deleted)"
            " values (%s, %s, %s, %s, %s, %s) on conflict (purged_in, kept, what) do update"
            " set deleted = ops.purge_certificates.deleted + excluded.deleted",
            [
                (str(month), one.kept, one.what, one.months_kept, one.expired_through, one.deleted)
                for one in certificates
            ],
        )


# -- files -------------------------------------------------------------------------------------------------------------


def _purge_files(
    connection: psycopg.Connection, month: Month, term: Term, expired: Sequence[str | Path], delete: Callable[..., None]
) -> Certificate:
    """Delete the files, announced before and certified after, each in a transaction of its own.

    What a purge that was killed half-way had announced, and is no longer there, it had deleted: it is certified first.
    """
    key = (str(month), term.kept, term.what)
    last = connection.execute(
        "select announced from ops.purge_certificates where (purged_in, kept, what) = (%s, %s, %s)", key
    ).fetchone()
    gone = max(last[0] - len(expired), 0) if last and last[0] is not None else 0
    through = str(term.expired_through(month))
    connection.execute(
        "insert into ops.purge_certificates (purged_in, kept, what, months_kept, expired_through, deleted, announced)"
        " values (%s, %s, %s, %s, %s, %s, %s) on conflict (purged_in, kept, what) do update"
        " set deleted = ops.purge_certificates.deleted + excluded.deleted, announced = excluded.announced",
        (*key, term.months, through, gone, len(expired)),
    )
    for path in expired:
        delete(path)
    connection.execute(
        "update ops.purge_certificates set deleted = deleted + announced, announced = null"
        " where (purged_in, kept, what) = (%s, %s, %s)",
        key,
    )
    return Certificate(term.kept, term.what, term.months, through, gone + len(expired))


def _expired_in(term: Term, month: Month) -> list[str]:
    """The exchange's files of expired months; the month of a file is that of its folder, or stands in its name.

    What lies in an inbox under another name is as old as its last change.
    """
    exchange, through = Exchange.from_settings(), term.expired_through(month)
    expired = []
    for path in exchange.all_files(term.kept):
        of = _month_of(path)
        if of is None and term.kept.startswith("inbox/"):
            of = _month_of_moment(exchange.changed_at(path))
        if of is not None and of <= through:
            expired.append(path)
    return expired


def _own_expired_in(term: Term, month: Month) -> list[Path]:
    """Our own files that were last written in an expired month."""
    settings, through = Settings.from_environment(), term.expired_through(month)
    folders = settings.log_folders if term.kept == "logs" else (settings.answers_folder,)
    expired = []
    for path in {path for folder in folders if folder.is_dir() for path in folder.rglob("*")}:
        if path.is_file() and not path.is_symlink():
            written = _month_of_moment(datetime.fromtimestamp(path.stat().st_mtime, UTC))
            if written is not None and written <= through:
                expired.append(path)
    return expired


def _month_of_moment(moment: datetime | None) -> Month | None:
    return Month(moment.year, moment.month) if moment else None


def _month_of(path: str) -> Month | None:
    folder = re.search(r"(?:^|/)(\d{4}-\d{2})/", path)
    named = _MONTH_IN_NAME.search(path.rsplit("/", 1)[-1])
    found = folder or named
    try:
        return Month.parse(found[1]) if found else None
    except ValueError:
        return None
