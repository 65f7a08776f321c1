"""What roles may not, tried; the whole matrix is asked in test_roles_matrix.py. And migrations can run again."""

from __future__ import annotations

import re
import subprocess
import sys

import polars as pl
import psycopg
import pytest

from include.ingest.signal_ids import SignalIds
from include.local.instance import Instance
from include.local.processes import wait_until
from include.months import Month
from include.settings import Role, Settings
from include.warehouse.connection import connect
from include.warehouse.migrate import MIGRATIONS, MigrationChanged, migrate

pytestmark = pytest.mark.usefixtures("warehouse")

def test_the_transformer_never_sees_a_row_as_delivered():
    with connect(Role.TRANSFORMER) as connection:
        connection.execute("select count(*) from landing.signals")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select count(*) from landing.raw_rows")


def test_bi_reads_and_never_writes():
    with connect(Role.TRANSFORMER) as connection:
        connection.execute("create table if not exists marts.shown (n integer)")
    with connect(Role.BI_READER) as connection:
        assert connection.execute("select count(*) from marts.shown").fetchone() == (0,)
    with connect(Role.BI_READER) as connection:
        connection.execute("set transaction read write")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("insert into marts.shown values (1)")


def test_ids_are_keyed_and_their_key_is_out_of_reach():
    with connect(Role.TRANSFORMER) as connection:
        first, again, other = connection.execute(
            "select ops.keyed_id('case', 'x'), ops.keyed_id('case', 'x'), ops.keyed_id('person', 'x')"
        ).fetchone()
        assert first == again
        assert first.removeprefix("case_") != other.removeprefix("person_")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select key from ops.id_key")


def _signal_ids(connection: psycopg.Connection, partner: str, month: str, *references: str) -> list[str]:
    return SignalIds.asked(connection, partner, Month.parse(month)).of(pl.Series(references)).to_list()


def test_a_signal_has_one_id_whoever_it_is_asked_with_and_another_in_another_month_or_of_another_partner():
    with connect(Role.LOADER) as connection:
        together = _signal_ids(connection, "woonbedrijf", "2024-06", "10", "11", "12")
        assert together == [_signal_ids(connection, "woonbedrijf", "2024-06", one)[0] for one in ("10", "11", "12")]
        elsewhere = (("woonbedrijf", "2024-07"), ("zorgplus", "2024-06"))
        others = [_signal_ids(connection, partner, month, "10")[0] for partner, month in elsewhere]
        assert len({*together, *others}) == 5
        assert all(re.fullmatch("signal_[0-9a-f]{20}", one) for one in together + others)
        # what stands between references when many are asked for may stand in one
        assert len(set(_signal_ids(connection, "woonbedrijf", "2024-06", "1\x1f2", "1", "2"))) == 3


def test_the_id_of_a_signal_is_what_it_was_before_the_loader_made_it(server: Instance):
    """The same rule in SQL, as migration 031 had it: a correction meets the signal it corrects."""
    database = Settings.from_environment().environment["VS_WAREHOUSE_DATABASE"]
    with psycopg.connect(f"{server.postgres.superuser_dsn}/{database}") as connection:
        expected = connection.execute(
            "select 'signal_' || left(encode(sha256(sha256(convert_to(key || 'signal|woonbedrijf|2024-06', 'UTF8'))"
            " || convert_to(reference, 'UTF8')), 'hex'), 20)"
            " from ops.id_key, unnest(array['10', 'K-0042/é']) as reference"
        ).fetchall()
    with connect(Role.LOADER) as connection:
        assert _signal_ids(connection, "woonbedrijf", "2024-06", "10", "K-0042/é") == [one for (one,) in expected]


def test_the_ids_of_a_month_that_was_there_before_they_became_shorter_to_make_stay_what_they_were(server: Instance):
    database = Settings.from_environment().environment["VS_WAREHOUSE_DATABASE"]
    with psycopg.connect(f"{server.postgres.superuser_dsn}/{database}") as connection:
        connection.execute("update ops.short_ids_since set signal_month = '2024-07'")
        for month, is_as_before in (("2024-06", True), ("2024-07", False)):
            asked = "select ops.keyed_id('signal', %s)"
            [(as_before,)] = connection.execute(asked, (f"woonbedrijf|10|{month}",)).fetchall()
            assert (_signal_ids(connection, "woonbedrijf", month, "10") == [as_before]) is is_as_before
        connection.rollback()


