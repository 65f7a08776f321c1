"""The project's own matching, measured where it runs: the real dbt stage on a PostgreSQL of its own.

Rule: the months are built in order with `build_stage("matched")`, exactly as the DAG does; a link is what the tables
say afterwards: two signals have one person_id, or their persons are linked as the same person at two addresses
(int_person_moves, which serves recurrence).
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import pandas as pd
import psutil
import psycopg

from bench.matching_signals import land
from bench.own_instance import own_instance
from include.local.instance import WAREHOUSE_DATABASE, Instance
from include.months import Month
from include.warehouse.dbt import build_stage

# from landed signals to persons, links and questions; the rest of the stage is statuses, cases and lists
MATCHING_MODELS = (
    "int_signals__keyed", "int_signal_pairs__at_address", "int_signal_pairs__elsewhere", "int_persons__resolved",
    "int_person_moves", "int_match_reviews",
)  # fmt: skip
_BUILT = {
    "intermediate.int_persons__resolved": "signal_month, signal_id, person_id, match_tier, match_evidence, match_score",
    "intermediate.int_person_moves": "signal_month, person_id, earlier_person_id, evidence, signal_id",
    "intermediate.int_match_reviews": "review_id, signal_month, left_signal_id, right_signal_id, evidence, score",
    "intermediate.int_signals__matched": "signal_id, person_id, status, case_id, repeats_signal_id",
}


@dataclass(frozen=True)
class Built:
    """Seconds from the start of one month's first matching model to the end of its last; those models' seconds added
    up (some run side by side); the seconds of the whole stage with its own start; and the seconds of processor (of the
    server and this process) of the whole stage, which the machine's other work does not stretch."""

    matching: float
    added_up: float
    stage: float
    processor: float


@dataclass(frozen=True)
class Warehouse:
    """One database, with the platform tables and the code lists."""

    server: str
    name: str
    # dbt's parse of the project knows the database, so each has its own
    dbt_target: str

    @property
    def dsn(self) -> str:
        return f"{self.server}/{self.name}"

    def build(self, signals: pd.DataFrame, months: Sequence[Month]) -> list[Built]:
        """Land each month's signals and build it."""
        return [self._build_month(signals, month) for month in months]

    def _build_month(self, signals: pd.DataFrame, month: Month) -> Built:
        with psycopg.connect(self.dsn) as connection:
            land(connection, signals[signals["signal_month"] == str(month)])
        return self.build_again(month)

    def build_again(self, month: Month) -> Built:
        os.environ |= {"VS_WAREHOUSE_DATABASE": self.name, "DBT_TARGET_PATH": self.dbt_target}
        used, started = self._processor_seconds(), time.perf_counter()
        build_stage("matched", month)
        stage = time.perf_counter() - started
        processor = self._processor_seconds() - used
        with psycopg.connect(self.dsn) as connection:
            matching, added_up = connection.execute(
                "select extract(epoch from max(ended_at) - min(ended_at - make_interval(secs => execution_seconds)))"
                "::float8, sum(execution_seconds) from ops.dbt_results where split_part(unique_id, '.', 3) = any(%s)"
                " and invocation_id = (select invocation_id from ops.dbt_results order by result_id desc limit 1)",
                (list(MATCHING_MODELS),),
            ).fetchone()
        return Built(matching, added_up, stage, processor)

    def _processor_seconds(self) -> float:
        """Of this process, and of the server with its connections, open and ended."""
        with psycopg.connect(self.dsn) as connection:
            server = psutil.Process(connection.info.backend_pid).parent()
        times = []
        for process in server.children():
            with suppress(psutil.NoSuchProcess):  # it has just ended, and is counted with those
                times.append(process.cpu_times())
        ended = server.cpu_times()
        of_server = ended.children_user + ended.children_system + sum(one.user + one.system for one in times)
        return time.process_time() + of_server

    def linked_persons(self) -> pd.DataFrame:
        """signal_id, person_id, and known_as: the person with the persons he or she is linked to elsewhere."""
        with psycopg.connect(self.dsn) as connection:
            persons = pd.DataFrame(
                connection.execute("select signal_id, person_id from intermediate.int_signals__matched").fetchall(),
                columns=["signal_id", "person_id"],
            )
            moves = connection.execute(
                "select person_id, earlier_person_id from intermediate.int_person_moves"
            ).fetchall()
        persons["known_as"] = persons["person_id"].map(_roots(moves)).fillna(persons["person_id"])
        return persons

    def reviews(self) -> int:
        with psycopg.connect(self.dsn) as connection:
            return connection.execute("select count(*) from ops.match_reviews").fetchone()[0]

    def fingerprint(self) -> list[str]:
        """All links and ids, as one hash a table."""
        with psycopg.connect(self.dsn) as connection:
            return [
                connection.execute(
                    f"select md5(coalesce(string_agg(line, '|' order by line), '')) from"
                    f" (select ({columns})::text as line from {table}) as lines"
                ).fetchone()[0]
                for table, columns in _BUILT.items()
            ]

    def forget_what_was_built(self) -> None:
        with psycopg.connect(self.dsn) as connection:
            tables = connection.execute("select tablename from pg_tables where schemaname = 'intermediate'").fetchall()
            for (table,) in tables:
                connection.execute(f'drop table intermediate."{table}" cascade')


@dataclass(frozen=True)
class Server:
    """A PostgreSQL with one empty warehouse as template; each data set gets a database of its own."""

    instance: Instance
    numbers: Iterator[int]

    @contextmanager
    def warehouse(self) -> Iterator[Warehouse]:
        name = f"bench_{next(self.numbers)}"
        server = self.instance.postgres.superuser_dsn
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            connection.execute(f"create database {name} template {WAREHOUSE_DATABASE}")
            connection.execute(f"revoke all on database {name} from public")
            connection.execute(f"grant connect, temporary, create on database {name} to vs_transformer, vs_admin")
        try:
            yield Warehouse(server, name, str(self.instance.home / "dbt" / name))
        finally:
            with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
                connection.execute(f"drop database {name} with (force)")


@contextmanager
def own_server() -> Iterator[Server]:
    """A server in a temporary folder, gone afterwards."""
    with own_instance() as instance:
        yield Server(instance, itertools.count(1))


def _roots(links: Sequence[tuple[str, str]]) -> dict[str, str]:
    """For every linked person the name of the group he or she ends up in."""
    root: dict[str, str] = {}

    def find(one: str) -> str:
        while root.setdefault(one, one) != one:
            root[one] = root[root[one]]
            one = root[one]
        return one

    for left, right in links:
        root[find(left)] = find(right)
    return {one: find(one) for one in root}
