"""Access and erasure: complete for one person, nothing of anybody else; what is erased stays so, the books whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import psycopg
import pytest
from openpyxl import Workbook
from typer.testing import CliRunner

from include.ingest.readers import bsn_key
from include.ingest.suppressions import PersonUnknown
from include.local import person_command
from include.months import Month
from include.settings import Role, Settings
from include.warehouse.connection import connect
from include.warehouse.dbt import build_stage
from include.warehouse.erasure import NothingToErase, erase_again, erase_person
from include.warehouse.fingerprints import month_fingerprint, table_fingerprints
from include.warehouse.forgetting import forget_again, purge, write_register
from include.warehouse.person_export import PersonExport, export_person
from include.warehouse.person_tables import NoWayToPersons, tables
from tests.dbt.landed import Signal, answer, deliver_call_list, find_number, land
from tests.personal_data import Words, read_tables

CLOSED, OPEN = Month(2024, 5), Month(2024, 6)
STAGES = ("matched", "enriched", "categorised", "closure", "marts")
#: the one who asks, and a neighbour in the same house of whom nothing may go or be told
MINE = {
    "surname": "Quirinadt", "initials": "Q.X.", "street": "Quirinalaan", "email": "q.quirinadt@voorbeeld.nl",
    "phone": "+31612345987", "reference": "QREF-771234", "bsn": "123456782",
}  # fmt: skip
THEIRS = {"surname": "Yvervelde", "email": "y@voorbeeld.nl", "phone": "+31687654321", "reference": "YREF-990011"}
SAID = "Zitklem verteld aan de telefoon"


def everything(schema: str) -> str:
    words = Words()
    with connect(Role.ADMIN) as connection:
        read_tables(words, connection, lambda name, _: name == schema)
    return "\n".join(words.places)


@pytest.fixture(scope="module")
def person(warehouse: Path) -> Iterator[str]:
    """A closed and an open month with both of them, in every table there is."""
    for month in (CLOSED, OPEN):
        mine = Signal(
            MINE["reference"], MINE["surname"], initials=MINE["initials"], birth_on=date(1971, 3, 4),
            house_number=77, phone=MINE["phone"], bsn_key=bsn_key(MINE["bsn"]), amount=f"{month.number}50.00",
            extra={"street": MINE["street"], "email": MINE["email"]},
        )  # fmt: skip
        theirs = Signal(
            THEIRS["reference"], THEIRS["surname"], house_number=77, phone=THEIRS["phone"], birth_on=date(1940, 1, 2),
            extra={"street": MINE["street"], "email": THEIRS["email"]},
        )  # fmt: skip
        land(month, [mine, theirs])
        _deliver_as_file(warehouse, month)
        build_stage("matched", month)
        with connect(Role.ADMIN) as connection:
            (request,) = connection.execute(
                "select request_id from intermediate.int_case_persons where surname = %s and signal_month = %s",
                (MINE["surname"], str(month)),
            ).fetchone()
        find_number(month, request, "+31699988877")
        for stage in STAGES[1:3]:
            build_stage(stage, month)
        deliver_call_list(month)
        with connect(Role.ADMIN) as connection:
            records = connection.execute(
                "select distinct call_record_id, case_id, surname from intermediate.int_case_persons"
                " where signal_month = %s",
                (str(month),),
            ).fetchall()
        for record, case, surname in records:
            whose = MINE if surname == MINE["surname"] else THEIRS
            answer(record, case, "help_accepted", month, whose["phone"])
        with connect(Role.LOADER) as connection:
            connection.execute("update landing.ris_outcomes set situation_summary = %s", (SAID,))
        (mine_id,) = [record for record, _, surname in records if surname == MINE["surname"]]
        (folder := warehouse / "outbox" / "certin").mkdir(parents=True, exist_ok=True)
        (folder / f"certin_call_list_{month.compact}_01.csv").write_text(
            f"call_record_id;surname\n{mine_id};{MINE['surname']}\nother;{THEIRS['surname']}\n"
        )
        for stage in STAGES[3:]:
            build_stage(stage, month)
    _close(CLOSED)
    with connect(Role.ADMIN) as connection:
        yield connection.execute(
            "select distinct person_id from intermediate.int_signals__matched where surname = %s", (MINE["surname"],)
        ).fetchone()[0]


def _deliver_as_file(exchange: Path, month: Month) -> None:
    """The rows as they came: in the archive (as text and as a workbook), as raw rows, and one that was held back."""
    delivery = f"dlv_woonbedrijf_{month}_1"
    labels = ["Relatienummer", "Naam", "Postcode", "BSN"]
    rows = [
        [MINE["reference"], MINE["surname"], "2712AB", MINE["bsn"]],
        [THEIRS["reference"], THEIRS["surname"], "2712AB", ""],
        [MINE["reference"], f"{MINE['surname']} \nhuis", "", MINE["bsn"]],
    ]  # fmt: skip
    folder = exchange / "archive" / str(month)
    folder.mkdir(parents=True)
    text = "\r\n".join([";".join(labels), *(";".join(f'"{cell}"' for cell in row) for row in rows), ""])
    (folder / f"woonbedrijf_{month.compact}.csv").write_bytes(text.encode("cp1252"))
    book = Workbook()
    for row in [labels, *rows]:
        book.active.append(row)
    book.save(folder / f"woonbedrijf_{month.compact}_02.xlsx")
    with connect(Role.LOADER) as connection:
        lines = "\x1e".join("\x1f".join([str(number), *row]) for number, row in enumerate(rows, start=1))
        connection.execute(
            "insert into landing.raw_blocks values (%s, 1, 3, %s, %s, %s)", (delivery, str(month), labels, lines)
        )
        connection.execute(
            "insert into landing.quarantined_rows (delivery_id, line_number, partner, signal_month, contract_version,"
            " reasons, raw) values (%s, 3, 'woonbedrijf', %s, '1', '{postcode_missing}', %s)",
            (delivery, str(month), json.dumps(dict(zip(labels, rows[2], strict=True)))),
        )


def _close(month: Month) -> None:
    with connect(Role.EXPORTER) as connection:
        connection.execute(
            "insert into ops.closure_ledger (signal_month, version, batch_id, approved_by, cases_opened, cases_closed,"
            " cases_open, cases_excluded, arrears_closed_eur, content_hash) select signal_month, 1, 'b', 'coordinator',"
            " cases_opened, cases_closed, cases_open, cases_excluded, arrears_closed_eur, %s"
            " from marts.rpt_closure_accounting where signal_month = %s",
            (month_fingerprint(month), str(month)),
        )


@pytest.fixture(scope="module")
def answered(person: str) -> PersonExport:
    return export_person([person], requested_by="privacy officer", reason="verzoek om inzage")


def test_the_answer_is_complete(answered: PersonExport) -> None:
    told = json.loads(answered.data.read_text())
    found = set(told["tables"])
    with connect(Role.ADMIN) as connection:
        everywhere = {table.name for table in tables(connection)}
        read = {
            f"{schema}.{name}"
            for schema, name in connection.execute(
                "select table_schema, table_name from information_schema.tables"
                " where table_schema in ('landing', 'intermediate', 'outbound')"
            )
            if _holds(connection, f"{schema}.{name}")
        }
    assert read - {"landing.raw_blocks"} <= found, "a table holds the person and is not in the answer"
    assert {"landing.raw_rows", "landing.quarantined_rows", "landing.ris_outcomes", "landing.enrichment_results",
            "marts.fct_signals", "marts.fct_outcomes", "ops.call_records"} <= found <= everywhere  # fmt: skip
    text = answered.data.read_text()
    for value in (*MINE.values(), SAID, "+31699988877"):
        assert value in text, value
    assert {path.rsplit("/", 1)[1] for path in told["files"]} == {
        name.replace("M", month.compact)
        for month in (CLOSED, OPEN)
        for name in ("woonbedrijf_M.csv", "woonbedrijf_M_02.xlsx", "certin_call_list_M_01.csv")
    }
    page = answered.page.read_text()
    assert MINE["surname"] in page
    assert "Waarvoor uw gegevens zijn gebruikt" in page


def _holds(connection: psycopg.Connection, table: str) -> bool:
    wanted = [MINE["surname"], MINE["reference"], MINE["email"], MINE["phone"], SAID]
    return connection.execute(
        f"select exists (select from {table} as t, unnest(%s::text[]) as one (value) where strpos(t::text, value) > 0)",
        (wanted,),
    ).fetchone()[0]


def test_the_answer_holds_nobody_else_and_is_for_one_pair_of_eyes(answered: PersonExport) -> None:
    told = answered.data.read_text() + answered.page.read_text()
    assert not [value for value in THEIRS.values() if value in told]
    assert "also_about_others_in_the_case" in told, "they share a case"
    for path in (answered.data, answered.page):
        assert path.stat().st_mode & 0o077 == 0
        assert path.parent.stat().st_mode & 0o077 == 0
        assert not path.is_relative_to(Settings.from_environment().exchange_root)


def test_who_is_meant_is_typed_in_and_never_an_argument(person: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By BSN, by description and by id it is the same person."""
    monkeypatch.setattr(person_command, "running_instance", lambda: None)
    described = f"2712AB\n77\n1971-03-04\n{MINE['surname']}\n"
    for arguments, typed in ((["--bsn"], f"{MINE['bsn']}\n"), (["--describe"], described), ([person], "")):
        told = CliRunner().invoke(
            person_command.app, ["export", *arguments, "--by", "privacy officer", "--reason", "per loket"], input=typed
        )
        assert told.exit_code == 0, told.output
        data = next(Path(line) for line in told.output.splitlines() if line.endswith(".json"))
        assert json.loads(data.read_text())["person_ids"] == [person]
        assert MINE["bsn"] not in told.output
    for arguments in ([], [person, "--bsn"], ["--bsn", "--describe"]):
        wrong = CliRunner().invoke(person_command.app, ["export", *arguments, "--by", "x", "--reason", "y"])
        assert wrong.exit_code == 2
    nobody = CliRunner().invoke(
        person_command.app, ["export", "--bsn", "--by", "x", "--reason", "y"], input="111222333\n"
    )
    assert isinstance(nobody.exception, PersonUnknown)


