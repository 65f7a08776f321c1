"""Nothing personal where it may not be: every personal field of every inbound contract is marked, a month is run, and
the marks are looked for. Where they may be they must be found, or the search proves nothing.

The same through a real Airflow, with its logs, XCom and rendered templates: tests/e2e/test_months_through_airflow.py.
"""

from __future__ import annotations

import csv
import io
import logging
import tempfile
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from include.contracts.registry import all_contracts, load_contract
from include.exchange.folders import Exchange
from include.months import Month
from include.outbound.ris_closures import AcknowledgementPending, send_closures
from include.settings import Role, Settings
from include.warehouse.connection import connect
from tests import month_in_process as run
from tests.personal_data import Arguments
from tests.planted import MARKS, Found, Marker, delivery, is_marked, partners, rows_of

#: a month at whose end areas are published too
MONTH = Month(2024, 12)
WHERE_IT_MAY = ("landing", "intermediate", "outbound")
WHERE_NOT = ("ops", "marts", "marts_public", "closed")


@dataclass
class Ran:
    """A month that ran, and what was said meanwhile."""

    exchange: Path
    marks: Marker
    temporary: Path
    said: str = ""
    arguments: Arguments = field(default_factory=Arguments)


@pytest.fixture(scope="module")
def ran(warehouse: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    ran, said = Ran(warehouse, Marker(), tmp_path_factory.mktemp("temporary")), io.StringIO()
    handler = logging.StreamHandler(said)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with ran.arguments, pytest.MonkeyPatch.context() as patch:
            patch.setenv("VS_RIS_BY", "files")
            patch.setattr(tempfile, "tempdir", str(ran.temporary))
            _partners_deliver(ran.marks)
            run.run_step("ingest", MONTH)
            for task in run.STEPS["build"]:
                if task == "await_enrichment":
                    _provider_answers(ran.marks)
                run.run_task(task, MONTH)
            run.run_step("deliver", MONTH)
            _ris_tells(ran.marks)
            run.run_step("collect", MONTH)
            for task in run.STEPS["close"]:
                if task == "send_closures":
                    _ris_acknowledges()
                run.run_task(task, MONTH)
            _look_at_what_people_look_at()
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
    ran.said = said.getvalue()
    return ran


def _partners_deliver(marks: Marker) -> None:
    exchange = Exchange.from_settings()
    for contract in partners():
        rows = [*rows_of(contract, MONTH, marks), *rows_of(contract, MONTH, marks, broken=True)]
        exchange.write(f"{contract.folder}/{contract.file_name(MONTH, 1)}", delivery(contract, rows))
        # somebody forgot the header: then a resident's row is what the columns seem to be called
        headless = delivery(contract, list(rows_of(contract, MONTH, marks)), with_header=False)
        exchange.write(f"{contract.folder}/{contract.file_name(MONTH, 2)}", headless)
        exchange.write(f"{contract.folder}/{contract.file_name(MONTH, 3)}", b"\x00\xff" + headless)


def _provider_answers(marks: Marker) -> None:
    exchange, contract = Exchange.from_settings(), load_contract("enrichment_result")
    asked = exchange.read(f"outbox/enrichment/{load_contract('enrichment_request').file_name(MONTH, 1)}").decode()
    rows = []
    for request in csv.DictReader(io.StringIO(asked)):
        answer = {"request_id": request["request_id"], "source": "gids", "match_level": "person",
                  "matched_on": f"{MONTH}-01", "confidence": "0.9"}  # fmt: skip
        rows.append([
            marks.value(contract, column) if is_marked(column) else answer[column.name] for column in contract.columns
        ])  # fmt: skip
    assert len(rows) > 10
    exchange.write(f"{contract.folder}/{contract.file_name(MONTH, 1)}", delivery(contract, rows))


def _ris_tells(marks: Marker) -> None:
    exchange = Exchange.from_settings()
    with connect(Role.EXPORTER) as connection:
        records = connection.execute("select call_record_id, case_id from ops.call_records order by 1").fetchall()
    assert len(records) > 20
    at = datetime(MONTH.year, MONTH.number, 13, 14, 0, tzinfo=UTC).isoformat()
    told: dict[str, list[list[str]]] = {"ris_outcomes": [], "ris_attempts": [], "ris_followups": []}
    for number, (record, case) in enumerate(records):
        known = {
            "outcome_id": f"out{number}", "call_record_id": record, "case_id": case, "result_at": at, "updated_at": at,
            "result_code": ("help_accepted", "refuses_contact", "invalid_number")[number % 3], "script_version": "v1",
            "attempt_id": f"att{number}", "attempt_no": "1", "direction": "outbound", "started_at": at, "ended_at": at,
            "reached": "true", "attempt_result": "answered", "followup_id": f"fol{number}", "kind": "quick_fix",
            "started_on": f"{MONTH}-16", "ended_on": f"{MONTH}-20",
        }  # fmt: skip
        for name, rows in told.items():
            contract = load_contract(name)
            if name == "ris_followups" and number % 3:
                continue
            rows.append([
                marks.value(contract, column) if is_marked(column) else known.get(column.name, "")
                for column in contract.columns
            ])  # fmt: skip
    for name, rows in told.items():
        contract = load_contract(name)
        exchange.write(f"{contract.folder}/{contract.file_name(MONTH, 1)}", delivery(contract, rows))


def _ris_acknowledges() -> None:
    with pytest.raises(AcknowledgementPending):
        send_closures(MONTH, run.APPROVER)
    exchange, answered = Exchange.from_settings(), load_contract("ris_closures_ack")
    sent = exchange.read(f"outbox/ris/{load_contract('ris_closures').file_name(MONTH, 1)}").decode()
    rows = [[row["case_id"], "true", ""] for row in csv.DictReader(io.StringIO(sent))]
    assert rows
    exchange.write(f"{answered.folder}/{answered.file_name(MONTH, 1)}", delivery(answered, rows))


def _look_at_what_people_look_at() -> None:
    """Commands that handle persons leave lines in both logs."""
    from include.ingest import quarantine

    held = quarantine.held_rows(quarantine.Selection(month=MONTH))
    quarantine.look_at_row(held[0].delivery_id, held[0].line_number, "medewerker")
    quarantine.release(quarantine.Selection(month=MONTH), "medewerker", "opnieuw beoordeeld")


def in_schemas(schemas: tuple[str, ...]) -> Found:
    from psycopg import sql

    found = Found()
    with connect(Role.ADMIN) as connection:
        tables = connection.execute(
            "select table_schema, table_name from information_schema.tables where table_schema = any(%s) order by 1, 2",
            (list(schemas),),
        ).fetchall()
        assert {schema for schema, _ in tables} == set(schemas)
        for schema, name in tables:
            statement = sql.SQL("select string_agg(t::text, E'\\n') from {} as t").format(sql.Identifier(schema, name))
            found.read(f"{schema}.{name}", connection.execute(statement).fetchone()[0] or "")
    return found


def in_files(*roots: Path, only: str = "*") -> Found:
    found = Found()
    for root in roots:
        for path in sorted(root.rglob(only)):
            if path.is_file():
                data = path.read_bytes()
                if zipfile.is_zipfile(path):
                    with zipfile.ZipFile(path) as archive:
                        data = b"\n".join(archive.read(name) for name in archive.namelist())
                found.read(path.name, data.decode("utf-8", errors="replace"))
    return found


def test_every_personal_field_of_every_inbound_contract_was_planted(ran: Ran) -> None:
    inbound = [contract for contract in all_contracts() if contract.path.parent.name == "inbound"]
    wanted = {
        (contract.reference, column.label) for contract in inbound for column in contract.columns if is_marked(column)
    }
    assert len(wanted) > 35
    assert wanted == ran.marks.planted
    with connect(Role.ADMIN) as connection:
        statuses = dict(connection.execute("select status, count(*) from ops.deliveries group by 1").fetchall())
        held = connection.execute("select count(*) from landing.quarantined_rows").fetchone()
    assert statuses["rejected"] >= 2 * len(partners()), "files without a header are refused"
    assert held == (len(partners()),)


def test_the_marks_are_found_where_personal_data_may_be(ran: Ran) -> None:
    assert set(in_schemas(("landing",)).kinds) == set(MARKS)
    assert set(in_schemas(("intermediate",)).kinds) == set(MARKS) - {"bsn"}, "a BSN stands in landing and nowhere else"
    assert set(in_files(ran.exchange / "archive").kinds) == set(MARKS)
    sent = set(in_files(ran.exchange / "outbox").kinds)
    assert sent >= {"name, street, place or what was said", "initials", "phone number", "postcode", "house number"}
    assert "bsn" not in sent


def test_a_bsn_stands_outside_landing_only_as_a_keyed_hash(ran: Ran) -> None:
    import hashlib

    with connect(Role.ADMIN) as connection:
        keys = [key for (key,) in connection.execute("select bsn_key from landing.signals where bsn_key is not null")]
        raw = connection.execute("select raw ->> 'bsn' from landing.raw_rows where raw ? 'bsn'").fetchall()
    assert len(keys) > 5
    plain = {hashlib.sha256(bsn.encode()).hexdigest() for (bsn,) in raw}
    assert not plain & set(keys), "a hash without the key"


@pytest.mark.parametrize("schema", WHERE_NOT)
def test_no_mark_stands_in_books_and_numbers(ran: Ran, schema: str) -> None:
    found = in_schemas((schema,))
    assert found.characters > 1_000
    assert found.kinds == {}


def test_no_mark_stands_in_what_was_said_or_passed(ran: Ran) -> None:
    said, arguments = Found(), Found()
    said.read("log", ran.said)
    arguments.read("arguments", " ".join(ran.arguments.words.places))
    assert said.characters > 1_000
    assert arguments.characters > 100
    assert said.kinds == {}
    assert arguments.kinds == {}


def test_no_mark_stands_in_what_tools_leave_behind(ran: Ran) -> None:
    """dbt's compiled SQL, manifest, results and logs; whatever Great Expectations keeps; reports; receipts."""
    settings = Settings.from_environment()
    tools = in_files(settings.dbt_target_folder, *(folder for folder in settings.log_folders if folder.is_dir()))
    assert tools.characters > 100_000
    assert tools.kinds == {}
    assert in_files(ran.temporary).kinds == {}, "what Great Expectations or anybody left in a temporary folder"
    reports = in_files(settings.reports_folder)
    assert reports.characters > 5_000
    assert reports.kinds == {}
    receipts = in_files(ran.exchange / "outbox", only="receipt_*.json")
    assert receipts.characters > 1_000
    assert receipts.kinds == {}
    manifests = in_files(ran.exchange / "outbox", only="*.manifest.json")
    assert manifests.characters > 100
    assert manifests.kinds == {}
    closures = in_files(ran.exchange / "outbox" / "ris")
    assert closures.characters > 100
    assert closures.kinds == {}


def test_everything_that_left_is_in_both_logs(ran: Ran) -> None:
    with connect(Role.ADMIN) as connection:
        files = connection.execute("select distinct file_name from ops.exchange_ledger").fetchall()
        logged = connection.execute(
            "select access.object, log.processing_activity_id, (select count(*) from ops.processing_subjects as about"
            " where about.operation_id = log.operation_id) from ops.access_log as access"
            " inner join ops.processing_log as log using (operation_id) where action = 'send file'"
        ).fetchall()
        done = {action for (action,) in connection.execute("select distinct action from ops.access_log")}
        outside = connection.execute(
            "select count(*) from ops.access_log full join ops.processing_log using (operation_id)"
            " where actor is null or name is null"
        ).fetchone()
    assert {name for (name,) in files} == {path.rsplit("/", 1)[1] for path, _, _ in logged}
    assert {activity for _, activity, _ in logged} == {"offer_help", "tell_partners", "close_cases", "account"}
    assert all(persons > 0 for _, _, persons in logged), "a list without anybody on it"
    assert done >= {"send file", "approve call_list", "approve closure", "show held row", "release held rows"}
    assert outside == (0,)
