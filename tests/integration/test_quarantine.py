"""Quarantine with life, on a real PostgreSQL: rows and files are seen, judged again, released or discarded, and the
books balance at any time."""

from __future__ import annotations

import itertools
import json
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from typer.testing import CliRunner

from include.exchange.folders import Exchange
from include.ingest import quarantine
from include.ingest.booking import DeliverySummary
from include.ingest.deliveries import ingest_delivery, open_month
from include.ingest.enrichment import load_enrichment_results
from include.ingest.quarantine import CannotJudgeAgain, NothingSelected, Selection
from include.local import quarantine_command
from include.months import Month
from include.quality.gates import run_gate
from include.settings import CONTRACTS_FOLDER, PROJECT_ROOT, Role
from include.warehouse.connection import connect
from tests.fixtures.deliveries import DRINKWATER, STADSENERGIE, WOONBEDRIJF, ZORGPLUS, PartnerFormat, Row

BY = "M. de Wit"
_months = itertools.chain(Month.parse_range("2024-01..2038-12"))


@pytest.fixture
def month(warehouse: Path) -> Iterator[Month]:
    month = next(_months)
    open_month(month)
    yield month
    for file in warehouse.glob("inbox/*/*"):
        file.unlink()


@pytest.fixture
def contracts(warehouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the contracts, to be mended."""
    folder = tmp_path / "contracts"
    shutil.copytree(CONTRACTS_FOLDER, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    monkeypatch.setenv("VS_CONTRACTS", str(folder))
    return folder


def mend(contracts: Path, name: str, column: str, **options: Any) -> None:
    """Give a column of a contract other options."""
    path = contracts / "inbound" / f"{name}.odcs.yaml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    (found,) = [one for one in document["schema"][0]["properties"] if one["name"] == column]
    found["customProperties"] = [one for one in found["customProperties"] if one["property"] not in options]
    found["customProperties"] += [{"property": name, "value": value} for name, value in options.items()]
    path.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), encoding="utf-8")


def rows_of(statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with connect(Role.ADMIN) as connection:
        return connection.execute(statement, values).fetchall()


def deliver(form: PartnerFormat, month: Month, rows: list[Row], sequence: str = "") -> DeliverySummary:
    rows = [row | {form.reference: f"{month.compact}-{row[form.reference]}"} for row in form.in_month(rows, month)]
    path = form.inbox(form.file_name(month.compact, sequence))
    Exchange.from_settings().write(path, form.write(rows))
    return ingest_delivery(path, month)


def with_odd_dates(count: int = 30, odd: tuple[int, ...] = (3, 7)) -> list[Row]:
    """Rows of ZorgPlus of which some have a birth date as its contract does not read it yet."""
    rows = ZORGPLUS.good_rows(count)
    for number in odd:
        rows[number] |= {"birth_date": "03/07/1950"}
    return rows


def mend_dates(contracts: Path) -> None:
    mend(contracts, "zorgplus-v1", "birth_date", formats=["jjjj-mm-dd", "dd/mm/jjjj"])


def close(month: Month) -> None:
    with connect(Role.EXPORTER) as connection:
        connection.execute(
            "insert into ops.closure_ledger values (%s, 1, 'b', 'coordinator', 0, 0, 0, 0, 0, 'hash')", (str(month),)
        )


def receipt_of(summary: DeliverySummary) -> dict[str, Any]:
    return json.loads(Exchange.from_settings().read(summary.receipt))


def book_of(delivery_id: str) -> tuple[int, ...]:
    (book,) = rows_of(
        "select rows_in_file, rows_loaded, rows_quarantined, rows_duplicate, rows_released, rows_discarded"
        " from ops.delivery_books where delivery_id = %s",
        delivery_id,
    )
    return book


def assert_books_balance() -> None:
    """Of every partner's file the books are what stands in landing; those of all months are those of all files."""
    books = rows_of("select * from ops.delivery_books where status = 'loaded' and partner is not null")
    assert books
    wrong = rows_of(
        """
        select books.delivery_id from ops.delivery_books as books
        cross join lateral (
            select
                (select count(*) from landing.signals where signals.delivery_id = books.delivery_id) as loaded,
                count(*) filter (where status <> 'released' and reasons <> '{reference_duplicate}') as quarantined,
                count(*) filter (where status <> 'released' and reasons = '{reference_duplicate}') as duplicate,
                count(*) filter (where status = 'released') as released,
                count(*) filter (where status = 'discarded') as discarded
            from landing.quarantined_rows as held where held.delivery_id = books.delivery_id
        ) as landed
        where books.status = 'loaded' and books.partner is not null and (
            books.rows_in_file <> books.rows_loaded + books.rows_quarantined + books.rows_duplicate
            or (books.rows_loaded, books.rows_quarantined, books.rows_duplicate, books.rows_released,
                books.rows_discarded)
            <> (landed.loaded, landed.quarantined, landed.duplicate, landed.released, landed.discarded))
        """
    )
    assert wrong == []
    ((received, loaded, held, duplicate, carried),) = rows_of(
        "select sum(rows_received), sum(rows_loaded), sum(rows_quarantined), sum(rows_duplicate),"
        " sum(rows_carried_over) from ops.month_books"
    )
    ((in_files,),) = rows_of(
        "select sum(rows_in_file) from ops.delivery_books where status = 'loaded' and partner is not null"
    )
    assert received == in_files + carried
    assert received == loaded + held + duplicate
    assert rows_of(
        "select signal_month from ops.month_books as books where rows_loaded <> ("
        " select count(*) from landing.signals where signals.signal_month = books.signal_month"
        " and signals.partner = books.partner)"
    ) == []  # fmt: skip


# -- seeing ------------------------------------------------------------------------------------------------------------


def test_held_rows_and_refused_files_are_listed_without_what_stands_in_them(month: Month) -> None:
    rows = ZORGPLUS.good_rows(20)
    rows[3] |= {"postcode": "?", "surname": ""}
    rows[9] |= {"client_ref": rows[2]["client_ref"]}
    summary = deliver(ZORGPLUS, month, rows)
    refused = deliver(WOONBEDRIJF, month, [row | {"Postcode": "?"} for row in WOONBEDRIJF.good_rows(5)])
    held = quarantine.held_rows(Selection(month=month))
    assert [(row.line_number, sorted(row.reasons), row.status) for row in held] == [
        (5, ["postcode_invalid", "surname_missing"], "open"), (11, ["reference_duplicate"], "open"),
    ]  # fmt: skip
    assert quarantine.held_rows(Selection(month=month, reason="surname_missing")) == held[:1]
    assert quarantine.held_rows(Selection(month=month, partner="woonbedrijf")) == []
    assert quarantine.held_rows(Selection(month=month), "released") == []
    (file,) = quarantine.refused_files(Selection(month=month))
    assert (file.delivery_id, file.reason_code) == (refused.delivery_id, "file_threshold")
    assert quarantine.delivery_called(summary.delivery_id[:14]) == summary.delivery_id
    with pytest.raises(NothingSelected, match="several deliveries"):
        quarantine.delivery_called("dlv_")


def test_who_looks_at_a_row_sees_no_bsn_and_is_recorded_without_content(month: Month) -> None:
    rows = ZORGPLUS.good_rows(20)
    rows[3] |= {"postcode": "?"}
    summary = deliver(ZORGPLUS, month, rows)
    row, delivered = quarantine.look_at_row(summary.delivery_id, 5, "j.jansen")
    assert (row.reasons, delivered["postcode"], delivered["surname"]) == (["postcode_invalid"], "?", rows[3]["surname"])
    assert rows[3]["bsn"] not in repr(delivered)
    logged = rows_of("select actor, action, object from ops.access_log order by access_id desc limit 1")
    assert logged == [("j.jansen", "show held row", f"{summary.delivery_id} line 5")]
    with pytest.raises(NothingSelected, match="was not held back"):
        quarantine.look_at_row(summary.delivery_id, 6, "j.jansen")
    with pytest.raises(psycopg.errors.RaiseException, match="append-only"), connect(Role.ADMIN) as connection:
        connection.execute("delete from ops.access_log")


# -- releasing ---------------------------------------------------------------------------------------------------------


def test_a_row_is_released_once_its_contract_reads_it(month: Month, contracts: Path) -> None:
    rows = with_odd_dates()
    rows[9] |= {"birth_date": "03/07/1950", "postcode": "?"}
    summary = deliver(ZORGPLUS, month, rows)
    assert (summary.rows_loaded, summary.rows_quarantined) == (27, 3)
    selection = Selection(delivery_id=summary.delivery_id)
    before = quarantine.release(selection, BY)
    assert (before.rows_released, before.held_for) == (0, {"birth_on_invalid": 3, "postcode_invalid": 1})
    mend_dates(contracts)
    done = quarantine.release(selection, BY, "datums met streepjes en schuine strepen")
    assert (done.rows_judged, done.rows_released, done.rows_held) == (3, 2, 1)
    assert (done.held_for, done.months, done.problems) == ({"postcode_invalid": 1}, (str(month),), ())
    assert rows_of(
        "select line_number, signal_month, birth_on::text, flags from landing.signals"
        " where delivery_id = %s and line_number in (5, 9) order by 1",
        summary.delivery_id,
    ) == [(line, str(month), "1950-07-03", []) for line in (5, 9)]
    held = {row.line_number: row for row in quarantine.held_rows(selection, None)}
    assert {line: (row.status, row.decided_by, row.released_in) for line, row in held.items()} == {
        5: ("released", BY, str(month)), 9: ("released", BY, str(month)), 11: ("open", None, None),
    }  # fmt: skip
    assert (held[11].reasons, sorted(held[11].reasons_on_arrival)) == (
        ["postcode_invalid"], ["birth_on_invalid", "postcode_invalid"],
    )  # fmt: skip
    assert book_of(summary.delivery_id) == (30, 29, 1, 0, 2, 0)
    receipt = receipt_of(summary)
    assert (receipt["rows_loaded"], receipt["rows_quarantined"], receipt["rows_released"]) == (29, 1, 2)
    assert receipt["quarantined"] == [{"line": 11, "reasons": ["postcode_invalid"]}]
    assert receipt["released"] == [{"line": line, "signal_month": str(month)} for line in (5, 9)]
    assert "2 rijen zijn na een nieuwe beoordeling alsnog verwerkt" in receipt["message"]
    assert rows[3]["surname"] not in json.dumps(receipt)
    assert_books_balance()

    landed = rows_of("select * from landing.signals where delivery_id = %s order by line_number", summary.delivery_id)
    again = quarantine.release(selection, BY)
    assert (again.rows_judged, again.rows_released) == (1, 0)
    assert landed == rows_of(
        "select * from landing.signals where delivery_id = %s order by line_number", summary.delivery_id
    )
    assert book_of(summary.delivery_id) == (30, 29, 1, 0, 2, 0)


def test_only_what_was_asked_for_is_released(month: Month, contracts: Path) -> None:
    summary = deliver(ZORGPLUS, month, with_odd_dates())
    mend_dates(contracts)
    done = quarantine.release(Selection(delivery_id=summary.delivery_id, lines=(9,)), BY)
    assert (done.rows_judged, done.rows_released) == (1, 1)
    assert [row.line_number for row in quarantine.held_rows(Selection(month=month))] == [5]
    with pytest.raises(NothingSelected, match="Say which rows"):
        quarantine.release(Selection(), BY)
    with pytest.raises(NothingSelected, match="No row in quarantine"):
        quarantine.release(Selection(month=month, partner="woonbedrijf"), BY)


def test_a_row_of_a_month_that_is_over_enters_the_next_as_late_and_the_closed_books_stay(
    month: Month, contracts: Path
) -> None:
    following = next(_months)
    summary = deliver(ZORGPLUS, month, with_odd_dates())
    of_month = "select * from ops.month_books where signal_month = %s"
    before = rows_of(of_month, str(month))
    close(month)
    mend_dates(contracts)
    done = quarantine.release(Selection(month=month), BY)
    assert (done.rows_released, done.months) == (2, (str(following),))
    assert rows_of(
        "select signal_month, flags, count(*) from landing.signals where delivery_id = %s group by 1, 2 order by 1",
        summary.delivery_id,
    ) == [(str(month), [], 28), (str(following), ["late"], 2)]
    assert book_of(summary.delivery_id) == (30, 30, 0, 0, 2, 0)
    assert rows_of(of_month, str(month)) == before
    assert rows_of(of_month, str(following)) == [(str(following), "zorgplus", 2, 2, 0, 0, 2)]
    assert_books_balance()
    deliver(ZORGPLUS, following, ZORGPLUS.good_rows(5))
    assert rows_of(of_month, str(following)) == [(str(following), "zorgplus", 7, 7, 0, 0, 2)]
    # the gate stops neither month; the closed one still tells what it was closed with
    assert run_gate("G1", month).warnings == ("few_rows_quarantined",)
    assert run_gate("G1", following).warnings == ()


def test_of_two_held_rows_with_one_reference_the_first_is_released(month: Month, contracts: Path) -> None:
    rows = with_odd_dates(odd=(3, 7, 12))
    rows[7] |= {"client_ref": rows[3]["client_ref"]}
    rows[12] |= {"client_ref": rows[0]["client_ref"]}
    summary = deliver(ZORGPLUS, month, rows)
    assert summary.rows_quarantined == 3
    mend_dates(contracts)
    done = quarantine.release(Selection(delivery_id=summary.delivery_id), BY)
    assert (done.rows_released, done.held_for) == (1, {"reference_duplicate": 2})
    assert [row.line_number for row in quarantine.held_rows(Selection(month=month), "released")] == [5]
    assert_books_balance()


def test_a_released_row_loses_from_the_correction_that_came_since(month: Month, contracts: Path) -> None:
    rows = with_odd_dates()
    deliver(ZORGPLUS, month, rows)
    corrected = [rows[3] | {"birth_date": "1951-01-01", "arrears_amount": "77.00"}]
    deliver(ZORGPLUS, month, corrected, "_02")
    mend_dates(contracts)
    assert quarantine.release(Selection(month=month), BY).rows_released == 2
    with connect(Role.TRANSFORMER) as connection:
        found = connection.execute(
            "select arrears_eur::text, delivery_sequence from staging.stg_signals"
            " where signal_month = %s and partner_reference = %s",
            (str(month), f"{month.compact}-{rows[3]['client_ref']}"),
        ).fetchall()
    assert found == [("77.00", 2)]
    assert_books_balance()


def test_a_workbook_is_judged_again_as_it_was_with_its_numbers_as_numbers(month: Month, contracts: Path) -> None:
    rows = STADSENERGIE.good_rows(30)
    rows[4] |= {"Eindelevering": "misschien"}
    summary = deliver(STADSENERGIE, month, rows)
    assert summary.rows_quarantined == 1
    mend(contracts, "stadsenergie-v1", "eindelevering", falseWhen=["N", "Nee", "Misschien"])
    assert quarantine.release(Selection(delivery_id=summary.delivery_id), BY).rows_released == 1
    assert rows_of(
        "select phone_1, is_crisis from landing.signals where delivery_id = %s and line_number = 8",
        summary.delivery_id,
    ) == [(f"+31{rows[4]['Telefoonnummer']}", False)]


def test_a_refused_file_is_judged_again_as_a_whole(month: Month, contracts: Path, warehouse: Path) -> None:
    refused = deliver(ZORGPLUS, month, with_odd_dates(odd=tuple(range(10))))
    assert (refused.status, refused.reason_code) == ("rejected", "file_threshold")
    again = quarantine.release_file(refused.delivery_id, "tester")
    assert (again.status, again.reason_code) == ("rejected", "file_threshold")
    assert (warehouse / again.archived_as).exists()
    mend_dates(contracts)
    done = quarantine.replay(
        month=None, partner=None, delivery=refused.delivery_id[:12], reason=None, decided_by=BY, remark=None
    )
    assert (done.rows_judged, done.rows_released, done.months) == (30, 30, (str(month),))
    assert quarantine.refused_files(Selection(month=month)) == []
    assert receipt_of(refused)["status"] == "loaded"
    assert not list(warehouse.glob("inbox/*/*"))
    assert_books_balance()


def test_a_discarded_row_is_never_a_signal_and_keeps_its_reason(month: Month, contracts: Path) -> None:
    summary = deliver(ZORGPLUS, month, with_odd_dates())
    selection = Selection(delivery_id=summary.delivery_id, lines=(5,))
    with pytest.raises(NothingSelected, match="needs a reason"):
        quarantine.discard(selection, BY, " ")
    assert quarantine.discard(selection, BY, "partner bevestigt: testklant") == 1
    assert quarantine.discard(selection, BY, "nog eens") == 0
    mend_dates(contracts)
    assert quarantine.release(Selection(delivery_id=summary.delivery_id), BY).rows_released == 1
    (row,) = quarantine.held_rows(selection, "discarded")
    assert (row.decided_by, row.decision_reason) == (BY, "partner bevestigt: testklant")
    assert book_of(summary.delivery_id) == (30, 29, 1, 0, 1, 1)
    receipt = receipt_of(summary)
    assert receipt["quarantined"] == [{"line": 5, "reasons": ["birth_on_invalid"], "discarded": True}]
    assert_books_balance()


def test_without_the_file_or_a_contract_nothing_is_lost_and_the_message_says_what_is_left(
    month: Month, contracts: Path, warehouse: Path
) -> None:
    summary = deliver(ZORGPLUS, month, with_odd_dates())
    (contracts / "inbound" / "zorgplus-v1.odcs.yaml").rename(contracts / "zorgplus.away")
    done = quarantine.release(Selection(month=month), BY)
    assert (done.rows_judged, done.rows_released) == (0, 0)
    assert "No contract reads" in done.problems[0]
    (contracts / "zorgplus.away").rename(contracts / "inbound" / "zorgplus-v1.odcs.yaml")
    (warehouse / summary.archived_as).unlink()
    done = quarantine.release(Selection(month=month), BY)
    assert "vs quarantine discard --delivery" in done.problems[0]
    refused = deliver(WOONBEDRIJF, month, [row | {"Postcode": "?"} for row in WOONBEDRIJF.good_rows(5)])
    (warehouse / refused.archived_as).unlink()
    with pytest.raises(CannotJudgeAgain, match="deliver woonbedrijf_.* again"):
        quarantine.release_file(refused.delivery_id, "tester")
    assert len(quarantine.held_rows(Selection(delivery_id=summary.delivery_id))) == 2
    assert_books_balance()


@pytest.mark.parametrize("point", ["after_rows", "after_decision", "before_receipt"])
def test_a_killed_release_that_is_repeated_releases_once(point: str, month: Month, contracts: Path) -> None:
    summary = deliver(ZORGPLUS, month, with_odd_dates())
    mend_dates(contracts)
    died = subprocess.run(
        [sys.executable, "-m", "tests.integration.dying_release", summary.delivery_id, point],
        cwd=PROJECT_ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert died.returncode == -signal.SIGKILL, died.stderr
    released = point == "before_receipt"
    assert book_of(summary.delivery_id) == ((30, 30, 0, 0, 2, 0) if released else (30, 28, 2, 0, 0, 0))
    assert_books_balance()
    quarantine.release(Selection(delivery_id=summary.delivery_id), BY)
    assert book_of(summary.delivery_id) == (30, 30, 0, 0, 2, 0)
    assert receipt_of(summary)["rows_released"] == 2
    assert_books_balance()


# -- the books ---------------------------------------------------------------------------------------------------------


def held_and_curable(form: PartnerFormat, turn: int, dice: random.Random) -> list[Row]:
    """Some rows are bad in a way the contract can be mended for, others in ways it cannot, some stand there twice."""
    rows = form.good_rows(dice.randrange(20, 60), start=100 * turn)
    for row in rows:
        fate = dice.random()
        if fate < 0.03 and form is ZORGPLUS:
            row["birth_date"] = "03/07/1950"
        elif fate < 0.05:
            row[next(label for label in row if label.casefold().startswith("postcode"))] = "?"
        elif fate < 0.07:
            row[form.reference] = rows[0][form.reference]
    return rows


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_books_balance_whatever_is_released_discarded_and_closed(seed: int, month: Month, contracts: Path) -> None:
    dice, seen, open_months = random.Random(seed), Counter[str](), [month, next(_months), next(_months)]
    for turn in range(40):
        act = dice.choice(["deliver", "deliver", "release", "release", "discard", "mend", "close", "twice"])
        if act == "deliver":
            form = dice.choice((ZORGPLUS, ZORGPLUS, DRINKWATER))
            rows = held_and_curable(form, turn, dice)
            seen[deliver(form, dice.choice(open_months), rows, f"_{turn + 1:02d}").status] += 1
        elif act == "mend" and turn > 15:
            mend_dates(contracts)
        elif act == "close" and turn > 20 and len(open_months) > 1:
            close(open_months.pop(0))
            seen["closed"] += 1
        held = quarantine.held_rows(Selection())
        if act in ("release", "twice", "discard") and held:
            row = dice.choice(held)
            selection = dice.choice([
                Selection(delivery_id=row.delivery_id), Selection(month=Month.parse(row.signal_month)),
                Selection(partner=row.partner), Selection(reason=row.reasons[0]),
                Selection(delivery_id=row.delivery_id, lines=(row.line_number,)),
            ])  # fmt: skip
            if act == "discard":
                seen["discarded"] += quarantine.discard(replace(selection, lines=(row.line_number,)), BY, "test")
            else:
                seen["released"] += quarantine.release(selection, BY).rows_released
                assert act != "twice" or quarantine.release(selection, BY).rows_released == 0
        if seen["loaded"]:
            assert_books_balance()
    # whatever the dice said, there is something that a mended contract releases
    seen[deliver(ZORGPLUS, open_months[-1], with_odd_dates(), "_41").status] += 1
    mend_dates(contracts)
    seen["released"] += quarantine.release(Selection(reason="birth_on_invalid"), BY).rows_released
    assert_books_balance()
    assert min(seen[kind] for kind in ("loaded", "released", "discarded", "closed")) > 0, seen
    assert rows_of("select 1 from landing.signals group by delivery_id, line_number having count(*) > 1") == []


def test_a_row_of_the_provider_can_only_be_discarded(month: Month) -> None:
    asked = [f"request_{month.compact}_{number}" for number in range(20)]
    with connect(Role.EXPORTER) as connection:
        for request in asked:
            connection.execute(
                "insert into ops.enrichment_requests (request_id, signal_month, sequence) values (%s, %s, 1)",
                (request, str(month)),
            )
    lines = [f"{request},,,,," for request in (*asked, "request_nobody_made")]
    Exchange.from_settings().write(
        f"inbox/enrichment/enrichment_result_{month.compact}_01.csv",
        "\r\n".join(["request_id,phone,source,match_level,matched_on,confidence", *lines, ""]).encode(),
    )
    assert load_enrichment_results(month).rows_quarantined == 1
    (problem,) = quarantine.release(Selection(month=month), BY).problems
    assert "can only be discarded" in problem
    assert quarantine.discard(Selection(month=month), BY, "geen vraag van ons") == 1
    assert quarantine.held_rows(Selection(month=month)) == []


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_command_shows_releases_and_discards(
    month: Month, contracts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine_command, "running_instance", lambda: None)  # the warehouse fixture has set it up

    def vs(*arguments: str) -> str:
        answer = CliRunner().invoke(quarantine_command.app, list(arguments), env={"COLUMNS": "160"})
        assert answer.exit_code == 0, answer.output
        return answer.output

    summary = deliver(ZORGPLUS, month, with_odd_dates(odd=(3, 7, 8)))
    deliver(WOONBEDRIJF, month, [row | {"Postcode": "?"} for row in WOONBEDRIJF.good_rows(5)])
    listed = vs("list", "--month", str(month))
    assert listed.count("birth_on_invalid") == 3
    assert "file_threshold" in listed
    assert "Brouwer" not in listed
    shown = vs("show", summary.delivery_id[:14], "5")
    assert "03/07/1950" in shown
    assert "Held back for: birth_on_invalid" in shown
    assert str(with_odd_dates()[3]["bsn"]) not in shown
    discarded = vs("discard", "--delivery", summary.delivery_id, "--line", "10", "--reason", "testklant", "--by", BY)
    assert discarded == "1 rows discarded.\n"
    mend_dates(contracts)
    released = vs("release", "--month", str(month), "--partner", "zorgplus", "--by", BY)
    assert "2 rows judged again: 2 released, 0 still held back." in released
    assert f"vs month {month} --from build" in released
    assert f"released into {month} by {BY}" in vs("list", "--month", str(month), "--status", "all")
    assert_books_balance()