def test_a_table_that_leads_nowhere_stops_the_answer(person: str) -> None:
    with connect(Role.ADMIN) as connection:
        connection.execute("create table landing.forgotten (signal_month text, remark text)")
    try:
        with pytest.raises(NoWayToPersons, match=r"landing\.forgotten: no column says whose"):
            export_person([person], requested_by="privacy officer", reason="nog eens")
    finally:
        with connect(Role.ADMIN) as connection:
            connection.execute("drop table landing.forgotten")
            logged = connection.execute(
                "select result, reason from ops.access_log where action = 'export person'"
                " order by access_id desc limit 1"
            ).fetchone()
    assert logged == ("failed", "nog eens")


def test_erasing_leaves_no_trace_of_the_person_and_the_books_as_they_were(person: str, warehouse: Path) -> None:
    before, theirs = month_fingerprint(CLOSED), _rows_of(THEIRS["surname"])
    open_month = _rows_of(MINE["surname"], OPEN)
    assert open_month
    erased = erase_person([person], decided_by="privacy officer", reason="verzoek om wissen")
    write_register()
    assert (erased.open_months, erased.files) == (("2024-06",), 3)
    assert month_fingerprint(CLOSED) == before
    assert _rows_of(THEIRS["surname"]) == theirs
    assert _rows_of(MINE["surname"], OPEN) == open_month, "an open month is still worked on"
    _nothing_is_left_of(CLOSED, warehouse)
    # what is counted is still there: a restatement of the month would say the same
    with connect(Role.EXPORTER) as connection:
        connection.execute(
            "insert into ops.restatements (signal_month, version, state) values ('2024-05', 2, 'approved')"
        )
    with connect(Role.BI_READER) as connection:
        by_mart = table_fingerprints(connection, CLOSED)
    for stage in ("closure", "marts"):
        build_stage(stage, CLOSED)
    with connect(Role.BI_READER) as connection:
        assert table_fingerprints(connection, CLOSED) == by_mart
    assert month_fingerprint(CLOSED) == before
    with connect(Role.TRANSFORMER) as connection:
        connection.execute("delete from ops.restatements")
    assert erase_again().rows == 0, "nothing is left to erase"


