"""The purge forgets on time, everywhere, proves it with counts, and keeps what may be kept."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from include.exchange.folders import Exchange
from include.months import Month
from include.settings import Role, Settings
from include.warehouse.connection import connect
from include.warehouse.dbt import build_stage
from include.warehouse.fingerprints import month_fingerprint
from include.warehouse.retention import Certificate, MonthIsPurged, NoTermOfRetention, purge_expired, refuse_purged
from tests.dbt.landed import Signal, land, rows

OLD, NEW = Month(2024, 1), Month(2024, 6)
STAGES = ("matched", "enriched", "categorised", "closure", "marts")
FILES = {
    OLD: ("archive/2024-01/woonbedrijf_202401.csv", "outbox/certin/certin_call_list_202401_01.csv",
          "outbox/partners/woonbedrijf/feedback_woonbedrijf_202401.csv"),
    NEW: ("archive/2024-06/woonbedrijf_202406.csv", "outbox/certin/certin_call_list_202406_01.csv"),
}  # fmt: skip
#: what nobody took in: a known sender's, an upload that broke off, and of somebody without a contract
LEFT = ("inbox/woonbedrijf/woonbedrijf_202401_03.csv", "inbox/vreemd/vreemd_202401.csv", "inbox/ris/export.csv.part")
#: our own: written in January
OWN = ("logs/scheduler.log", "airflow/logs/dag_id=x/attempt=1.log", "rights/answers/person_202401_0123.json")


@pytest.fixture(scope="module")
def exchange(warehouse: Path) -> Path:
    """Two months: in each a signal that is picked up and one of outside the municipality, and their files."""
    for month in (OLD, NEW):
        land(month, [
            Signal(f"in-{month}", "Jansen", phone="+31612345678", amount=f"{month.number}00.00"),
            Signal(f"out-{month}", "Elders", postcode="1011AB"),
        ])  # fmt: skip
        with connect(Role.LOADER) as connection:
            connection.execute(
                "insert into landing.quarantined_rows (delivery_id, line_number, partner, signal_month,"
                " contract_version, reasons, raw) values (%s, 9, 'woonbedrijf', %s, '1', '{surname_missing}', '{}')",
                (f"dlv_woonbedrijf_{month}_1", str(month)),
            )
        for stage in STAGES:
            build_stage(stage, month)
        for path in FILES[month]:
            _write(warehouse / path)
    for path in LEFT:
        _write(warehouse / path)
    for path in OWN:
        _write(Settings.from_environment().home / path)
    _write(Settings.from_environment().home / "logs" / "new.log", written=datetime(2024, 7, 3, tzinfo=UTC))
    return warehouse


def _write(path: Path, written: datetime = datetime(2024, 1, 20, tzinfo=UTC)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a line")
    os.utime(path, (written.timestamp(), written.timestamp()))


def left_of(root: Path, paths: tuple[str, ...]) -> list[str]:
    return [path for path in paths if (root / path).exists()]


def months_in(schema: str) -> dict[str, list[str]]:
    """The months of which each table of a schema still has rows."""
    tables = rows(
        "select table_name::text from information_schema.columns join information_schema.tables"
        " using (table_schema, table_name) where column_name = 'signal_month' and table_type = 'BASE TABLE'"
        f" and table_schema = '{schema}'"
    )
    assert tables
    return {
        table: [month for (month,) in rows(f"select distinct signal_month from {schema}.{table} order by 1")]
        for (table,) in tables
    }


def of(certificates: list[Certificate], kept: str, what: str) -> Certificate:
    (one,) = [one for one in certificates if (one.kept, one.what) == (kept, what)]
    return one


def test_nothing_is_purged_before_its_term(exchange: Path) -> None:
    # an answer to a resident is kept for a month, so it is the first to go
    assert {one.kept: one.deleted for one in purge_expired(Month(2024, 6)) if one.deleted} == {"answers": 1}
    assert left_of(exchange, LEFT) == [*LEFT]
    assert left_of(Settings.from_environment().home, OWN) == [*OWN[:2]]
    assert all((exchange / path).exists() for month in FILES for path in FILES[month])


def test_after_half_a_year_only_what_was_picked_up_is_left(exchange: Path) -> None:
    kpis = rows("select * from marts.kpi_monthly order by 1, 2, 3")
    certificates = purge_expired(Month(2024, 7))
    assert of(certificates, "landing.signals", "rows not picked up").deleted == 1
    assert of(certificates, "landing.quarantined_rows", "rows").deleted == 1
    assert rows("select signal_month, surname from landing.signals order by 1, 2") == [
        ("2024-01", "Jansen"), ("2024-06", "Elders"), ("2024-06", "Jansen"),
    ]  # fmt: skip
    assert {month for months in months_in("outbound").values() for month in months} == {"2024-06"}
    assert [path for month in FILES for path in FILES[month] if (exchange / path).exists()] == [*FILES[NEW]]
    # what RIS sent is kept longer than what partners sent
    assert left_of(exchange, LEFT) == ["inbox/ris/export.csv.part"]
    assert left_of(Settings.from_environment().home, (*OWN, "logs/new.log")) == ["logs/new.log"]
    assert kpis
    assert rows("select * from marts.kpi_monthly order by 1, 2, 3") == kpis

    # again: nothing is left to delete, and the certificate still says what was deleted
    assert not [one for one in purge_expired(Month(2024, 7)) if one.deleted]
    certified = rows("select deleted from ops.purge_certificates where kept = 'archive' and purged_in = '2024-07'")
    assert certified == [(1,)]


def test_names_of_who_was_not_picked_up_go_when_no_month_looks_back_at_them(exchange: Path) -> None:
    """Counts, feedback and DDAS of the month stay what they were; who is not to be approached is still recognised."""
    month, last = OLD.next, OLD.next.plus(7)
    told = {"phone": "+31687654321", "postcode": "1011AB", "bsn_key": "b" * 64, "extra": {"email": "elders@a.example"}}
    land(month, [
        Signal("in", "Jansen", phone="+31612345678"), Signal("out", "Elders", initials="Q.", **told),
        Signal("objects", "Bezwaar", house_number=2),
    ])  # fmt: skip
    build_stage("matched", month)
    with connect(Role.ADMIN) as connection:
        connection.execute(
            "update intermediate.int_signals__matched set case_id = null, status_rule_id = 'suppressed_objection'"
            " where surname = 'Bezwaar'"
        )
    for stage in STAGES[3:]:
        build_stage(stage, month)
    purge_expired(last.previous)
    assert "Elders" in written(month)
    before = stands(month)
    assert len(before[1]) == len(before[2]) == 3
    assert of(purge_expired(last), "intermediate", "names of signals not picked up").deleted == 2
    left = written(month)
    for name in ("Elders", "ELDERS", "elders", "Q.", "87654321", "bbbb"):
        assert name not in left
    assert "Jansen" in left
    assert "Bezwaar" in left
    for stage in STAGES[3:]:
        build_stage(stage, month)
    assert stands(month) == before
    assert of(purge_expired(last), "intermediate", "names of signals not picked up").deleted == 0


def written(month: Month) -> str:
    """All rows of the month in dbt's tables, as text."""
    return "\n".join(
        text
        for table, months in months_in("intermediate").items()
        if str(month) in months
        for (text,) in rows(f"select t::text from intermediate.{table} as t where signal_month = '{month}'")
    )


