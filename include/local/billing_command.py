"""`vs billing`: what the caller may bill, beside what it does bill."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer

from include.local.terminal import console, month_of, running_instance

DIFFERS = 4


def billing(
    month: Annotated[str, typer.Argument(metavar="YYYY-MM", help="the signal month")],
    invoiced_records: Annotated[int | None, typer.Option(help="call records on the invoice")] = None,
    invoiced_eur: Annotated[str | None, typer.Option(help="amount of the invoice, excl. VAT: 1234.50")] = None,
) -> None:
    """Show what may be billed for a month and, given an invoice, whether it agrees (exit code 4 when not)."""
    from rich.table import Table

    from include.reporting.billing import bill_of, compared

    running_instance()
    bill = bill_of(month_of(month))
    table = Table(title=f"Calling in {bill.signal_month}", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    tariff = f"{_euros(bill.record_eur)} each" + (" (example, not the real tariff)" if bill.is_example_rate else "")
    for label, value in (
        ("call records handed over", str(bill.records_handed_over)),
        ("  withdrawn again", str(bill.records_withdrawn)),
        ("  billable", str(bill.records_billable)),
        (f"billable records, {tariff}", _euros(bill.records_cost_eur)),
        ("fixed part of the month", _euros(bill.monthly_fixed_eur)),
        ("one-off part", _euros(bill.one_off_eur)),
        ("cost of the month", _euros(bill.cost_eur)),
        ("cost since the budget began", _euros(bill.cost_to_date_eur)),
        ("budget", _euros(bill.budget_eur)),
        ("budget used", "–" if bill.budget_used is None else f"{bill.budget_used:.1%}"),
    ):
        table.add_row(label, value)
    out = console()
    out.print(table)
    if bill.withdrawn_records_called:
        out.print(
            f"{bill.withdrawn_records_called} withdrawn record(s) were called all the same: not billable; ask why.",
            markup=False,
        )
    difference = compared(bill, invoiced_records, _amount(invoiced_eur))
    if invoiced_records is None and invoiced_eur is None:
        return
    if difference.agrees:
        out.print("The invoice agrees.")
        return
    if difference.records:
        out.print(f"The invoice has {difference.records:+d} record(s).", markup=False)
    if difference.eur:
        out.print(f"The invoice differs by {_euros(difference.eur)}.", markup=False)
    raise typer.Exit(DIFFERS)


def _amount(text: str | None) -> Decimal | None:
    try:
        return None if text is None else Decimal(text)
    except InvalidOperation as error:
        raise typer.BadParameter(f"{text} is no amount; write it as 1234.50") from error


def _euros(amount: Decimal | None) -> str:
    return "unknown" if amount is None else f"€ {amount:,.2f}"
