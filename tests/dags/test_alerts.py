"""Somebody is told: every kind of alert, once a channel, by a real webhook and mail server, without personal data."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse
from rich.console import Console

from include.alerts.channels import AlertNotSent, channels, tell
from include.alerts.kinds import KINDS
from include.alerts.watch import watch
from include.exchange.folders import Exchange
from include.ingest.deliveries import alert_missing_partner, find_deliveries, ingest_delivery, record_missing_partners
from include.ingest.quarantine import Selection, discard
from include.local.instance import Instance
from include.local.status import AMSTERDAM, waiting_table
from include.months import Month
from include.orchestration.alerting import deadline_passed, settle_ended_well, tell_failure
from include.outbound.acknowledgements import NotDelivered, acknowledge, exports_of
from include.outbound.approvals import record_approval, record_question
from include.quality.gates import GateStopped, run_gate
from include.settings import SettingMissing
from include.warehouse.alerts import open_alerts
from include.warehouse.waiting import what_waits
from tests.fixtures.deliveries import WOONBEDRIJF, ZORGPLUS, PartnerFormat, Row
from tests.fixtures.receivers import Received, mail_receiver, mail_text, webhook_receiver

MONTH = Month.parse("2024-06")
NOW = datetime.now(UTC)
LIST = "certin_call_list_202406_01.csv"
BOOKS = (
    "ops.alert_notices", "ops.alerts", "ops.questions", "ops.acknowledgements", "ops.exchange_ledger",
    "ops.call_records", "ops.enrichment_requests", "ops.closure_batches", "ops.missing_deliveries", "ops.approvals",
)  # fmt: skip


@pytest.fixture(scope="module")
def connection(warehouse: Path, server: Instance) -> Iterator[psycopg.Connection]:
    """A superuser's connection: what other parts of the platform would have written."""
    address = f"{server.postgres.superuser_dsn}/{os.environ['VS_WAREHOUSE_DATABASE']}"
    with psycopg.connect(address, autocommit=True) as connection:
        yield connection


@pytest.fixture
def books(connection: psycopg.Connection) -> psycopg.Connection:
    """Nothing waits, nobody was told anything."""
    for table in BOOKS:
        connection.execute(f"delete from {table}")
    return connection


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Received]:
    with webhook_receiver() as receiver:
        address = {"conn_type": "http", "host": f"http://127.0.0.1:{receiver.port}/hook", "password": "geheim"}
        monkeypatch.setenv("AIRFLOW_CONN_ALERTS_WEBHOOK", json.dumps(address))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield receiver


