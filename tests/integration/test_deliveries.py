"""Deliveries from the inbox to landing, on a real PostgreSQL: every line of "What a bad delivery gets" (interfaces §2),
what may happen between two of our steps, and books that balance whatever comes in."""

from __future__ import annotations

import itertools
import json
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from include.contracts.registry import load_contract
from include.exchange.folders import Exchange
from include.ingest import landing, opening, values
from include.ingest.booking import DeliverySummary
from include.ingest.deliveries import (
    NothingToDecide,
    alert_missing_partner,
    delivery_deadline,
    find_deliveries,
    find_late_files,
    go_on_without,
    ingest_delivery,
    open_month,
    partner_states,
    partners_awaited,
    record_missing_partners,
)
from include.ingest.reading import read_delivery
from include.months import Month
from include.settings import PROJECT_ROOT, Role
from include.warehouse.alerts import open_alerts
from include.warehouse.connection import connect
from tests.fixtures.deliveries import DRINKWATER, FORMATS, STADSENERGIE, WOONBEDRIJF, ZORGPLUS, PartnerFormat, Row
from tests.integration.dying_ingest import POINTS

ROWS = 20
# every test has a month of its own; the warehouse is one for the module
_months = itertools.chain(Month.parse_range("2024-01..2038-12"))


@pytest.fixture
def month(warehouse: Path) -> Iterator[Month]:
    month = next(_months)
    open_month(month)
    yield month
    for file in warehouse.glob("inbox/*/*"):
        file.unlink()