def _rows_of(surname: str, month: Month | None = None) -> list[tuple]:
    with connect(Role.ADMIN) as connection:
        return [
            row
            for table in ("landing.signals", "intermediate.int_signals__keyed", "intermediate.int_signals__matched",
                          "intermediate.int_case_persons", "outbound.out_certin_call_list")
            for row in connection.execute(
                f"select t::text from {table} as t where surname = %s and signal_month = coalesce(%s, signal_month)"
                " order by 1",
                (surname, str(month) if month else None),
            )
        ]  # fmt: skip


def _nothing_is_left_of(month: Month, exchange: Path) -> None:
    # the street is the neighbour's too
    wanted = [*(value for name, value in MINE.items() if name != "street"), "1971-03-04", MINE["phone"][3:]]
    with connect(Role.ADMIN) as connection:
        monthly = connection.execute(
            "select table_schema || '.' || table_name from information_schema.columns"
            " where table_schema in ('landing', 'intermediate', 'outbound') and column_name = 'signal_month'"
        ).fetchall()
        assert len(monthly) > 20
        for (table,) in monthly:
            left = connection.execute(
                f"select count(*) from {table} as t, unnest(%s::text[]) as one (value)"
                " where t.signal_month = %s and strpos(t::text, value) > 0",
                (wanted, str(month)),
            ).fetchone()
            assert left == (0,), table
        for table in ("ris_outcomes", "ris_attempts"):
            texts = connection.execute(
                f"select t::text from landing.{table} as t where outcome_id in ("
                "select outcome_id from landing.ris_outcomes inner join ops.call_records using (call_record_id)"
                " inner join intermediate.int_case_persons as persons using (call_record_id)"
                " where persons.signal_month = %s and persons.surname like 'erased%%')",
                (str(month),),
            ).fetchall()
            assert texts
            assert not [text for (text,) in texts if SAID in text or MINE["phone"] in text]
    words = Words()
    for path in sorted(exchange.rglob(f"*{month.compact}*.csv")):
        words.add(path.name, path.read_bytes().decode("cp1252"))
    assert THEIRS["surname"] in words.places, "the others' rows stay"
    assert not words.found(wanted)
    from openpyxl import load_workbook

    (workbook,) = exchange.rglob(f"*{month.compact}*.xlsx")
    cells = [cell for row in load_workbook(workbook).active.iter_rows(values_only=True) for cell in row]
    assert THEIRS["surname"] in cells
    assert not [cell for cell in cells if cell in wanted]


