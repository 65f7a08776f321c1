from __future__ import annotations

from datetime import date

import pytest

from include.months import Month, is_working_day


def test_a_month_reads_and_writes_its_key():
    assert str(Month.parse("2024-06")) == "2024-06"
    assert Month.parse("202406") == Month(2024, 6)
    assert Month(2024, 6).compact == "202406"


@pytest.mark.parametrize("text", ["", "2024", "2024-13", "2024-00", "24-06", "2024/06", "1999-12", "2024-06-01"])
def test_what_is_no_month_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="2024-06"):
        Month.parse(text)


def test_months_follow_each_other_over_the_year():
    assert Month(2024, 12).next == Month(2025, 1)
    assert Month(2025, 1).previous == Month(2024, 12)
    assert [str(month) for month in Month.parse_range("2024-11..2025-02")] == [
        "2024-11",
        "2024-12",
        "2025-01",
        "2025-02",
    ]
    assert Month.parse_range("2024-04") == [Month(2024, 4)]
    assert Month(2024, 2).last_day == date(2024, 2, 29)


def test_a_range_that_runs_backwards_is_refused():
    with pytest.raises(ValueError, match="before it begins"):
        Month.parse_range("2024-06..2024-04")


@pytest.mark.parametrize(
    ("month", "day"),
    [
        ("2024-05", date(2024, 5, 2 - 1)),  # Wednesday 1 May is no holiday in the Netherlands
        ("2024-06", date(2024, 6, 3)),  # 1 June is a Saturday
        ("2025-01", date(2025, 1, 2)),  # New Year's Day
        ("2023-01", date(2023, 1, 2)),  # a Sunday and New Year's Day
    ],
)
def test_the_first_working_day_passes_over_weekends_and_holidays(month, day):
    assert Month.parse(month).first_working_day == day


def test_koningsdag_is_no_working_day():
    assert not is_working_day(date(2024, 4, 27))
    assert not is_working_day(date(2026, 4, 27))