@pytest.fixture
def mail(monkeypatch: pytest.MonkeyPatch) -> Iterator[Received]:
    with mail_receiver() as receiver:
        to = "team@gemeente.example, wacht@gemeente.example"
        extra = {"from_email": "vs@gemeente.example", "to": to, "tls": "none"}
        address = {"conn_type": "smtp", "host": "127.0.0.1", "port": receiver.port, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_ALERTS_SMTP", json.dumps(address))
        yield receiver


def kinds() -> set[tuple[str, str]]:
    return {(alert.kind, alert.subject) for alert in open_alerts()}


def take_in(form: PartnerFormat, month: Month, rows: list[Row]) -> None:
    path = form.inbox(form.file_name(month.compact))
    Exchange.from_settings().write(path, form.write(form.in_month(rows, month)))
    assert path in find_deliveries(month)
    ingest_delivery(path, month)


def delivered_list(books: psycopg.Connection) -> None:
    books.execute(
        "insert into ops.exchange_ledger (contract, signal_month, recipient, sequence, file_name, rows, content_sha256,"
        " file_sha256, state, prepared_at, delivered_at)"
        " values ('certin_call_list', '2024-06', 'certin', 1, %s, 1, 'a', 'b', 'delivered', %s, %s)",
        (LIST, NOW, NOW),
    )
    books.execute(
        "insert into ops.call_records (call_record_id, case_id, signal_month, sequence, file_name, content_sha256,"
        " script_version, delivered_at) values ('call_1', 'case_1', '2024-06', 1, %s, 'a', 'v1', %s)",
        (LIST, NOW),
    )


# -- what waits too long ----------------------------------------------------------------------------------------------


def test_a_question_nobody_answers_is_told_after_its_hours_and_settled_by_the_answer(books, webhook, mail) -> None:
    record_question(MONTH, "call_list", "run 1")
    assert watch(NOW + timedelta(hours=23)).waiting_too_long == 0
    assert watch(NOW + timedelta(hours=25)).waiting_too_long == 1
    assert tell() == 2
    (posted,) = webhook.messages
    (alert,) = posted["alerts"]
    assert (alert["kind"], alert["signal_month"], alert["subject"]) == ("approval", "2024-06", "call_list")
    for said in ("question nobody has answered", "approver", "Required actions", "#a-question-nobody-answered"):
        assert said in posted["text"]
    (mailed,) = mail.messages
    assert mailed["Subject"].startswith("[vroegsignalering Zoetermeer] 2024-06: question nobody has answered")
    assert mail.headers == [["team@gemeente.example", "wacht@gemeente.example"]]
    assert mail_text(mailed) == posted["text"]
    record_approval(MONTH, "call_list", "run 1", "rejected", "anna", datetime.now(UTC))
    assert watch(NOW + timedelta(hours=26)).settled == 1
    assert kinds() == set()


def test_repeated_runs_tell_nobody_twice_and_what_comes_back_is_told_again(books, webhook, mail) -> None:
    record_question(MONTH, "call_list", "run 1")
    for hours in (25, 26, 49):
        watch(NOW + timedelta(hours=hours))
        tell()
    assert len(webhook.messages) == len(mail.messages) == 1
    record_approval(MONTH, "call_list", "run 1", "approved", "anna", datetime.now(UTC))
    watch(NOW + timedelta(hours=50))
    record_question(MONTH, "call_list", "run 1")
    watch(datetime.now(UTC) + timedelta(hours=25))
    assert tell() == 2
    assert len({one["Idempotency-Key"] for one in webhook.headers}) == len(webhook.messages) == 2
    assert len({one["Message-ID"] for one in mail.messages}) == 2
    assert webhook.headers[0]["Authorization"] == "Bearer geheim"


def test_a_call_list_is_acknowledged_by_its_first_outcome_or_by_a_person(books, webhook) -> None:
    delivered_list(books)
    late = NOW + timedelta(hours=73)
    assert watch(NOW + timedelta(hours=71)).waiting_too_long == 0
    watch(late)
    assert kinds() == {("call_list", LIST)}
    tell()
    assert f"vs exports acknowledge {LIST}" in webhook.messages[0]["text"]
    with pytest.raises(NotDelivered, match="vs exports list"):
        acknowledge("certin_call_list_202406_02.csv", "M. Bos", "anna")
    acknowledge(LIST, "M. Bos", "anna")
    acknowledge(LIST, "M. Bos", "anna")
    assert [one.acknowledged_by for one in exports_of(MONTH)] == ["M. Bos"]
    assert watch(late).settled == 1
    books.execute("delete from ops.acknowledgements")
    watch(late)
    assert kinds() == {("call_list", LIST)}
    books.execute(
        "insert into landing.ris_outcomes (outcome_id, updated_at, call_record_id, case_id, result_code, result_at,"
        " source) values ('o1', now(), 'call_1', 'case_1', 'no_answer', now(), 'api')"
    )
    try:
        assert watch(late).settled == 1
    finally:
        books.execute("delete from landing.ris_outcomes")


def test_a_work_list_is_taken_up_by_a_first_follow_up_or_said_so_by_a_person(books) -> None:
    """The newest list of the month is asked about, from the day of the first; whichever was acknowledged will do."""
    delivered_list(books)
    acknowledge(LIST, "M. Bos", "anna")
    for sequence, days in ((1, 0), (2, 5)):
        books.execute(
            "insert into ops.exchange_ledger (contract, signal_month, recipient, sequence, file_name, rows,"
            " content_sha256, file_sha256, state, prepared_at, delivered_at)"
            " values ('kwadraad_worklist', '2024-06', 'kwadraad', %s, %s, 7, 'a', 'b', 'delivered', %s, %s)",
            (sequence, f"werklijst_{sequence}.xlsx", NOW, NOW + timedelta(days=days)),
        )
    late = NOW + timedelta(days=8)
    assert watch(NOW + timedelta(days=6)).waiting_too_long == 0
    watch(late)
    assert kinds() == {("worklist", "werklijst_2.xlsx")}
    acknowledge("werklijst_1.xlsx", "T. Vos", "anna")
    assert watch(late).settled == 1
    books.execute("delete from ops.acknowledgements where contract = 'kwadraad_worklist'")
    watch(late)
    assert kinds() == {("worklist", "werklijst_2.xlsx")}
    books.execute(
        "insert into landing.ris_followups (followup_id, updated_at, case_id, kind, started_on, source)"
        " values ('f1', now(), 'case_1', 'quick_fix', '2024-06-20', 'api')"
    )
    try:
        assert watch(late).settled == 1
    finally:
        books.execute("delete from landing.ris_followups")


def test_a_closure_batch_and_an_enrichment_request_nobody_answers(books, webhook) -> None:
    books.execute(
        "insert into ops.closure_batches (batch_id, signal_month, version, approved_by, items, state)"
        " values ('b1', '2024-06', 1, 'anna', 7, 'sent')"
    )
    books.execute("insert into ops.enrichment_requests (request_id, signal_month, sequence) values ('r', '2024-06', 1)")
    watch(NOW + timedelta(hours=49))
    assert kinds() == {("enrichment_request", "enrichment_request_202406_01.csv")}
    watch(NOW + timedelta(hours=73))
    assert ("closure_batch", "version 1") in kinds()
    tell()
    assert "closure batch RIS has not acknowledged (7)" in webhook.messages[0]["text"]
    books.execute("update ops.closure_batches set state = 'acknowledged', acknowledged_at = now()")
    books.execute("delete from ops.enrichment_requests")
    assert watch(NOW + timedelta(hours=74)).settled == 2


def test_a_missing_delivery_and_old_quarantine_are_told_without_what_stands_in_the_rows(books, webhook, mail) -> None:
    rows = ZORGPLUS.good_rows(12)
    take_in(ZORGPLUS, MONTH, [rows[0] | {"arrears_amount": "0"}, *rows[1:]])
    for partner in record_missing_partners(MONTH):
        alert_missing_partner(MONTH, partner)
    watch(datetime.now(UTC) + timedelta(days=8))
    assert kinds() == {
        ("missing_delivery", "drinkwater_zh"), ("missing_delivery", "stadsenergie"),
        ("missing_delivery", "woonbedrijf"), ("quarantine", "zorgplus"),
    }  # fmt: skip
    tell()
    (posted,) = webhook.messages
    assert "rows in quarantine" in posted["text"]
    assert "vs quarantine list --month 2024-06 --partner zorgplus" in posted["text"]
    assert "woonbedrijf did not deliver 2024-06" in posted["text"]
    said = json.dumps(posted) + mail.messages[0].as_string()
    assert not [value for value in rows[0].values() if len(value) >= 6 and value != "Zoetermeer" and value in said]
    discard(Selection(partner="zorgplus"), decided_by="anna", reason="proef")
    assert watch(datetime.now(UTC) + timedelta(days=8)).settled == 1
    assert ("quarantine", "zorgplus") not in kinds()


# -- what went wrong --------------------------------------------------------------------------------------------------


def test_a_gate_that_stops_is_told_at_once_and_settled_when_it_passes(books, webhook, mail) -> None:
    empty = MONTH.previous
    with pytest.raises(GateStopped) as stopped:
        run_gate("G1", empty, run_id="run 1")
    failure = RuntimeError("stopped")
    failure.__cause__ = stopped.value
    tell_failure(context("ingest_partner_files", "gate_g1_landed", failure))
    tell_failure(context("ingest_partner_files", "gate_g1_landed", failure))
    assert kinds() == {("gate_stop", "G1")}
    (posted,) = webhook.messages
    for said in ("Gate G1 (landed) stopped 2024-05", "month_has_signals", "Next: ", "tell-somebody.md#a-gate-stopped"):
        assert said in posted["text"]
    assert len(mail.messages) == 1
    take_in(WOONBEDRIJF, empty, WOONBEDRIJF.good_rows(3))
    run_gate("G1", empty)
    assert kinds() == set()


def context(dag: str, task: str, failure: BaseException | str | None, month: Month = MONTH) -> dict:
    """What Airflow gives a callback."""
    instance = SimpleNamespace(dag_id=dag, task_id=task, run_id="run 1", log_url="http://airflow/log")
    run = SimpleNamespace(partition_key=str(month), run_after=NOW)
    return {"task_instance": instance, "dag_run": run, "exception": failure}


def test_a_failed_task_is_told_without_the_text_of_its_error(books, webhook) -> None:
    tell_failure(context("build_cases", "load_enrichment_results", ValueError("Jansen, 06-12345678")))
    tell_failure(context("build_cases", "request_enrichment", None))
    assert "build_cases.load_enrichment_results failed (ValueError)" in webhook.messages[0]["text"]
    assert "Jansen" not in json.dumps(webhook.messages)
    assert "its process was lost" in webhook.messages[1]["text"]
    assert settle_ended_well(lambda dag, run: "failed") == 0

    def forgotten(dag: str, run: str) -> str:
        raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))

    assert settle_ended_well(forgotten) == 0
    assert settle_ended_well(lambda dag, run: "success" if (dag, run) == ("build_cases", "run 1") else "") == 2
    assert kinds() == set()