def test_what_is_said_of_one_load_is_not_said_of_the_next():
    """Columns left to what the loader said (migration 033): each COPY reads it anew, and nothing said is refused."""
    copied = (
        "copy landing.signals (line_number, signal_id, partner_reference, signal_on, arrears_since_on, arrears_eur,"
        " surname, postcode, house_number) from stdin"
    )
    row = "2\tsignal_x\t10\t2024-06-03\t2024-04-20\t12.50\tBos\t2712AB\t1\n"
    same = {"contract_version": "1.0.0", "partner": "zorgplus", "sector": "Zorgverzekering", "signal_month": "2024-06"}

    def load(connection: psycopg.Connection, **said: str) -> None:
        for name, value in said.items():
            connection.execute("select set_config(%s, %s, true)", (f"vs.{name}", value))
        with connection.cursor().copy(copied) as copy:
            copy.write(row)

    with connect(Role.LOADER) as connection:
        for delivery in ("dlv_one", "dlv_two"):
            load(connection, delivery_id=delivery, **same)
        found = connection.execute(
            "select delivery_id, contract_version, partner, sector, signal_month from landing.signals"
            " where delivery_id in ('dlv_one', 'dlv_two') order by 1"
        ).fetchall()
        assert found == [(delivery, *same.values()) for delivery in ("dlv_one", "dlv_two")]
        connection.rollback()
        for missing in ("delivery_id", *same):
            said = {name: value for name, value in ({"delivery_id": "dlv_one"} | same).items() if name != missing}
            with pytest.raises(psycopg.errors.NotNullViolation, match=missing):
                load(connection, **said)
            connection.rollback()


def test_a_closed_month_in_the_ledger_cannot_be_changed():
    insert = (
        "insert into ops.closure_ledger (signal_month, version, batch_id, approved_by, cases_opened, cases_closed,"
        " cases_open, cases_excluded, arrears_closed_eur, content_hash)"
        " values ('2024-05', 1, 'b', 'coordinator', %s, 1, 1, 1, 10, 'h')"
    )
    with connect(Role.EXPORTER) as connection:
        connection.execute(insert, (3,))
    for statement in ("update ops.closure_ledger set cases_open = 0", "delete from ops.closure_ledger"):
        with connect(Role.ADMIN) as connection, pytest.raises(psycopg.errors.RaiseException, match="append-only"):
            connection.execute(statement)
    with connect(Role.EXPORTER) as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(insert.replace("2024-05", "2024-06"), (4,))


def test_migrations_run_twice_and_an_edited_one_is_refused(server: Instance, monkeypatch, tmp_path):
    settings = Settings.from_environment()
    database = settings.environment["VS_WAREHOUSE_DATABASE"]
    with psycopg.connect(f"{server.postgres.superuser_dsn}/{database}") as connection:
        assert migrate(connection, settings) == []
    for path in MIGRATIONS.glob("*.sql"):
        (tmp_path / path.name).write_text(path.read_text() + "-- changed\n")
    monkeypatch.setattr("include.warehouse.migrate.MIGRATIONS", tmp_path)
    with (
        psycopg.connect(f"{server.postgres.superuser_dsn}/{database}") as connection,
        pytest.raises(MigrationChanged, match="001"),
    ):
        migrate(connection, settings)


def test_pairs_of_an_older_home_move_to_the_table_of_their_place(server: Instance):
    """With their month, which is what they are purged by; and a home that has the new tables keeps them."""
    tables = ("int_signal_pairs__at_address", "int_signal_pairs__elsewhere")
    change = (MIGRATIONS / "023_pairs_by_place.sql").read_text()
    database = Settings.from_environment().environment["VS_WAREHOUSE_DATABASE"]
    with psycopg.connect(f"{server.postgres.superuser_dsn}/{database}") as connection:
        for table in tables:
            connection.execute(f"drop table if exists intermediate.{table} cascade")
        connection.execute("set role vs_transformer")
        connection.execute(
            "create table intermediate.int_signal_pairs__compared as"
            " select '2024-05' as signal_month, place"
            " from unnest(array['address', 'address', 'loose', 'elsewhere']) as place"
        )
        connection.execute("reset role")
        for _ in range(2):
            connection.execute(change)
            places = [
                [place for (place,) in connection.execute(f"select place from intermediate.{table} order by place")]
                for table in tables
            ]
            assert places == [["address", "address"], ["elsewhere", "loose"]]
        owners = connection.execute(
            "select tableowner from pg_tables where tablename like 'int_signal_pairs%'"
        ).fetchall()
        assert owners == [("vs_transformer",)] * 2
        connection.rollback()


@pytest.mark.parametrize("role", [Role.LOADER, Role.TRANSFORMER, Role.EXPORTER])
def test_a_statement_ends_with_the_process_that_asked(server: Instance, role: Role):
    """Who is tried again does not wait until PostgreSQL has worked for the dead."""
    asking = subprocess.Popen(
        [sys.executable, "-c", "import psycopg, sys; psycopg.connect(sys.stdin.read()).execute('select pg_sleep(60)')"],
        stdin=subprocess.PIPE, text=True,
    )  # fmt: skip
    asking.stdin.write(Settings.from_environment().dsn(role))
    asking.stdin.close()
    with psycopg.connect(f"{server.postgres.superuser_dsn}/postgres", autocommit=True) as looking:

        def is_at_work() -> bool:
            asked = "select from pg_stat_activity where state = 'active' and usename = %s and query like %s"
            return looking.execute(asked, (role.value, "%pg_sleep%")).rowcount > 0

        assert wait_until(is_at_work, 30)
        asking.kill()
        asking.wait()
        assert wait_until(lambda: not is_at_work(), 20)
