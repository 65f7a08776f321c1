"""The enrichment provider's answers: complete or not, good or bad, once or twice."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from include.exchange.folders import Exchange
from include.ingest.enrichment import enrichment_answered, load_enrichment_results
from include.months import Month
from include.settings import Role
from include.warehouse.connection import connect

HEADER = "request_id,phone,source,match_level,matched_on,confidence"
_months = iter(Month.parse_range("2024-01..2026-12"))


@pytest.fixture
def month(warehouse: Path) -> Iterator[Month]:
    month = next(_months)
    yield month
    for file in warehouse.glob("inbox/enrichment/*"):
        file.unlink()


def ask(month: Month, sequence: int, count: int) -> list[str]:
    """Requests as the exporter writes them down."""
    ids = [f"request_{month.compact}_{sequence}_{number}" for number in range(count)]
    with connect(Role.EXPORTER) as connection:
        for request_id in ids:
            connection.execute(
                "insert into ops.enrichment_requests (request_id, signal_month, sequence) values (%s, %s, %s)",
                (request_id, str(month), sequence),
            )
    return ids


def answer(month: Month, sequence: int, lines: list[str]) -> str:
    path = f"inbox/enrichment/enrichment_result_{month.compact}_{sequence:02d}.csv"
    Exchange.from_settings().write(path, "\n".join([HEADER, *lines]).encode())
    return path


def found(request_id: str, number: int) -> str:
    return f"{request_id},+3162{number:07d},gids,person,2024-06-10,0.875"


def loaded_rows(month: Month) -> list[tuple[object, ...]]:
    with connect(Role.LOADER) as connection:
        return connection.execute(
            "select request_id, phone, source, match_level, matched_on, confidence from landing.enrichment_results "
            "where signal_month = %s order by line_number", (str(month),),
        ).fetchall()  # fmt: skip


def test_a_month_without_questions_is_answered(month: Month) -> None:
    assert enrichment_answered(month)
    assert load_enrichment_results(month).files_loaded == 0


def test_answered_means_every_sequence(month: Month) -> None:
    first, second = ask(month, 1, 3), ask(month, 2, 2)
    assert not enrichment_answered(month)
    answer(month, 1, [found(request_id, n + 1) for n, request_id in enumerate(first)])
    assert not enrichment_answered(month)
    load_enrichment_results(month)
    assert not enrichment_answered(month)
    answer(month, 2, [found(request_id, n + 7) for n, request_id in enumerate(second)])
    assert enrichment_answered(month)
    load_enrichment_results(month)
    assert enrichment_answered(month)
    assert len(loaded_rows(month)) == 5


def test_found_not_found_and_unusable_numbers(month: Month, warehouse: Path) -> None:
    ids = ask(month, 1, 4)
    path = answer(month, 1, [
        found(ids[0], 1), f"{ids[1]},,,,,", f"{ids[2]},0900-1234,gids,address,2024-06-10,0.5",
        f"{ids[3]},06 22 33 44 55,gids,address,2024-06-10,1",
    ])  # fmt: skip
    done = load_enrichment_results(month)
    assert (done.files_loaded, done.rows_loaded, done.rows_quarantined) == (1, 4, 0)
    assert loaded_rows(month) == [
        (ids[0], "+31620000001", "gids", "person", date(2024, 6, 10), Decimal("0.875")),
        (ids[1], None, None, None, None, None),
        (ids[2], None, "gids", "address", date(2024, 6, 10), Decimal("0.500")),
        (ids[3], "+31622334455", "gids", "address", date(2024, 6, 10), Decimal("1.000")),
    ]
    assert not (warehouse / path).exists()
    assert (warehouse / f"archive/{month}/{Path(path).name}").exists()


def test_bad_rows_are_held_back_and_the_rest_is_loaded(month: Month) -> None:
    ids = ask(month, 1, 20)
    lines = [found(request_id, number + 1) for number, request_id in enumerate(ids)]
    lines[3] = f"{ids[3]},+31620000003,gids,neighbour,10-06-2024,1.5"
    lines[5] = found("request_of_somebody_else", 5)
    lines += [lines[0], f"{ids[0]},+31793161234,gids,address,2024-06-10,0.4"]
    answer(month, 1, lines)
    done = load_enrichment_results(month)
    assert (done.rows_loaded, done.rows_quarantined, done.rows_duplicate) == (19, 2, 1)
    with connect(Role.LOADER) as connection:
        held = connection.execute(
            "select line_number, reasons from landing.quarantined_rows where signal_month = %s order by 1",
            (str(month),),
        ).fetchall()
    assert [(line, sorted(reasons)) for line, reasons in held] == [
        (5, ["confidence_invalid", "match_level_invalid", "matched_on_invalid"]),
        (7, ["request_id_unknown"]),
        (22, ["reference_duplicate"]),
    ]
    name = f"enrichment_result_{month.compact}_01.csv"
    receipt = json.loads(Exchange.from_settings().read(f"outbox/enrichment/receipt_{name}.json"))
    assert [row["line"] for row in receipt["quarantined"]] == [5, 7]


def test_an_answer_to_another_month_is_refused_and_another_file_goes_on(month: Month) -> None:
    ids = ask(month, 1, 3) + ask(month, 2, 1)
    answer(month, 1, [found(f"request_of_last_year_{number}", number) for number in range(5)])
    answer(month, 2, [found(ids[3], 1)])
    Exchange.from_settings().write("inbox/enrichment/antwoord.csv", f"{HEADER}\n".encode())
    done = load_enrichment_results(month)
    assert (done.files_loaded, done.files_rejected, done.rows_loaded) == (1, 2, 1)
    assert not enrichment_answered(month)
    with connect(Role.LOADER) as connection:
        reasons = connection.execute(
            "select reason_code from ops.deliveries where signal_month = %s and status = 'rejected' order by 1",
            (str(month),),
        ).fetchall()
    assert reasons == [("file_name",), ("file_threshold",)]


def test_the_same_answer_twice_changes_nothing(month: Month) -> None:
    lines = [found(request_id, number) for number, request_id in enumerate(ask(month, 1, 4), start=1)]
    answer(month, 1, lines)
    load_enrichment_results(month)
    before = loaded_rows(month)
    answer(month, 1, lines)
    again = load_enrichment_results(month)
    assert (again.files_loaded, again.files_unchanged) == (0, 1)
    assert loaded_rows(month) == before
    assert len(list(itertools.chain(before))) == 4