def stands(month: Month) -> tuple:
    """What is counted, told to partners and accounted for of the month."""
    return (
        month_fingerprint(month),
        rows(f"select * from outbound.out_partner_feedback where signal_month = '{month}' order by 2, 3"),
        rows(f"select * from outbound.out_ddas_signals where signal_month = '{month}' order by 2"),
    )


def test_in_the_end_only_counts_are_left(exchange: Path) -> None:
    kpis = rows("select * from marts.kpi_monthly where signal_month = '2024-01' order by 1, 2, 3")
    purge_expired(Month(2025, 7))
    for schema in ("landing", "intermediate", "outbound"):
        left = months_in(schema)
        left.pop("int_month_ends", None)  # a calendar
        assert left
        assert not {table: months for table, months in left.items() if "2024-01" in months}, schema
    assert rows("select * from marts.fct_cases where signal_month = '2024-01'") == []
    assert kpis
    assert rows("select * from marts.kpi_monthly where signal_month = '2024-01' order by 1, 2, 3") == kpis
    # a rebuild would turn them into zeros
    for stage in STAGES:
        with pytest.raises(MonthIsPurged, match=r"of 2024-01 was deleted by the purge of 202[45]-07"):
            build_stage(stage, OLD)


def test_a_month_that_lost_what_a_stage_reads_is_not_built_again(exchange: Path) -> None:
    """After half a year the signals that were not picked up are gone: judging the month again would forget them."""
    half, year = OLD.plus(6), OLD.plus(12)
    with connect(Role.ADMIN) as connection:
        connection.execute("delete from ops.purge_certificates where purged_in > %s", (str(half),))
    for stage in ("matched", "enriched", "categorised"):
        with pytest.raises(MonthIsPurged, match=f"What {stage} reads of 2024-01 was deleted by the purge of {half}"):
            refuse_purged(OLD, stage)
        refuse_purged(OLD.next, stage)
    # its numbers are made of what the month judged, and that is there for a year: a late outcome may be taken in
    for stage in ("closure", "marts"):
        refuse_purged(OLD, stage)
    purge_expired(year)
    for stage in ("closure", "marts"):
        with pytest.raises(MonthIsPurged, match=rf"purge of {year} \(landing"):
            refuse_purged(OLD, stage)