def test_what_comes_back_is_erased_again(person: str, warehouse: Path) -> None:
    """As after a restored backup: the rows are back in the warehouse, and so are the files."""
    with connect(Role.LOADER) as connection:
        connection.execute(
            "update landing.signals set surname = %s, partner_reference = %s, email = %s where signal_month = %s"
            " and surname like 'erased%%'",
            (MINE["surname"], MINE["reference"], MINE["email"], str(CLOSED)),
        )
    path = warehouse / "archive" / str(CLOSED) / f"woonbedrijf_{CLOSED.compact}.csv"
    path.write_text(f"{MINE['reference']};{MINE['surname']}\n")
    again = forget_again()
    assert (again.erased_rows, again.erased_files) == (1, 1)
    _nothing_is_left_of_table("landing.signals")
    assert MINE["surname"] not in path.read_text()


def _nothing_is_left_of_table(table: str) -> None:
    with connect(Role.ADMIN) as connection:
        assert connection.execute(
            f"select count(*) from {table} where signal_month = %s and surname = %s", (str(CLOSED), MINE["surname"])
        ).fetchone() == (0,)


def test_an_open_month_is_erased_by_the_purge_after_it_is_closed(person: str, warehouse: Path) -> None:
    before = month_fingerprint(OPEN)
    _close(OPEN)
    purge(Month(2024, 7))
    assert month_fingerprint(OPEN) == before
    assert _rows_of(MINE["surname"]) == []
    assert _rows_of(THEIRS["surname"])


