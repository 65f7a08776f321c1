"""Months of the synthetic municipality in a row, with a RIS that knows things late, corrects them and rejects closures.

Used by the short test and by the long one (`make bench-months`). What is counted on the way is returned, so that a test
can also say that something happened at all.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from include.months import Month
from include.outbound.ddas import check_delivered, require_valid
from include.settings import DBT_PROJECT_FOLDER, Role
from include.warehouse.closure_ledger import check_versions
from include.warehouse.connection import connect
from include.warehouse.restatements import Restatement, restatement_of
from tests import month_in_process


@dataclass
class Figures:
    """What a run of months came to."""

    hashes: dict[tuple[str, int], str] = field(default_factory=dict)
    waiting: dict[str, Restatement] = field(default_factory=dict)
    closures_rejected: int = 0
    reopened: int = 0
    results_corrected: int = 0
    newly_closed: int = 0
    ddas_files: int = 0
    ddas_warnings: int = 0
    feedback_files: int = 0
    feedback_rows: int = 0
    returned: int = 0
    found_again: int = 0
    moved_unreached: int = 0
    relapses: int = 0

    def __str__(self) -> str:
        counted = {name: value for name, value in vars(self).items() if isinstance(value, int)}
        late = "; ".join(str(one) for one in self.waiting.values())
        return "\n".join([f"{name:<18} {value}" for name, value in counted.items()] + [f"waiting: {late}"])


def run_months(months: Sequence[Month], exchange: Path, restated: Month, *, seed: int) -> Figures:
    """Deliver, run and close `months`; `restated` (not the last) is restated as soon as its late answers are there."""
    figures = Figures()
    for month in months:
        month_in_process.partners_deliver(month, exchange, seed=seed)
        month_in_process.run_month(month)
        _remember_version(figures, month)
        _account_for(month, version=1)
        if month.previous == restated:
            _restate(figures, restated)
        if month != months[0] and (waiting := _noticed(month.previous)):
            figures.waiting[str(month.previous)] = waiting
        _print_line(month)
    _look_back(figures, months, exchange)
    return figures


def _noticed(month: Month) -> Restatement | None:
    from include.outbound.closing import notice_what_came_late

    notice_what_came_late()
    return restatement_of(month)


def _restate(figures: Figures, month: Month) -> None:
    assert _noticed(month) is not None, f"{month} has nothing to restate: the sandbox told nothing late"
    before = as_closed(month, 1)
    month_in_process.restate(month)
    _remember_version(figures, month)
    _account_for(month, version=2)
    assert as_closed(month, 1) == before, "version 1 must stay readable as it was"
    assert as_closed(month, 2) != before
    assert _noticed(month) is None, "what was taken in does not wait any more"
    with connect(Role.EXPORTER) as connection:
        (again,) = connection.execute(
            "select count(*) from ops.closure_items as second inner join ops.closure_items as first"
            " on first.case_id = second.case_id and first.batch_id <> second.batch_id and first.state = 'accepted'"
            " inner join ops.closure_batches as batches on batches.batch_id = second.batch_id and batches.version = 2"
            " where second.signal_month = %s",
            (str(month),),
        ).fetchone()
        assert again == 0, "the second batch holds only cases that could not be closed before"
        figures.newly_closed, figures.reopened, figures.results_corrected = connection.execute(
            "select (select count(*) from ops.closure_items inner join ops.closure_batches using (batch_id)"
            "  where closure_batches.signal_month = %(month)s and version = 2 and closure_items.state = 'accepted'),"
            " count(*) filter (where is_reopened), count(*) filter (where is_result_corrected)"
            " from marts.fct_month_end_closures where signal_month = %(month)s",
            {"month": str(month)},
        ).fetchone()


def as_closed(month: Month, version: int) -> list[tuple]:
    """How every case stood in this version, as BI reads it."""
    with connect(Role.BI_READER) as connection:
        return connection.execute(
            "select case_id, state, reason, ddas_result, closed_on from closed.fct_month_end_closures"
            " where signal_month = %s and closed_version = %s order by case_id",
            (str(month), version),
        ).fetchall()


def _remember_version(figures: Figures, month: Month) -> None:
    newest = check_versions(month)[-1].entry
    figures.hashes[(str(month), newest.version)] = newest.content_hash


def _account_for(month: Month, version: int) -> None:
    """Opened = closed + open + excluded in this version, counted from the cases themselves."""
    with connect(Role.BI_READER) as connection:
        [books] = connection.execute(
            "select cases_opened, cases_closed, cases_open, cases_excluded, cases_unaccounted, arrears_opened_eur,"
            " arrears_closed_eur + arrears_open_eur + arrears_excluded_eur from closed.rpt_closure_accounting"
            " where signal_month = %s and closed_version = %s",
            (str(month), version),
        ).fetchall()
        [(cases,)] = connection.execute(
            "select count(distinct case_id) from marts.fct_cases where signal_month = %s", (str(month),)
        ).fetchall()
        [states] = connection.execute(
            "select count(*) filter (where state = 'closed'), count(*) filter (where state = 'open'),"
            " count(*) filter (where state = 'excluded') from closed.fct_month_end_closures"
            " where signal_month = %s and closed_version = %s",
            (str(month), version),
        ).fetchall()
    opened, closed, still_open, excluded, unaccounted, arrears, accounted = books
    assert opened == cases == closed + still_open + excluded, f"{month} version {version} does not balance"
    assert (closed, still_open, excluded) == states
    assert unaccounted == 0
    assert arrears == accounted
    assert min(closed, still_open, excluded) > 0, f"{month} shows only part of the states"


def _look_back(figures: Figures, months: Sequence[Month], exchange: Path) -> None:
    """After all months: every file and every version is what it was, and holds only what it may."""
    whitelist = allowed_statuses()
    for month in months:
        for check in check_versions(month):
            assert check.is_intact, f"{month} version {check.entry.version} changed"
            assert check.entry.content_hash == figures.hashes[(str(month), check.entry.version)]
        checked = check_delivered(month)
        figures.ddas_files += 1
        figures.ddas_warnings += len(checked.warnings)
        for file in sorted((exchange / "outbox" / "partners").glob(f"*/feedback_*_{month.compact}.csv")):
            with file.open(encoding="utf-8", newline="") as opened:
                statuses = [row["status"] for row in csv.DictReader(opened)]
            assert set(statuses) <= whitelist, f"{file.name} tells more than a partner may know"
            figures.feedback_files += 1
            figures.feedback_rows += len(statuses)
    for file in sorted((exchange / "outbox" / "cbs").glob("*.json")):
        require_valid(json.loads(file.read_text(encoding="utf-8")))
    with connect(Role.TRANSFORMER) as connection:
        (figures.closures_rejected,) = connection.execute(
            "select count(*) from marts.fct_month_end_closures where ris_state = 'rejected' and state = 'open'"
        ).fetchone()
        # who moved is on no address of before; without a refusal that still stands he is found as the same person
        figures.returned, figures.found_again, figures.moved_unreached, figures.relapses = connection.execute(
            "select count(*) filter (where ended_as in ('refused', 'not_reached') and case_id is not null),"
            " count(*) filter (where ended_as in ('refused', 'not_reached') and case_id is not null"
            "  and (is_consecutive or route = 'direct_recurring')),"
            " count(*) filter (where ended_as in ('refused', 'not_reached') and case_id is not null and is_same_person"
            "  and not (is_consecutive or route = 'direct_recurring') and not exists ("
            "   select from intermediate.int_signals__matched as now"
            "   inner join intermediate.int_signals__matched as earlier on earlier.address_key = now.address_key"
            "   where now.signal_id = back.signal_id and earlier.case_id = back.earlier_case_id)"
            "  and not exists (select from (select distinct on (outcome_id) result_code from landing.ris_outcomes"
            "    where case_id = back.earlier_case_id order by outcome_id, updated_at desc) as newest"
            "   inner join staging.outcome_consequences as consequences using (result_code)"
            "   where consequences.consequence = 'refused_help')),"
            " count(*) filter (where is_quick_fix_relapse) from marts.rpt_returning_signals as back"
        ).fetchone()


def allowed_statuses() -> set[str]:
    """The whitelist as the municipality keeps it."""
    with (DBT_PROJECT_FOLDER / "seeds" / "feedback_statuses.csv").open(encoding="utf-8", newline="") as file:
        return {row["partner_status"] for row in csv.DictReader(file)}


def _print_line(month: Month) -> None:
    for check in check_versions(month):
        entry = check.entry
        print(
            f"{month} v{entry.version}: opened {entry.cases_opened} = closed {entry.cases_closed} + open "
            f"{entry.cases_open} + excluded {entry.cases_excluded}; {entry.content_hash[:12]}",
            flush=True,
        )
