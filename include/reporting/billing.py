"""What the caller may bill for a month, and whether an invoice agrees: `vs billing`.

Rule: a call record is billed once, when it was delivered and not withdrawn; the tariff is the dated row of the seed
rate_card and the budget that of budgets, both already counted in marts.kpi_cost_monthly. Nothing is computed twice
here: this only sets an invoice beside it. As long as the rate card is an example, so is every amount.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from psycopg.rows import class_row

from include.months import Month
from include.settings import Role
from include.warehouse.connection import connect


class NothingToBill(RuntimeError):
    """The month's costs were never built."""


@dataclass(frozen=True)
class Bill:
    """One month as we count it."""

    signal_month: str
    records_handed_over: int
    records_withdrawn: int
    records_billable: int
    withdrawn_records_called: int
    record_eur: Decimal | None
    records_cost_eur: Decimal | None
    monthly_fixed_eur: Decimal | None
    one_off_eur: Decimal | None
    cost_eur: Decimal | None
    cost_to_date_eur: Decimal | None
    budget_eur: Decimal | None
    is_example_rate: bool | None

    @property
    def budget_used(self) -> Decimal | None:
        return (
            self.cost_to_date_eur / self.budget_eur if self.cost_to_date_eur is not None and self.budget_eur else None
        )


@dataclass(frozen=True)
class Difference:
    """What an invoice has too many (or, negative, too few); None where it says nothing."""

    records: int | None
    eur: Decimal | None

    @property
    def agrees(self) -> bool:
        return not self.records and not self.eur


def bill_of(month: Month) -> Bill:
    """The month as the marts count it."""
    with connect(Role.BI_READER) as connection, connection.cursor(row_factory=class_row(Bill)) as cursor:
        bill = cursor.execute(
            """
            select
                cost.signal_month, cost.records_delivered + cost.records_withdrawn as records_handed_over,
                cost.records_withdrawn, cost.records_delivered as records_billable,
                coalesce(called.withdrawn_records_called, 0)::integer as withdrawn_records_called,
                cost.record_eur, cost.records_cost_eur, cost.monthly_fixed_eur, cost.one_off_eur, cost.cost_eur,
                cost.cost_to_date_eur, cost.budget_eur, cost.is_example_rate
            from marts.kpi_cost_monthly as cost
            cross join (
                select sum(withdrawn_records_called) as withdrawn_records_called
                from marts.kpi_calling_quality_monthly where signal_month = %(month)s
            ) as called
            where cost.signal_month = %(month)s
            """,
            {"month": str(month)},
        ).fetchone()
    if bill is None:
        raise NothingToBill(
            f"The costs of {month} are not built yet; they are when its outcomes are collected: "
            f"vs month {month} --from collect"
        )
    return bill


def compared(bill: Bill, invoiced_records: int | None, invoiced_eur: Decimal | None) -> Difference:
    """The invoice beside the bill."""
    return Difference(
        None if invoiced_records is None else invoiced_records - bill.records_billable,
        None if invoiced_eur is None or bill.cost_eur is None else invoiced_eur - bill.cost_eur,
    )