def test_nobody_can_be_read_from_the_register_and_the_logs(person: str) -> None:
    words = Words()
    with connect(Role.ADMIN) as connection:
        read_tables(words, connection, lambda schema, _: schema in ("ops", "marts", "closed", "marts_public"))
    words.add("register", Settings.from_environment().forgotten_register.read_text())
    assert not words.found([*MINE.values(), *THEIRS.values()])
    assert Settings.from_environment().forgotten_register.stat().st_mode & 0o077 == 0


def test_both_logs_say_what_happened_and_only_one_says_who(person: str) -> None:
    with connect(Role.ADMIN) as connection:
        joined = connection.execute(
            "select access.actor, access.action, access.reason, access.result, log.processing_activity_id,"
            " log.status_code from ops.access_log as access inner join ops.processing_log as log using (operation_id)"
            " where access.action in ('export person', 'erase person') and access.reason <> 'per loket'"
            " order by access.access_id"
        ).fetchall()
        columns = connection.execute(
            "select column_name::text from information_schema.columns where table_schema = 'ops'"
            " and table_name in ('processing_log', 'processing_subjects')"
        ).fetchall()
        about = connection.execute(
            "select count(*) from ops.processing_subjects where data_subject_id = ops.keyed_id('subject', %s)",
            (person,),
        ).fetchone()
    assert joined == [
        ("privacy officer", "export person", "verzoek om inzage", "done", "rights", "STATUS_CODE_OK"),
        ("privacy officer", "export person", "nog eens", "failed", "rights", "STATUS_CODE_ERROR"),
        ("privacy officer", "erase person", "verzoek om wissen", "done", "rights", "STATUS_CODE_OK"),
    ]
    assert about[0] >= 2
    assert {name for (name,) in columns} == {
        "operation_id", "trace_id", "name", "processing_activity_id", "status_code", "started_at", "ended_at",
        "data_subject_id",
    }  # fmt: skip


@pytest.mark.parametrize("role", [Role.LOADER, Role.TRANSFORMER, Role.EXPORTER, Role.BI_READER])
@pytest.mark.parametrize("table", ["access_log", "processing_log", "processing_subjects"])
def test_no_role_writes_or_changes_a_log_by_hand(role: Role, table: str) -> None:
    for statement in (f"insert into ops.{table} default values", f"update ops.{table} set operation_id = 'x'",
                      f"delete from ops.{table}", f"truncate ops.{table}"):  # fmt: skip
        refused = (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)
        with pytest.raises(refused), connect(role) as connection:
            connection.execute(statement)
    with pytest.raises(psycopg.errors.RaiseException, match="append-only"), connect(Role.ADMIN) as connection:
        connection.execute(f"delete from ops.{table}")


def test_nobody_is_erased_twice_over_or_when_unknown(warehouse: Path) -> None:
    with pytest.raises(NothingToErase):
        erase_person(["person_00000000000000000000"], decided_by="privacy officer", reason="onbekend")