def test_a_deadline_that_passed_tells_what_waits_as_well(books, webhook) -> None:
    record_question(MONTH, "call_list", "run 1")
    passed = datetime.now(UTC) + timedelta(hours=24, minutes=1)
    run = {"dag_id": "deliver_call_lists", "dag_run_id": "run 1", "partition_key": "2024-06", "run_after": str(NOW)}
    deadline_passed(run, str(passed))
    assert kinds() == {("deadline", "deliver_call_lists"), ("approval", "call_list")}
    assert len(webhook.messages) == 1
    assert "the call list was to be approved by" in webhook.messages[0]["text"]
    assert settle_ended_well(lambda dag, run: "success") == 1


def test_a_month_that_is_closed_all_the_same_needs_nobody_to_look(books) -> None:
    closed = Month.parse("2024-02")
    record_question(closed, "call_list", "run 1")
    tell_failure(context("build_cases", "request_enrichment", None, closed))
    watch(NOW + timedelta(hours=25))
    assert kinds() == {("task_failed", "build_cases.request_enrichment"), ("approval", "call_list")}
    books.execute(
        "insert into ops.closure_ledger (signal_month, version, batch_id, approved_by, cases_opened, cases_closed,"
        " cases_open, cases_excluded, arrears_closed_eur, content_hash)"
        " values ('2024-02', 1, 'b', 'anna', 0, 0, 0, 0, 0, 'h')"
    )
    assert watch(NOW + timedelta(hours=26)).settled == 2
    assert kinds() == set()


