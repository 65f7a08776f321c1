"""Hundreds of spoiled deliveries through the real take_in, on a real PostgreSQL: whatever comes, the books balance.

`make test` takes SHORT of them in, `make test-long` LONG, with a seed that is printed (VS_FUZZ_SEED repeats a run).
For each: no crash; rows in file = loaded + quarantined + duplicates, in the books and in the tables; of a refused file
nothing is loaded and its sender is told why; the file is in the archive as it came, and nowhere else. And at the end
every kind of verdict must have been seen, or the deliveries were not strange enough.
"""

from __future__ import annotations

import csv
import io
import json
import os
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.contracts.versions import usable_versions
from include.exchange.folders import Exchange
from include.ingest import opening, values
from include.ingest.booking import DeliverySummary
from include.ingest.deliveries import ingest_delivery, open_month
from include.settings import Role
from include.warehouse.connection import connect
from tests.integration.fuzzed_deliveries import MONTH, MOST_UNPACKED_BYTES, STRANGE_VALUES, spoiled

SHORT, LONG = 500, 5_000
# of these so many are made by hypothesis: any text in any cell
ANY_TEXT_SHARE = 0.2
REASONS = {"file_name", "file_unreadable", "file_header", "file_threshold"}
VERDICTS = ("loaded", "unchanged", *sorted(REASONS))
EXPECTED = (
    "loaded", "unchanged", *sorted(REASONS), "file_empty", "column_unknown", "column_absent", "rows quarantined",
    "rows duplicate", "rows without a detail", "loaded by compiled loops", "loaded without them",
)  # fmt: skip


def take(path: str, data: bytes, warehouse: Path, seen: Counter[str]) -> DeliverySummary:
    """Take the file in, hold everything that must be so against it, and count what it was."""
    Exchange.from_settings().write(path, data)
    # every other one by the compiled loops, however small it is
    is_large = sum(seen[kind] for kind in VERDICTS) % 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(values, "MANY_ROWS", 1 if is_large else 10**9)
        patch.setattr(opening, "LARGE_PART_BYTES", 1 if is_large else 10**9)
        summary = ingest_delivery(path, MONTH)
    if summary.status == "loaded" and summary.rows_loaded:
        seen["loaded by compiled loops" if is_large else "loaded without them"] += 1
    seen[summary.reason_code or summary.status] += 1
    seen["rows quarantined"] += summary.rows_quarantined
    seen["rows duplicate"] += summary.rows_duplicate
    receipt = json.loads((warehouse / summary.receipt).read_bytes())
    assert not (warehouse / path).exists()
    assert (warehouse / summary.archived_as).read_bytes() == data
    assert receipt["status"] == summary.status
    if summary.status == "unchanged":
        return summary
    with connect(Role.LOADER) as connection:
        tables = connection.execute(
            "select (select count(*) from landing.raw_rows where delivery_id = %(id)s), "
            "(select count(*) from landing.signals where delivery_id = %(id)s), "
            "count(*) filter (where reasons <> '{reference_duplicate}'), "
            "count(*) filter (where reasons = '{reference_duplicate}') "
            "from landing.quarantined_rows where delivery_id = %(id)s",
            {"id": summary.delivery_id},
        ).fetchone()
        (booked,) = connection.execute(
            "select status, rows_in_file, rows_loaded, rows_quarantined, rows_duplicate from ops.deliveries "
            "where delivery_id = %s",
            (summary.delivery_id,),
        ).fetchall()
    if summary.status == "rejected":
        assert summary.reason_code in REASONS
        assert receipt["reason_code"] == summary.reason_code
        assert len(receipt["reason_detail"]) > 20
        assert tables == (0, 0, 0, 0)
        return summary
    assert summary.status == "loaded"
    counts = (summary.rows_loaded, summary.rows_quarantined, summary.rows_duplicate)
    assert summary.rows_in_file == sum(counts)
    assert booked == ("loaded", summary.rows_in_file, *counts)
    assert tables == (summary.rows_in_file, *counts)
    assert len(receipt["quarantined"]) == summary.rows_quarantined
    assert len(receipt["duplicates"]) == summary.rows_duplicate
    assert all(row["reasons"] for row in receipt["quarantined"])
    seen["rows without a detail"] += len(receipt["loaded_without"])
    seen.update(warning["code"] for warning in receipt["warnings"])
    return summary


def fuzz(count: int, seed: int, warehouse: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(opening, "MOST_UNPACKED_BYTES", MOST_UNPACKED_BYTES)
    open_month(MONTH)
    dice, seen = random.Random(seed), Counter[str]()
    spoiled_files = count - round(count * ANY_TEXT_SHARE)
    for number in range(spoiled_files):
        file = spoiled(dice, number)
        summary = take(file.path, file.data, warehouse, seen)
        if summary.status == "loaded" and number % 5 == 0:
            before = landed(summary.delivery_id)
            again = take(file.path, file.data, warehouse, seen)
            assert (again.status, again.delivery_id) == ("unchanged", summary.delivery_id)
            assert landed(summary.delivery_id) == before
    any_text(count - spoiled_files, warehouse, seen)
    shown = ", ".join(f"{found} {kind}" for kind, found in sorted(seen.items()))
    print(f"\nfuzzed {sum(seen[kind] for kind in VERDICTS)} deliveries, seed {seed}: {shown}")
    assert [kind for kind in EXPECTED if not seen[kind]] == []
    assert sum(seen[kind] for kind in VERDICTS) >= count


def landed(delivery_id: str) -> list[list[tuple[object, ...]]]:
    with connect(Role.LOADER) as connection:
        return [
            connection.execute(
                f"select * from landing.{table} where delivery_id = %s order by line_number", (delivery_id,)
            ).fetchall()
            for table in ("signals", "raw_rows", "quarantined_rows")
        ]


def any_text(count: int, warehouse: Path, seen: Counter[str]) -> None:
    """Files whose cells hold whatever hypothesis comes up with."""
    contracts = [contract for contract in usable_versions() if contract.format.kind == "csv"]
    numbers = iter(range(10_000_000))
    cell = st.one_of(st.text(max_size=12), st.sampled_from([str(value)[:400] for value in STRANGE_VALUES]))

    @settings(
        max_examples=count, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.sampled_from(contracts), st.lists(st.lists(cell, max_size=18), max_size=6), st.booleans())
    def taken(contract, rows, is_quoted) -> None:  # type: ignore[no-untyped-def]
        text, number = io.StringIO(), next(numbers)
        style = csv.QUOTE_ALL if is_quoted else csv.QUOTE_MINIMAL
        writer = csv.writer(text, delimiter=contract.format.delimiter, quoting=style)
        writer.writerow([column.label for column in contract.columns])
        writer.writerows([[f"any-{number}-{place}", *row] for place, row in enumerate(rows)])
        data = text.getvalue().encode("utf-8", errors="replace")
        take(f"{contract.folder}/{contract.name}_{MONTH.compact}_{number % 1000:03d}.csv", data, warehouse, seen)

    taken()


def test_spoiled_deliveries_are_taken_in_or_refused_and_always_accounted_for(
    warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fuzz(SHORT, int(os.environ.get("VS_FUZZ_SEED", "2711")), warehouse, monkeypatch)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_thousands_of_spoiled_deliveries(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fuzz(LONG, int(os.environ.get("VS_FUZZ_SEED") or random.SystemRandom().randrange(10**6)), warehouse, monkeypatch)
