"""Which month takes in what arrives: the month it is named after, or, when that one is over, the next open month.

Rule: a month is over from the moment its closures go out (a batch exists) or it, or a later month, is closed; nothing
enters it after that. What comes for it is late and enters the month after the last one that is over. Months close in
order, so that is the first month that nobody has finished; an empty month of long ago is never opened again for it.
Reason: rows that land in a month nobody builds any more are a family nobody hears of.
"""

from __future__ import annotations

import psycopg

from include.months import Month


def month_over(connection: psycopg.Connection) -> Month | None:
    """The last month that takes nothing in any more."""
    (last,) = connection.execute(
        "select max(signal_month) from (select signal_month from ops.closure_ledger"
        " union all select signal_month from ops.closure_batches) as over"
    ).fetchone()
    return Month.parse(last) if last else None


def receiving_month(connection: psycopg.Connection, named: Month) -> Month:
    """The month that takes in what is named after `named`; it cannot be closed before this transaction ends."""
    while True:
        month = later_of(named, month_over(connection))
        # the same lock as the closing of a month takes: it ends first, or waits until these rows are there
        connection.execute("select pg_advisory_xact_lock_shared(hashtext('vs:close'), hashtext(%s))", (str(month),))
        if month == later_of(named, month_over(connection)):
            return month


def later_of(named: Month, over: Month | None) -> Month:
    """`named`, unless it is over."""
    return named if over is None or named > over else over.next