# -- the channels -----------------------------------------------------------------------------------------------------


def test_without_a_channel_alerts_are_recorded_only(books, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AIRFLOW_CONN_ALERTS_WEBHOOK", "AIRFLOW_CONN_ALERTS_SMTP"):
        monkeypatch.delenv(name, raising=False)
    tell_failure(context("build_cases", "request_enrichment", None))
    assert channels() == []
    assert len(open_alerts()) == 1


def test_a_channel_that_is_down_holds_up_no_other_and_catches_up(books, webhook, mail) -> None:
    record_question(MONTH, "call_list", "run 1")
    watch(NOW + timedelta(hours=25))
    webhook.status = 503
    with pytest.raises(AlertNotSent, match="answered 503"):
        tell()
    assert (len(webhook.messages), len(mail.messages)) == (0, 1)
    webhook.status, mail.status = 200, 451
    assert tell() == 1
    assert (len(webhook.messages), len(mail.messages)) == (1, 1)
    assert tell() == 0


def test_a_mail_server_that_refuses_is_named_and_its_password_is_not(books, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"host": "127.0.0.1", "port": 1, "password": "geheim", "extra": {"from_email": "a@b", "to": "c@d"}}
    monkeypatch.setenv("AIRFLOW_CONN_ALERTS_SMTP", json.dumps(given))
    with pytest.raises(AlertNotSent, match="127.0.0.1:1") as refused:
        tell_failure(context("build_cases", "request_enrichment", None))
    assert "geheim" not in str(refused.value)
    assert "geheim" not in repr(channels())
    monkeypatch.setenv("AIRFLOW_CONN_ALERTS_SMTP", json.dumps({"host": "x", "extra": {"to": "c@d"}}))
    with pytest.raises(SettingMissing, match="AIRFLOW_CONN_ALERTS_SMTP cannot be used: 'from_email' is missing"):
        channels()


# -- one screen, and the links ----------------------------------------------------------------------------------------


def test_status_says_who_waits_for_what(books) -> None:
    record_question(MONTH, "call_list", "run 1")
    delivered_list(books)
    lines = {(line.waits_for, line.kind): line for line in what_waits()}
    assert lines["approver", "approval"].months == ["2024-06"]
    assert lines["certin", "call_outcomes"].items == 1
    assert lines["certin", "call_list"].subject == LIST
    assert {kind for _, kind in lines} <= set(KINDS)
    screen = Console(width=160, file=io.StringIO())
    screen.print(waiting_table(what_waits()))
    shown = screen.file.getvalue()
    row = next(line for line in shown.splitlines() if "question nobody has answered" in line)
    for said in ("approver", "2024-06", "1", f"{datetime.now(AMSTERDAM):%Y-%m-%d}", "look at the counts and answer"):
        assert said in row
