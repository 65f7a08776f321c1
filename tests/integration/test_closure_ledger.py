"""A closed month is one ledger row that nobody changes, and that shows when the marts say something else."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from include.months import Month
from include.settings import Role
from include.warehouse.closure_ledger import (
    ClosedMonthChanged,
    NothingToClose,
    close_month,
    first_unclosed_month_before,
    month_is_closed,
)
from include.warehouse.connection import connect

COLUMNS = (
    "signal_month text, cases_opened integer, cases_closed integer, cases_open integer, cases_excluded integer, "
    "cases_unaccounted integer, arrears_closed_eur numeric"
)


@pytest.fixture
def month(warehouse: Path) -> Month:
    """June, ready to be closed; a new database state each time, because the ledger cannot be emptied."""
    with connect(Role.TRANSFORMER) as connection:
        connection.execute(f"create table if not exists marts.rpt_closure_accounting ({COLUMNS})")
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
    with pytest.raises(ClosedMonthChanged, match="restate it as version 2"):
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
    with pytest.raises(NothingToClose, match="no batch of this month"):
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