def rows_of(statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with connect(Role.LOADER) as connection:
        return connection.execute(statement, values).fetchall()


def tables_of(month: Month) -> dict[str, list[tuple[Any, ...]]]:
    """Everything the month has in landing and ops.deliveries, without the time it came."""
    with connect(Role.LOADER) as connection:
        landed = {
            table: connection.execute(
                f"select * from landing.{table} where signal_month = %s order by delivery_id, line_number",
                (str(month),),
            ).fetchall()
            for table in ("signals", "raw_rows", "quarantined_rows", "enrichment_results")
        }
        landed["deliveries"] = connection.execute(
            "select to_jsonb(d) - 'received_at' from ops.deliveries as d where signal_month = %s order by delivery_id",
            (str(month),),
        ).fetchall()
        return landed


def put(form: PartnerFormat, month: Month, data: bytes, sequence: str = "") -> str:
    path = form.inbox(form.file_name(month.compact, sequence))
    Exchange.from_settings().write(path, data)
    return path


def content(form: PartnerFormat, month: Month, rows: list[Row] | None = None) -> bytes:
    """A good delivery whose references belong to this month, so that no two tests deliver the same bytes."""
    rows = form.in_month(form.good_rows(ROWS) if rows is None else rows, month)
    return form.write([row | {form.reference: f"{month.compact}-{row[form.reference]}"} for row in rows])


def receipt_of(summary: DeliverySummary) -> dict[str, Any]:
    return json.loads(Exchange.from_settings().read(summary.receipt))


def assert_books_balance(summary: DeliverySummary) -> None:
    assert summary.rows_in_file == summary.rows_loaded + summary.rows_quarantined + summary.rows_duplicate
    (stored,) = rows_of(
        "with held as (select reasons = '{reference_duplicate}' as is_duplicate from landing.quarantined_rows "
        "where delivery_id = %s) select (select count(*) from landing.raw_rows where delivery_id = %s), "
        "(select count(*) from landing.signals where delivery_id = %s), "
        "(select count(*) from held where not is_duplicate), (select count(*) from held where is_duplicate)",
        *[summary.delivery_id] * 3,
    )
    assert stored == (summary.rows_in_file, summary.rows_loaded, summary.rows_quarantined, summary.rows_duplicate)


# -- a good month ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.partner)
def test_a_good_delivery_is_loaded_answered_and_archived(form: PartnerFormat, month: Month, warehouse: Path) -> None:
    data = content(form, month)
    path = put(form, month, data)
    assert find_deliveries(month) == [path]
    summary = ingest_delivery(path, month)
    assert (summary.status, summary.rows_loaded, summary.signal_month) == ("loaded", ROWS, str(month))
    assert_books_balance(summary)
    assert not (warehouse / path).exists()
    assert (warehouse / summary.archived_as).read_bytes() == data
    assert summary.archived_as == f"archive/{month}/{Path(path).name}"
    receipt = receipt_of(summary)
    assert (receipt["status"], receipt["rows_loaded"], receipt["quarantined"]) == ("loaded", ROWS, [])
    signals = rows_of(
        "select partner, sector, signal_month, contract_version from landing.signals where delivery_id = %s",
        summary.delivery_id,
    )
    assert len(signals) == ROWS
    assert len(set(signals)) == 1
    assert signals[0][0] == form.partner


def test_who_is_awaited_and_who_is_missing(month: Month) -> None:
    everybody = sorted(form.partner for form in FORMATS)
    assert partners_awaited(month) == everybody
    assert str(delivery_deadline(month)).startswith(f"{month}-08 23:59:59")
    path = put(ZORGPLUS, month, content(ZORGPLUS, month))
    assert partners_awaited(month) == [partner for partner in everybody if partner != "zorgplus"]
    put(WOONBEDRIJF, month, b"nothing of a header")
    for found in find_deliveries(month):
        ingest_delivery(found, month)
    assert record_missing_partners(month) == ["drinkwater_zh", "stadsenergie", "woonbedrijf"]
    assert rows_of("select partner from ops.missing_deliveries where signal_month = %s order by 1", str(month)) == [
        ("drinkwater_zh",), ("stadsenergie",), ("woonbedrijf",),
    ]  # fmt: skip
    put(WOONBEDRIJF, month, content(WOONBEDRIJF, month))
    for found in find_deliveries(month):
        ingest_delivery(found, month)
    assert record_missing_partners(month) == ["drinkwater_zh", "stadsenergie"]
    assert not Path(path).exists()


def test_partners_come_from_the_contracts(month: Month) -> None:
    assert rows_of("select partner, sector, delivery_day from ops.partners order by 1") == [
        ("drinkwater_zh", "Water", 8),
        ("stadsenergie", "Energie", 8),
        ("woonbedrijf", "Huur", 8),
        ("zorgplus", "Zorg", 8),
    ]


def test_a_signal_has_the_same_id_in_every_delivery_and_another_in_another_month(month: Month) -> None:
    rows_of_june = WOONBEDRIJF.good_rows(3)
    ids = []
    for one, sequence in ((month, ""), (month, "_02"), (next(_months), "")):
        rows = WOONBEDRIJF.in_month([row | {"Achterstand": f"{200 + len(ids)},00"} for row in rows_of_june], one)
        summary = ingest_delivery(put(WOONBEDRIJF, one, WOONBEDRIJF.write(rows), sequence), one)
        found = rows_of(
            "select signal_id from landing.signals where delivery_id = %s order by line_number", summary.delivery_id
        )
        ids.append([signal_id for (signal_id,) in found])
    assert ids[0] == ids[1] != ids[2]
    assert len(set(ids[0])) == 3
    assert all(signal_id.startswith("signal_") for signal_id in ids[0])


def test_a_second_delivery_corrects_and_adds_and_both_stay(month: Month) -> None:
    rows = WOONBEDRIJF.good_rows(3)
    first = ingest_delivery(put(WOONBEDRIJF, month, content(WOONBEDRIJF, month, rows)), month)
    corrected = [rows[0] | {"Achterstand": "99,00"}, WOONBEDRIJF.row(50)]
    second = ingest_delivery(put(WOONBEDRIJF, month, content(WOONBEDRIJF, month, corrected), "_02"), month)
    assert (first.rows_loaded, second.rows_loaded) == (3, 2)
    stored = rows_of(
        "select d.sequence, count(*), count(distinct s.signal_id) from landing.signals s join ops.deliveries d "
        "using (delivery_id) where s.signal_month = %s group by 1 order by 1", str(month),
    )  # fmt: skip
    assert stored == [(1, 3, 3), (2, 2, 2)]
    assert rows_of("select count(distinct signal_id) from landing.signals where signal_month = %s", str(month)) == [
        (4,)
    ]


# -- what a bad delivery gets ------------------------------------------------------------------------------------------


def ingest_beside_a_good_one(path: str, month: Month) -> DeliverySummary:
    """Take in `path` and a good delivery of another partner; returns what became of `path`."""
    good = ZORGPLUS if "zorgplus" not in path else DRINKWATER
    put(good, month, content(good, month))
    found = find_deliveries(month)
    assert path in found
    assert len(found) == 2
    summaries = {one: ingest_delivery(one, month) for one in found}
    (other,) = (summary for one, summary in summaries.items() if one != path)
    assert (other.status, other.rows_loaded) == ("loaded", ROWS)
    return summaries[path]


def assert_rejected(summary: DeliverySummary, code: str, warehouse: Path, path: str, data: bytes) -> None:
    assert (summary.status, summary.reason_code) == ("rejected", code)
    assert summary.reason_detail
    assert rows_of("select count(*) from landing.signals where delivery_id = %s", summary.delivery_id) == [(0,)]
    assert rows_of("select count(*) from landing.raw_rows where delivery_id = %s", summary.delivery_id) == [(0,)]
    assert rows_of(
        "select status, reason_code, archived_as, receipt from ops.deliveries where delivery_id = %s",
        summary.delivery_id,
    ) == [("rejected", code, summary.archived_as, summary.receipt)]
    assert not (warehouse / path).exists()
    assert (warehouse / summary.archived_as).read_bytes() == data
    assert summary.archived_as.startswith("archive/")
    receipt = receipt_of(summary)
    assert (receipt["status"], receipt["reason_code"], receipt["rows_loaded"]) == ("rejected", code, 0)


@pytest.mark.parametrize(
    "path",
    [
        "inbox/woonbedrijf/woonbedrijf_2024-06.csv",
        "inbox/woonbedrijf/woonbedrijf_202413.csv",
        "inbox/woonbedrijf/zorgplus_202406.csv",
        "inbox/woonbedrijf/woonbedrijf_202406.xlsx",
        "inbox/woonbedrijf/signalen.csv",
        "inbox/gasbedrijf/gasbedrijf_202406.csv",
        "inbox/verdwaald.csv",
    ],
)
def test_file_name(path: str, month: Month, warehouse: Path) -> None:
    data = content(WOONBEDRIJF, month)
    Exchange.from_settings().write(path, data)
    summary = ingest_beside_a_good_one(path, month)
    assert_rejected(summary, "file_name", warehouse, path, data)
    folder = "woonbedrijf" if "/woonbedrijf/" in path else "_unknown"
    assert summary.receipt == f"outbox/partners/{folder}/receipt_{Path(path).name}.json"
    (warehouse / path).unlink(missing_ok=True)


def test_file_unreadable(month: Month, warehouse: Path) -> None:
    data = content(STADSENERGIE, month)[:-300]
    path = put(STADSENERGIE, month, data)
    assert_rejected(ingest_beside_a_good_one(path, month), "file_unreadable", warehouse, path, data)


def test_a_file_above_the_limit_is_refused_without_reading_it(
    month: Month, warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = b"0" * (64 * 1024 * 1024 + 1)
    path = put(STADSENERGIE, month, data)

    def refuse(_: Exchange, path: str) -> bytes:
        raise AssertionError(f"{path} was read")

    with monkeypatch.context() as patch:
        patch.setattr(Exchange, "read", refuse)
        summary = ingest_delivery(path, month)
    assert_rejected(summary, "file_unreadable", warehouse, path, data)
    assert "64 MB" in str(summary.reason_detail)


def test_file_header(month: Month, warehouse: Path) -> None:
    rows = WOONBEDRIJF.good_rows(ROWS)
    data = WOONBEDRIJF.write(rows, labels=[label for label in rows[0] if label not in ("Postcode", "Naam")])
    path = put(WOONBEDRIJF, month, data)
    summary = ingest_beside_a_good_one(path, month)
    assert_rejected(summary, "file_header", warehouse, path, data)
    assert "Naam, Postcode" in receipt_of(summary)["reason_detail"]


def test_file_threshold(month: Month, warehouse: Path) -> None:
    rows = [row | {"Postcode": "?"} if number < 3 else row for number, row in enumerate(WOONBEDRIJF.good_rows(ROWS))]
    data = content(WOONBEDRIJF, month, rows)
    path = put(WOONBEDRIJF, month, data)
    summary = ingest_beside_a_good_one(path, month)
    assert_rejected(summary, "file_threshold", warehouse, path, data)
    assert [row["line"] for row in receipt_of(summary)["quarantined"]] == [2, 3, 4]


def test_column_unknown(month: Month) -> None:
    rows = [row | {"Kleur": "groen"} for row in WOONBEDRIJF.good_rows(ROWS)]
    summary = ingest_beside_a_good_one(put(WOONBEDRIJF, month, content(WOONBEDRIJF, month, rows)), month)
    assert (summary.status, summary.rows_loaded) == ("loaded", ROWS)
    assert [warning["code"] for warning in receipt_of(summary)["warnings"]] == ["column_unknown"]
    assert rows_of(
        "select raw ->> 'Kleur' from landing.raw_rows where delivery_id = %s limit 1", summary.delivery_id
    ) == [("groen",)]
    ((warnings,),) = rows_of("select warnings from ops.deliveries where delivery_id = %s", summary.delivery_id)
    assert [warning["code"] for warning in warnings] == ["column_unknown"]


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.partner)
def test_file_empty(form: PartnerFormat, month: Month, warehouse: Path) -> None:
    summary = ingest_beside_a_good_one(put(form, month, b""), month)
    assert (summary.status, summary.rows_in_file, summary.reason_code) == ("loaded", 0, None)
    assert [warning["code"] for warning in receipt_of(summary)["warnings"]] == ["file_empty"]
    assert form.partner not in partners_awaited(month)
    following = next(_months)
    again = ingest_delivery(put(form, following, b""), following)
    assert (again.status, again.signal_month) == ("loaded", str(following))


def test_bad_rows_are_quarantined_with_every_reason_and_can_be_seen(month: Month) -> None:
    rows = ZORGPLUS.good_rows(40)
    rows[4] |= {"postcode": "?", "arrears_amount": "-2", "birth_date": "1980-13-01", "surname": ""}
    rows[6] |= {"arrears_since": "2024-06-05", "house_number": ""}
    rows[9] |= {"client_ref": rows[2]["client_ref"]}
    summary = ingest_beside_a_good_one(put(ZORGPLUS, month, content(ZORGPLUS, month, rows)), month)
    assert (summary.rows_loaded, summary.rows_quarantined, summary.rows_duplicate) == (37, 2, 1)
    assert_books_balance(summary)
    held = rows_of(
        "select line_number, reasons, status, partner, contract_version, raw ->> 'postcode', raw ->> 'bsn' "
        "from landing.quarantined_rows where delivery_id = %s order by 1",
        summary.delivery_id,
    )
    assert [(line, sorted(reasons)) for line, reasons, *_ in held] == [
        (6, ["amount_not_positive", "birth_on_invalid", "postcode_invalid", "surname_missing"]),
        (8, ["dates_out_of_order", "house_number_missing"]),
        (11, ["reference_duplicate"]),
    ]
    assert held[0][2:] == ("open", "zorgplus", "1.0.0", "?", None)
    receipt = receipt_of(summary)
    assert [row["line"] for row in receipt["quarantined"]] == [6, 8]
    assert receipt["duplicates"] == [{"line": 11, "reasons": ["reference_duplicate"]}]


def test_unusable_details_are_left_out_and_flagged(month: Month) -> None:
    rows = ZORGPLUS.good_rows(ROWS)
    rows[3] |= {"bsn": "123456789", "phone": "0612345678", "email": "geen"}
    summary = ingest_delivery(put(ZORGPLUS, month, content(ZORGPLUS, month, rows)), month)
    assert summary.rows_loaded == ROWS
    assert rows_of(
        "select bsn_key, phone_1, email, flags from landing.signals where delivery_id = %s and line_number = 5",
        summary.delivery_id,
    ) == [(None, None, None, ["phone_invalid", "email_invalid", "bsn_invalid"])]
    ((warnings,),) = rows_of("select warnings from ops.deliveries where delivery_id = %s", summary.delivery_id)
    assert warnings == [{"code": code, "rows": 1} for code in ("bsn_invalid", "email_invalid", "phone_invalid")]
    assert receipt_of(summary)["loaded_without"][0]["line"] == 5


# -- privacy -----------------------------------------------------------------------------------------------------------


def test_the_bsn_stands_in_raw_rows_and_nowhere_else(month: Month, caplog: pytest.LogCaptureFixture) -> None:
    rows = ZORGPLUS.good_rows(ROWS)
    rows[1]["postcode"] = "?"
    with caplog.at_level("DEBUG"):
        summary = ingest_delivery(put(ZORGPLUS, month, content(ZORGPLUS, month, rows)), month)
    bsn, surname = str(rows[1]["bsn"]), str(rows[1]["surname"])
    tables = tables_of(month)
    assert bsn in repr(tables.pop("raw_rows"))
    assert len(tables["signals"]) == ROWS - 1
    for bsn_of_row in (str(row["bsn"]) for row in rows):
        assert bsn_of_row not in repr(tables)
    for place in (caplog.text, repr(summary), json.dumps(receipt_of(summary)), repr(tables["deliveries"])):
        assert bsn not in place
        assert surname not in place
        assert "voorbeeld.nl" not in place
    assert "zorgplus-v1" in caplog.text


@pytest.mark.parametrize("line_end", [b"\r\n", b"\n"], ids=["crlf", "lf"])
@pytest.mark.parametrize("is_ended", [True, False], ids=["ended", "not ended"])
def test_raw_rows_are_the_same_from_the_files_own_text_and_from_values(
    month: Month, line_end: bytes, is_ended: bool
) -> None:
    """A file without quotation marks is kept as it is; one with is written anew, row by row."""
    rows = WOONBEDRIJF.good_rows(ROWS)
    rows[3] |= {"Straat": "Curaçaostraat", "Postcode": "geen"}
    rows[-1] |= {"Signaaldatum": "onbekend"}
    plain = content(WOONBEDRIJF, month, rows).replace(b"\r\n", line_end)
    if not is_ended:
        plain = plain.removesuffix(line_end)
    header, _, body = plain.partition(line_end)
    quoted = header + line_end + body.replace(b"Zoetermeer", b'"Zoetermeer"')
    raw = {}
    for sequence, data, is_kept in (("_01", plain, True), ("_02", quoted, False)):
        summary = ingest_delivery(put(WOONBEDRIJF, month, data, sequence), month)
        assert_books_balance(summary)
        assert summary.rows_quarantined == 2
        raw[sequence] = rows_of(
            "select line_number, raw from landing.raw_rows where delivery_id = %s order by 1", summary.delivery_id
        )
        assert rows_of(
            "select distinct not has_line_numbers from landing.raw_blocks where delivery_id = %s", summary.delivery_id
        ) == [(is_kept,)]
    assert raw["_01"] == raw["_02"]
    assert [line for line, _ in raw["_01"]] == list(range(2, ROWS + 2))


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.partner)
def test_rows_land_the_same_whether_they_are_few_or_many(
    form: PartnerFormat, month: Month, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few rows go as text from a frame, many as binary from where they stand in the file: the same rows land."""
    rows = form.good_rows(ROWS)
    for row in rows[:3]:
        row |= {label: "" for label in row if label.casefold() in ("telefoon", "mobiel", "phone", "telefoonnummer")}
    for row in rows[3:6]:
        row |= {label: "0800-1234" for label in row if label.casefold() in ("telefoon", "phone", "telefoonnummer")}
    landed, as_binary, ready_binary = {}, [], landing.ready_binary

    def noted(*arguments: Any) -> landing.Ready:
        as_binary.append(sequence)
        return ready_binary(*arguments)

    monkeypatch.setattr(landing, "ready_binary", noted)
    for sequence, limit, written in (("_01", 10**9, rows), ("_02", 1, rows[::-1])):
        monkeypatch.setattr(values, "MANY_ROWS", limit)
        monkeypatch.setattr(opening, "LARGE_PART_BYTES", limit)
        summary = ingest_delivery(put(form, month, content(form, month, written), sequence), month)
        assert summary.rows_loaded == ROWS
        landed[sequence] = rows_of(
            "select to_jsonb(s) - 'delivery_id' - 'line_number' from landing.signals as s where delivery_id = %s"
            " order by partner_reference",
            summary.delivery_id,
        )
    assert as_binary == ["_02"]
    assert landed["_01"] == landed["_02"]


def test_only_the_loader_reads_raw_rows(month: Month) -> None:
    for role in (Role.TRANSFORMER, Role.EXPORTER, Role.BI_READER):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), connect(role) as connection:
            connection.execute("select from landing.raw_rows")


# -- again, and killed in between --------------------------------------------------------------------------------------


def good_and_bad(form: PartnerFormat, month: Month) -> bytes:
    rows = form.good_rows(ROWS)
    column = next(label for label in rows[0] if label.casefold().startswith("postcode"))
    rows[7] |= {column: "?"}
    rows[9] |= {form.reference: rows[8][form.reference]}
    return content(form, month, rows)


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.partner)
def test_loading_a_delivery_twice_gives_identical_tables(form: PartnerFormat, month: Month, warehouse: Path) -> None:
    data = good_and_bad(form, month)
    first = ingest_delivery(put(form, month, data), month)
    before = tables_of(month)
    assert len(before["signals"]) == ROWS - 2
    second = ingest_delivery(put(form, month, data), month)
    third = ingest_delivery(put(form, month, data, "_02"), month)
    assert [first.status, second.status, third.status] == ["loaded", "unchanged", "unchanged"]
    assert tables_of(month) == before
    repeated = rows_of(
        "select file_name, archived_as from ops.repeated_deliveries where delivery_id = %s order by 1",
        first.delivery_id,
    )
    assert repeated == sorted((summary.file_name, summary.archived_as) for summary in (second, third))
    assert receipt_of(third)["status"] == "unchanged"
    assert first.file_name in receipt_of(third)["reason_detail"]
    for summary in (first, second, third):
        assert (warehouse / summary.archived_as).read_bytes() == data
    assert not list(warehouse.glob("inbox/*/*"))


def test_another_file_with_the_same_name_is_another_delivery_and_both_are_archived(
    month: Month, warehouse: Path
) -> None:
    files = [
        content(WOONBEDRIJF, month, WOONBEDRIJF.good_rows(3)),
        content(WOONBEDRIJF, month, WOONBEDRIJF.good_rows(4)),
    ]
    taken = [ingest_delivery(put(WOONBEDRIJF, month, data), month) for data in files]
    assert [summary.rows_loaded for summary in taken] == [3, 4]
    assert [(warehouse / summary.archived_as).read_bytes() for summary in taken] == files


def test_a_task_that_runs_again_after_it_finished_gets_the_same_answer(month: Month) -> None:
    path = put(DRINKWATER, month, good_and_bad(DRINKWATER, month))
    first = ingest_delivery(path, month)
    assert ingest_delivery(path, month) == first
    with pytest.raises(FileNotFoundError, match="never taken in"):
        ingest_delivery("inbox/drinkwater_zh/drinkwater_zh_209901.csv", month)


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_load_that_is_repeated_gives_the_tables_of_one_that_was_not(
    point: str, month: Month, warehouse: Path
) -> None:
    data = good_and_bad(ZORGPLUS, month)
    path = put(ZORGPLUS, month, data)
    died = subprocess.run(
        [sys.executable, "-m", "tests.integration.dying_ingest", path, str(month), point],
        cwd=PROJECT_ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert (warehouse / path).read_bytes() == data
    after_kill = tables_of(month)
    booked = point in ("after_commit", "after_receipt")
    assert len(after_kill["deliveries"]) == booked
    assert bool(after_kill["signals"]) == booked
    assert find_deliveries(month) == [path]
    summary = ingest_delivery(path, month)
    assert (summary.status, summary.rows_loaded, summary.rows_quarantined, summary.rows_duplicate) == (
        "loaded", ROWS - 2, 1, 1,
    )  # fmt: skip
    assert_books_balance(summary)
    if booked:
        assert tables_of(month) == after_kill
    assert receipt_of(summary)["rows_loaded"] == ROWS - 2
    assert [row["line"] for row in receipt_of(summary)["quarantined"]] == [9]
    assert (warehouse / summary.archived_as).read_bytes() == data
    assert not (warehouse / path).exists()
    assert rows_of("select count(*) from ops.repeated_deliveries where delivery_id = %s", summary.delivery_id) == [(0,)]
    # the same delivery, taken in without a kill, under another name
    undisturbed = tables_of(month)
    assert ingest_delivery(put(ZORGPLUS, month, data, "_02"), month).status == "unchanged"
    assert tables_of(month) == undisturbed


def test_a_refused_file_is_judged_again_when_it_is_sent_again_under_its_right_name(month: Month) -> None:
    data = content(WOONBEDRIJF, month)
    wrong = "inbox/woonbedrijf/signalen van deze maand.csv"
    Exchange.from_settings().write(wrong, data)
    assert ingest_delivery(wrong, month).reason_code == "file_name"
    assert "woonbedrijf" in partners_awaited(month)
    right = ingest_delivery(put(WOONBEDRIJF, month, data), month)
    assert (right.status, right.rows_loaded) == ("loaded", ROWS)
    assert_books_balance(right)


def test_a_refused_file_that_comes_again_unchanged_is_recorded_as_such(month: Month) -> None:
    data = b"a;b\r\n1;2\r\n" + month.compact.encode()
    first = ingest_delivery(put(WOONBEDRIJF, month, data), month)
    before = tables_of(month)
    second = ingest_delivery(put(WOONBEDRIJF, month, data), month)
    assert (first.reason_code, second.reason_code, second.status) == ("file_header", "file_header", "rejected")
    assert tables_of(month) == before
    assert rows_of("select file_name from ops.repeated_deliveries where delivery_id = %s", first.delivery_id) == [
        (first.file_name,)
    ]


# -- late: after the month was closed ----------------------------------------------------------------------------------


def close(month: Month) -> None:
    with connect(Role.EXPORTER) as connection:
        connection.execute(
            "insert into ops.closure_ledger values (%s, 1, 'b', 'coordinator', 0, 0, 0, 0, 0, 'hash')", (str(month),)
        )


def test_a_file_of_a_closed_month_enters_the_next_open_month_as_late(month: Month, warehouse: Path) -> None:
    following = next(_months)
    open_month(following)
    close(month)
    data = content(ZORGPLUS, month)
    path = put(ZORGPLUS, month, data)
    assert find_deliveries(month) == []
    assert find_deliveries(following) == [path]
    assert "zorgplus" in partners_awaited(following)
    summary = ingest_delivery(path, following)
    assert (summary.status, summary.is_late, summary.rows_loaded) == ("loaded", True, ROWS)
    assert (summary.named_month, summary.signal_month) == (str(month), str(following))
    assert rows_of(
        "select named_month, signal_month, is_late from ops.deliveries where delivery_id = %s", summary.delivery_id
    ) == [(str(month), str(following), True)]
    assert rows_of(
        "select distinct signal_month, flags from landing.signals where delivery_id = %s", summary.delivery_id
    ) == [(str(following), ["late"])]
    assert tables_of(month)["signals"] == tables_of(month)["raw_rows"] == []
    receipt = receipt_of(summary)
    assert (receipt["named_month"], receipt["signal_month"], receipt["is_late"]) == (str(month), str(following), True)
    assert f"telt mee in {following}" in receipt["message"]
    assert (warehouse / f"archive/{following}/{Path(path).name}").read_bytes() == data
    # it is not the following month's own delivery
    assert "zorgplus" in partners_awaited(following)
    assert "zorgplus" in record_missing_partners(following)
    # the same bytes again are a no-op, as ever
    assert ingest_delivery(put(ZORGPLUS, month, data), following).status == "unchanged"


def test_a_month_whose_closures_are_on_their_way_takes_nothing_in(month: Month) -> None:
    following = next(_months)
    with connect(Role.EXPORTER) as connection:
        connection.execute(
            "insert into ops.closure_batches (batch_id, signal_month, version, approved_by, items, state)"
            " values (%s, %s, 1, 'coordinator', 1, 'prepared')",
            (f"batch_{month}", str(month)),
        )
    summary = ingest_delivery(put(ZORGPLUS, month, content(ZORGPLUS, month)), month)
    assert (summary.signal_month, summary.is_late) == (str(following), True)


def test_a_late_file_never_opens_an_empty_month_of_long_ago(month: Month) -> None:
    closed, following = next(_months), next(_months)
    close(closed)  # nobody delivered in `month`, so it was never closed; later months are not kept waiting for it
    summary = ingest_delivery(put(DRINKWATER, month, content(DRINKWATER, month)), following)
    assert (summary.named_month, summary.signal_month, summary.is_late) == (str(month), str(following), True)


def test_who_was_missing_in_a_closed_month_stays_on_record(month: Month) -> None:
    following = next(_months)
    missing = record_missing_partners(month)
    assert "woonbedrijf" in missing
    close(month)
    ingest_delivery(put(WOONBEDRIJF, month, content(WOONBEDRIJF, month)), following)
    assert record_missing_partners(month) == missing


def test_the_daily_look_finds_what_no_month_waits_for_any_more(month: Month) -> None:
    following = next(_months)
    for one in (month, following):
        open_month(one)
    close(month)
    late, regular = (put(ZORGPLUS, one, content(ZORGPLUS, one), "_02") for one in (month, following))
    stray = "inbox/zorgplus/signalen.csv"
    Exchange.from_settings().write(stray, b"a")
    before, after = (delivery_deadline(following) + timedelta(seconds=seconds) for seconds in (-1, 1))
    assert {path for path, one in find_late_files(before) if one == following} == set()
    assert dict(find_late_files(after)) == {late: following, regular: following, stray: following}


# -- a partner that does not deliver ----------------------------------------------------------------------------------


def test_a_missing_partner_is_an_alert_until_it_delivers(month: Month, caplog: pytest.LogCaptureFixture) -> None:
    def alerts() -> set[str]:
        return {alert.subject for alert in open_alerts() if alert.signal_month == str(month)}

    put(ZORGPLUS, month, content(ZORGPLUS, month))
    for path in find_deliveries(month):
        ingest_delivery(path, month)
    with caplog.at_level("WARNING"):
        for partner in record_missing_partners(month):
            alert_missing_partner(month, partner)
            alert_missing_partner(month, partner)
    assert alerts() == {"drinkwater_zh", "stadsenergie", "woonbedrijf"}
    assert [record.message for record in caplog.records if f"drinkwater_zh did not deliver {month}" in record.message]
    assert len([record for record in caplog.records if "did not deliver" in record.message]) == 3
    ingest_delivery(put(WOONBEDRIJF, month, content(WOONBEDRIJF, month)), month)
    record_missing_partners(month)
    assert alerts() == {"drinkwater_zh", "stadsenergie"}
    alert_missing_partner(month, "woonbedrijf")
    assert alerts() == {"drinkwater_zh", "stadsenergie"}


def test_a_person_may_go_on_without_a_partner(month: Month) -> None:
    with pytest.raises(NothingToDecide, match="no partner"):
        go_on_without(month, "gasbedrijf", "M. Coordinator", "failliet")
    with pytest.raises(NothingToDecide, match="name of who decides"):
        go_on_without(month, "zorgplus", " ", "storing")
    go_on_without(month, "zorgplus", "M. Coordinator", "storing bij de verzekeraar")
    assert "zorgplus" not in partners_awaited(month)
    assert rows_of(
        "select decided_by, reason from ops.missing_decisions where signal_month = %s and partner = 'zorgplus'",
        str(month),
    ) == [("M. Coordinator", "storing bij de verzekeraar")]
    with pytest.raises(NothingToDecide, match="does not wait"):
        go_on_without(month, "zorgplus", "iemand anders", "nog eens")
    assert "zorgplus" in record_missing_partners(month)
    alert_missing_partner(month, "zorgplus")
    (alert,) = [one for one in open_alerts() if one.signal_month == str(month)]
    assert "M. Coordinator went on without it" in alert.message
    states = {one.partner: one.state for one in partner_states(month)}
    assert states["zorgplus"] == "gone on without (decided by M. Coordinator)"
    assert states["woonbedrijf"] == "missing"
    for form in FORMATS[:2]:
        put(form, month, content(form, month))
    states = {one.partner: one.state for one in partner_states(month)}
    assert states["woonbedrijf"] == "in the inbox"


# -- rows of another month ---------------------------------------------------------------------------------------------


def test_a_file_with_the_rows_of_another_month_is_refused_and_says_which(month: Month) -> None:
    rows = DRINKWATER.in_month(DRINKWATER.good_rows(ROWS), month.previous)
    summary = ingest_delivery(put(DRINKWATER, month, DRINKWATER.write(rows)), month)
    assert (summary.status, summary.reason_code) == ("rejected", "file_threshold")
    assert f"{ROWS} rows are of {month.previous} and the file is named after {month}" in str(summary.reason_detail)


@pytest.mark.parametrize(
    ("day", "is_good"), [("15-04-2031", False), ("16-04-2031", True), ("31-05-2031", True), ("01-06-2031", False)]
)
def test_a_row_of_another_month_is_quarantined(day: str, is_good: bool, month: Month) -> None:
    may = Month.parse("2031-05")
    rows = WOONBEDRIJF.in_month(WOONBEDRIJF.good_rows(ROWS), may)
    rows[3] |= {"Signaaldatum": day, "Relatienummer": f"row of {day}"}
    judged = read_delivery(load_contract("woonbedrijf"), "woonbedrijf_203105.csv", WOONBEDRIJF.write(rows))
    held = list(zip(judged.quarantined["line_number"], judged.quarantined["reasons"], strict=True))
    assert held == ([] if is_good else [(5, ("signal_month_mismatch",))])


# -- corrections and second deliveries, in any order -------------------------------------------------------------------


def test_whatever_the_order_of_arrival_the_newest_delivery_wins_and_all_is_kept(month: Month) -> None:
    """Two sequences and a late file with the same references, in all orders: the same signal wins each time."""
    amounts = {"regular": "1.00", "second": "2.00", "late": "3.00"}
    for order in itertools.permutations(amounts):
        before, now = next(_months), next(_months)
        close(before)
        for kind in order:
            rows = ZORGPLUS.in_month(ZORGPLUS.good_rows(3), before if kind == "late" else now)
            rows = [row | {"arrears_amount": amounts[kind]} for row in rows]
            sequence = "_02" if kind == "second" else ""
            named = before if kind == "late" else now
            summary = ingest_delivery(put(ZORGPLUS, named, ZORGPLUS.write(rows), sequence), now)
            assert (summary.status, summary.rows_loaded, summary.signal_month) == ("loaded", 3, str(now))
        assert rows_of("select count(*) from landing.signals where signal_month = %s", str(now)) == [(9,)]
        with connect(Role.TRANSFORMER) as connection:
            winners = connection.execute(
                "select arrears_eur::text, flags from staging.stg_signals where signal_month = %s", (str(now),)
            ).fetchall()
        assert winners == [("2.00", "")] * 3


def test_unfinished_files_and_files_of_other_months_are_left_alone(month: Month, warehouse: Path) -> None:
    other = next(_months)
    kept = [put(ZORGPLUS, other, content(ZORGPLUS, other))]
    for name in ("zorgplus_202406.csv.part", "zorgplus_202406.csv.tmp", ".zorgplus_202406.csv"):
        (warehouse / "inbox/zorgplus" / name).write_bytes(b"half")
        kept.append(f"inbox/zorgplus/{name}")
    assert find_deliveries(month) == []
    assert all((warehouse / path).exists() for path in kept)


def test_a_file_that_is_still_being_written_waits_for_the_next_look(month: Month, warehouse: Path) -> None:
    path = put(ZORGPLUS, month, content(ZORGPLUS, month))
    script = (
        "import sys, time\n"
        "with open(sys.argv[1], 'ab', buffering=0) as file:\n"
        "    print('writing', flush=True)\n"
        "    while True:\n"
        "        file.write(b'x'); time.sleep(0.02)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", script, str(warehouse / path)], stdout=subprocess.PIPE)
    try:
        assert writer.stdout
        assert writer.stdout.readline()
        assert find_deliveries(month) == []
    finally:
        writer.kill()
        writer.wait()
    assert find_deliveries(month) == [path]


# -- books -------------------------------------------------------------------------------------------------------------


def broken_delivery(form: PartnerFormat, month: Month, turn: int, dice: random.Random) -> bytes:
    """A delivery with accidents in its values and, now and then, in its bytes."""
    rows = form.good_rows(dice.randrange(1, 80), start=100 * turn)
    for row in rows:
        if dice.random() < 0.02:
            row[form.reference] = rows[0][form.reference]
        for label in row:
            if dice.random() < 0.003:
                row[label] = dice.choice(["", "?", "0", "-1", "x" * 300, rows[0][label], "\u00e9", "99-99-9999"])
    data = content(form, month, rows)
    if form.extension == "csv" and dice.random() < 0.4:
        data = bytes(byte for byte in data if dice.random() > 0.003)
    return data


def test_the_books_balance_whatever_is_broken(month: Month) -> None:
    dice = random.Random(2711)
    seen: Counter[str] = Counter()
    for turn in range(40):
        form = dice.choice(FORMATS)
        path = put(form, month, broken_delivery(form, month, turn, dice), f"_{turn:02d}")
        summary = ingest_delivery(path, month)
        receipt = receipt_of(summary)
        seen[summary.reason_code or summary.status] += 1
        seen["quarantined rows"] += summary.rows_quarantined
        seen["duplicate rows"] += summary.rows_duplicate
        if summary.status == "loaded":
            assert_books_balance(summary)
            assert summary.rows_in_file > 0
            assert len(receipt["quarantined"]) == summary.rows_quarantined
        else:
            assert summary.status == "rejected"
            assert receipt["reason_code"] in ("file_header", "file_threshold", "file_unreadable")
    assert seen["loaded"] >= 20
    assert seen["quarantined rows"] >= 20
    assert seen["duplicate rows"] >= 1
    assert 40 - seen["loaded"] >= 5


def test_the_database_refuses_books_that_do_not_balance(month: Month) -> None:
    with pytest.raises(psycopg.errors.CheckViolation), connect(Role.LOADER) as connection:
        connection.execute(
            "insert into ops.deliveries (delivery_id, contract, file_name, sha256, status, rows_in_file, rows_loaded, "
            "rows_quarantined, rows_duplicate) values ('dlv_x', 'x', 'x', 'x', 'loaded', 3, 1, 1, 0)"
        )
