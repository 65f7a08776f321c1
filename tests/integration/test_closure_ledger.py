"""A closed month is one ledger row that nobody changes, that shows when the marts say something else, and that stays
readable when a person approved the next version."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from include.months import Month
from include.outbound.approvals import closing_subject, record_approval
from include.settings import Role
from include.warehouse.closure_ledger import (
    ClosedMonthChanged,
    NothingToClose,
    check_versions,
    close_month,
    first_unclosed_month_before,
    month_is_closed,
)
from include.warehouse.connection import connect
from include.warehouse.restatements import (
    NothingToRestate,
    propose_restatement,
    request_restatement,
    restatement_of,
)

COLUMNS = (
    "signal_month text, cases_opened integer, cases_closed integer, cases_open integer, cases_excluded integer, "
    "cases_unaccounted integer, arrears_closed_eur numeric"
)


@pytest.fixture
def month(warehouse: Path) -> Month:
    """June, ready to be closed; a new database state each time, because the ledger cannot be emptied."""
    with connect(Role.TRANSFORMER) as connection:
        connection.execute(f"create table if not exists marts.rpt_closure_accounting ({COLUMNS})")
        connection.execute(
            "create table if not exists marts.fct_month_end_closures"
            " (signal_month text, case_id text, is_reopened boolean)"
        )
        (used,) = connection.execute("select count(*) from ops.closure_batches").fetchone()
    month = Month(2010, 1).plus(used)
    account_for(month, opened=10, closed=6, still_open=3, excluded=1)
    with connect(Role.EXPORTER) as connection:
        connection.execute(
            "insert into ops.closure_batches (batch_id, signal_month, version, approved_by, items, state) "
            "values (%s, %s, 1, 'coordinator', 6, 'acknowledged')",
            (batch(month), str(month)),
        )
    return month


def answered_batch(month: Month, version: int) -> str:
    with connect(Role.EXPORTER) as connection:
        connection.execute(
            "insert into ops.closure_batches (batch_id, signal_month, version, approved_by, items, state) "
            "values (%s, %s, %s, 'coordinator', 0, 'acknowledged')",
            (f"{batch(month)}_{version}", str(month), version),
        )
    return f"{batch(month)}_{version}"


def decide(month: Month, decision: str) -> None:
    record_approval(month, "restatement", f"run of {month}", decision, "coordinator", datetime(2024, 7, 3, tzinfo=UTC))


def kept(query: str, *values: object) -> list[tuple]:
    with connect(Role.BI_READER) as connection:
        return connection.execute(query, values).fetchall()


def batch(month: Month) -> str:
    return f"batch_{month}"


def account_for(
    month: Month, *, opened: int, closed: int, still_open: int, excluded: int, arrears: str = "1234.50"
) -> None:
    with connect(Role.TRANSFORMER) as connection:
        connection.execute("delete from marts.rpt_closure_accounting where signal_month = %s", (str(month),))
        connection.execute(
            "insert into marts.rpt_closure_accounting values (%s, %s, %s, %s, %s, %s, %s)",
            (
                str(month),
                opened,
                closed,
                still_open,
                excluded,
                opened - closed - still_open - excluded,
                Decimal(arrears),
            ),
        )


def test_a_month_is_frozen_with_its_counts_and_its_hash(month: Month) -> None:
    assert not month_is_closed(month)
    entry = close_month(month, batch(month), "coordinator")
    assert (entry.version, entry.cases_opened, entry.cases_closed, entry.cases_open, entry.cases_excluded) == (
        1,
        10,
        6,
        3,
        1,
    )
    assert entry.arrears_closed_eur == Decimal("1234.50")
    assert len(entry.content_hash) == 64
    assert month_is_closed(month)


def test_closing_again_is_the_same_entry(month: Month) -> None:
    first = close_month(month, batch(month), "coordinator")
    assert close_month(month, batch(month), "somebody else") == first
    with connect(Role.EXPORTER) as connection:
        rows = connection.execute(
            "select count(*) from ops.closure_ledger where signal_month = %s", (str(month),)
        ).fetchone()
    assert rows == (1,)


def test_a_closed_month_that_says_something_else_is_refused(month: Month) -> None:
    close_month(month, batch(month), "coordinator")
    account_for(month, opened=10, closed=6, still_open=3, excluded=1, arrears="1234.51")
    with pytest.raises(ClosedMonthChanged, match="closed_version = 1"):
        close_month(month, batch(month), "coordinator")


def test_books_that_do_not_balance_are_not_closed(month: Month) -> None:
    account_for(month, opened=10, closed=6, still_open=3, excluded=0)
    with pytest.raises(NothingToClose, match="do not balance"):
        close_month(month, batch(month), "coordinator")
    assert not month_is_closed(month)


def test_without_acknowledgement_there_is_no_closure(month: Month) -> None:
    with connect(Role.EXPORTER) as connection:
        connection.execute("update ops.closure_batches set state = 'sent' where batch_id = %s", (batch(month),))
    with pytest.raises(NothingToClose, match="has not acknowledged"):
        close_month(month, batch(month), "coordinator")
    with pytest.raises(NothingToClose, match="no batch of version 1 of this month"):
        close_month(month, "batch_of_nobody", "coordinator")


def test_a_month_without_accounting_is_not_closed(month: Month) -> None:
    with connect(Role.TRANSFORMER) as connection:
        connection.execute("delete from marts.rpt_closure_accounting where signal_month = %s", (str(month),))
    with pytest.raises(NothingToClose, match="Build the stage `marts`"):
        close_month(month, batch(month), "coordinator")


@pytest.mark.parametrize(
    "change",
    [
        "update ops.closure_ledger set cases_closed = cases_closed",
        "delete from ops.closure_ledger",
        "truncate ops.closure_ledger",
    ],
)
def test_nobody_changes_the_ledger_not_even_the_administrator(month: Month, change: str) -> None:
    close_month(month, batch(month), "coordinator")
    for role in (Role.ADMIN, Role.EXPORTER):
        with connect(role) as connection, pytest.raises(psycopg.Error) as refused:
            connection.execute(change)
        assert isinstance(refused.value, psycopg.errors.InsufficientPrivilege | psycopg.errors.RaiseException)
        if role is Role.ADMIN:
            assert "append-only" in str(refused.value)


def test_a_restatement_is_the_next_version_and_leaves_the_first_readable(month: Month) -> None:
    first = close_month(month, batch(month), "coordinator")
    assert closing_subject(month) == "restatement"
    request_restatement(month, "the definition of a KPI was wrong")
    propose_restatement(month)
    decide(month, "approved")
    account_for(month, opened=10, closed=8, still_open=1, excluded=1, arrears="2000.00")
    second = close_month(month, answered_batch(month, 2), "coordinator")
    assert (second.version, second.cases_closed, second.reason) == (2, 8, "the definition of a KPI was wrong")
    assert second.content_hash != first.content_hash
    assert close_month(month, batch(month), "coordinator") == second, "closing again is the newest entry"
    as_closed = "select cases_closed from closed.rpt_closure_accounting where signal_month = %s and closed_version = %s"
    assert kept(as_closed, str(month), 1) == [(6,)]
    assert kept(as_closed, str(month), 2) == [(8,)]
    versions = "select closed_version, reason, is_newest from closed.months where signal_month = %s order by 1"
    assert kept(versions, str(month)) == [(1, None, False), (2, second.reason, True)]
    checks = check_versions(month)
    assert [check.entry.version for check in checks] == [1, 2]
    assert all(check.is_intact for check in checks)
    assert restatement_of(month) is None


def test_only_a_yes_makes_a_new_version(month: Month) -> None:
    first = close_month(month, batch(month), "coordinator")
    request_restatement(month, "asked for")
    propose_restatement(month)
    assert close_month(month, batch(month), "coordinator") == first
    decide(month, "rejected")
    assert close_month(month, batch(month), "coordinator") == first
    assert (restatement_of(month).state, restatement_of(month).decided_by) == ("declined", "coordinator")
    account_for(month, opened=10, closed=8, still_open=1, excluded=1)
    with pytest.raises(ClosedMonthChanged):
        close_month(month, answered_batch(month, 2), "coordinator")
    propose_restatement(month)
    decide(month, "approved")
    with pytest.raises(NothingToClose, match="no batch of version 2"):
        close_month(month, batch(month), "coordinator")


def test_an_open_month_has_nothing_to_restate(month: Month) -> None:
    with pytest.raises(NothingToRestate, match="is not closed"):
        request_restatement(month, "asked for")
    close_month(month, batch(month), "coordinator")
    with pytest.raises(NothingToRestate, match="nothing about"):
        propose_restatement(month)


def test_what_was_kept_shows_when_the_marts_of_a_closed_month_were_changed(month: Month) -> None:
    close_month(month, batch(month), "coordinator")
    account_for(month, opened=10, closed=7, still_open=2, excluded=1)
    (check,) = check_versions(month)
    assert check.kept_hash == check.entry.content_hash
    assert not check.is_intact


def test_a_later_column_of_a_mart_leaves_earlier_versions_as_they_were(month: Month) -> None:
    close_month(month, batch(month), "coordinator")
    with connect(Role.TRANSFORMER) as connection:
        connection.execute("alter table marts.rpt_closure_accounting add column if not exists added_later integer")
    other = month.plus(600)
    account_for(other, opened=1, closed=1, still_open=0, excluded=0)
    with connect(Role.TRANSFORMER) as connection:
        connection.execute(
            "update marts.rpt_closure_accounting set added_later = 7 where signal_month = %s", (str(other),)
        )
    close_month(other, answered_batch(other, 1), "coordinator")
    assert kept("select added_later from closed.rpt_closure_accounting where signal_month = %s", str(other)) == [(7,)]
    assert all(check.is_intact for check in [*check_versions(month), *check_versions(other)])


@pytest.mark.parametrize("change", ["update {} set cases_closed = 0", "delete from {}", "truncate {}"])
def test_nobody_changes_what_was_kept(month: Month, change: str) -> None:
    close_month(month, batch(month), "coordinator")
    for role in (Role.ADMIN, Role.EXPORTER, Role.TRANSFORMER):
        with connect(role) as connection, pytest.raises(psycopg.Error) as refused:
            connection.execute(change.format("closed.rpt_closure_accounting"))
        assert isinstance(refused.value, psycopg.errors.InsufficientPrivilege | psycopg.errors.RaiseException)


def test_only_a_version_of_the_ledger_is_kept_and_only_once(month: Month) -> None:
    keep = "select ops.keep_closed_month(%s, %s)"
    with connect(Role.EXPORTER) as connection, pytest.raises(psycopg.errors.RaiseException, match="nothing was kept"):
        connection.execute(keep, (str(month), 1))
    close_month(month, batch(month), "coordinator")
    with connect(Role.EXPORTER) as connection, pytest.raises(psycopg.errors.RaiseException, match="kept already"):
        connection.execute(keep, (str(month), 1))
    with connect(Role.TRANSFORMER) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(keep, (str(month), 1))


def test_the_first_month_that_is_not_closed(month: Month) -> None:
    with connect(Role.LOADER) as connection:
        # nobody delivered in December: there is nothing to close, and it holds up no other month
        for opened in ("2000-12", "2001-01", "2001-02", "2001-03"):
            connection.execute("insert into ops.months (signal_month) values (%s) on conflict do nothing", (opened,))
        for delivered in ("2001-01", "2001-02", "2001-03"):
            connection.execute(
                "insert into ops.deliveries (delivery_id, contract, partner, file_name, sha256, signal_month, status,"
                " rows_in_file, rows_loaded, rows_quarantined, rows_duplicate)"
                " values ('dlv_' || %s, 'zorgplus-v1', 'zorgplus', 'f', 's', %s, 'loaded', 1, 1, 0, 0)",
                (delivered, delivered),
            )
    assert first_unclosed_month_before(Month(2001, 3)) == Month(2001, 1)
    assert first_unclosed_month_before(Month(2001, 1)) is None
    with connect(Role.EXPORTER) as connection:
        connection.execute("insert into ops.closure_ledger values ('2001-01', 1, 'b', 'c', 0, 0, 0, 0, 0, 'h', now())")
    assert first_unclosed_month_before(Month(2001, 3)) == Month(2001, 2)