def test_logs_have_a_term_of_their_own_and_go_together(exchange: Path) -> None:
    with connect(Role.ADMIN) as connection:
        for number, day in ((1, "2024-01-15"), (2, "2024-02-15")):
            operation = f"{number:016x}"
            connection.execute(
                "insert into ops.access_log (operation_id, actor, action, object, happened_at)"
                " values (%s, 'x', 'send file', 'f', %s)",
                (operation, day),
            )
            connection.execute(
                "insert into ops.processing_log (operation_id, trace_id, name, processing_activity_id, status_code,"
                " started_at, ended_at) values (%s, %s, 'send file', 'offer_help', 'STATUS_CODE_OK', %s, %s)",
                (operation, "0" * 32, day, day),
            )
            connection.execute("insert into ops.processing_subjects values (%s, 'subject_1')", (operation,))
    purge_expired(Month(2026, 1))
    left = {
        table: rows_of_admin(f"select operation_id from ops.{table} where operation_id like '000000000000000_'")
        for table in ("access_log", "processing_log", "processing_subjects")
    }
    assert left == dict.fromkeys(left, [("0000000000000002",)])


def rows_of_admin(query: str) -> list[tuple]:
    with connect(Role.ADMIN) as connection:
        return connection.execute(query).fetchall()


def test_what_comes_back_is_purged_again(exchange: Path) -> None:
    land(OLD, [Signal("back", "Terug")], sequence=2)
    purge_expired(Month(2025, 7))
    assert rows("select * from landing.signals where signal_month = '2024-01'") == []


def test_a_table_nobody_thought_of_stops_the_purge(exchange: Path) -> None:
    with connect(Role.ADMIN) as connection:
        connection.execute("create table landing.forgotten (signal_month text, surname text)")
    try:
        before = rows("select count(*) from landing.signals")
        with pytest.raises(NoTermOfRetention, match=r"landing\.forgotten: no contract says"):
            purge_expired(Month(2030, 1))
        assert rows("select count(*) from landing.signals") == before
    finally:
        with connect(Role.ADMIN) as connection:
            connection.execute("drop table landing.forgotten")


def test_a_purge_killed_between_two_files_is_certified_to_the_file(exchange: Path, monkeypatch) -> None:
    class Killed(BaseException):
        pass

    delete, deleted = Exchange.delete, []

    def killed_at_the_third(self: Exchange, path: str) -> None:
        if path.startswith("archive/"):
            if len(deleted) == 2:
                raise Killed
            deleted.append(path)
        delete(self, path)

    certified = "select deleted, announced from ops.purge_certificates where kept = 'archive' and purged_in = '2026-03'"
    paths = [f"archive/{OLD}/more_{number}.csv" for number in range(5)]
    for path in paths:
        _write(exchange / path)
    with monkeypatch.context() as patched:
        patched.setattr(Exchange, "delete", killed_at_the_third)
        with pytest.raises(Killed):
            purge_expired(Month(2026, 3))
    assert left_of(exchange, tuple(paths)) == [path for path in paths if path not in deleted]
    assert rows(certified) == [(0, 5)]
    for found in (5, 0):
        assert of(purge_expired(Month(2026, 3)), "archive", "files as they were received").deleted == found
        assert rows(certified) == [(5, None)]


def test_certificates_hold_counts_only(exchange: Path) -> None:
    columns = rows("select column_name::text from information_schema.columns where table_name = 'purge_certificates'")
    assert {name for (name,) in columns} == {
        "purged_in", "kept", "what", "months_kept", "expired_through", "deleted", "purged_at", "announced"
    }  # fmt: skip
