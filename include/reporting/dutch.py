"""Numbers and months as Dutch readers write them: `1.849`, `68,8 %`, `€ 1.234,50`, `juni 2024`.

Rule: a share is never written without the counts it is made of. Change a notation here and it changes everywhere.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from include.months import Month

MONTH_NAMES = (
    "januari", "februari", "maart", "april", "mei", "juni",
    "juli", "augustus", "september", "oktober", "november", "december",
)  # fmt: skip
#: keeps a number and its sign on one line
NARROW = "\u00a0"


def dutch(number: Decimal | int | float, decimals: int = 0) -> str:
    """`1.849` and `68,8`: the thousands with a point, the decimals behind a comma; a half goes up, as people round."""
    rounded = Decimal(str(number)).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    return f"{rounded:,.{decimals}f}".translate(str.maketrans(",.", ".,"))


def euros(number: Decimal | int) -> str:
    return f"€{NARROW}{dutch(number, 2)}"


def percent(share: Decimal | float, decimals: int = 1) -> str:
    return f"{dutch(Decimal(str(share)) * 100, decimals)}{NARROW}%"


def amount(number: Decimal) -> str:
    """A count, or an amount with its cents."""
    return dutch(number) if number == number.to_integral_value() else dutch(number, 2)


def counts(count: Decimal | int, whole: Decimal | int) -> str:
    return f"{amount(Decimal(count))} van {amount(Decimal(whole))}"


def share_of(count: int, whole: int) -> str:
    """`12,2 % (225 van 1.849)`; never a share without its counts."""
    return f"{percent(Decimal(count) / whole)} ({counts(count, whole)})" if whole else "–"


def ratio_of(count: int, whole: int) -> str:
    return f"{dutch(Decimal(count) / whole, 1)} ({dutch(count)} ÷ {dutch(whole)})" if whole else "–"


def month_name(month: Month) -> str:
    return f"{MONTH_NAMES[month.number - 1]} {month.year}"


def short_month(month: str) -> str:
    parsed = Month.parse(month)
    return f"{MONTH_NAMES[parsed.number - 1][:3]} ’{parsed.year % 100:02d}"
