"""How the warehouse work grows, with the size of a month and with the years: `make bench-scale`.

  month    one month of a million signals (`--signals`): the partners' files through ingest, then every dbt stage and
           gate that a month has; beside it, in the same run, a bare COPY of the same files and the same models'
           compiled SQL straight to PostgreSQL (bench/scale_bare.py)
  history  the same month as the second of a short history and as the sixtieth of a long one (`--months`), 450 signals a
           month: its stages and gates, in turn, the median of the turns

Goals (issue 7): a million signals within ten minutes and within 2.5 times the bare SQL; month 60 at most 1.3 times
month 2. Every run draws a new seed (printed; `--seed` repeats one) and has its own PostgreSQL in a temporary folder.
Writing the files and answering for the provider, Certin and RIS (bench/scale_month.py) is not part of any time. Memory
is the highest of samples: our process's own, and the server's with the shared part counted once. The last lines are
`figure: value`; the same as JSON in build/bench/scale.json.
"""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import psycopg

from bench import scale_bare
from bench.figures import tell
from bench.own_instance import own_instance
from bench.scale_month import STEPS, Clock, answer, build, partners_deliver, take_in
from include.local.instance import WAREHOUSE_DATABASE, Instance
from include.months import Month
from include.sandbox.partners import PARTNERS
from include.sandbox.settings import SandboxSettings
from include.settings import PROJECT_ROOT

PARTS = ("month", "history")
MOST_MINUTES, OF_BARE_SQL, OF_MONTH_TWO = 10.0, 2.5, 1.3
MONTH = Month.parse("2024-06")
# sixty months before its end begins the law, and with it the rules in the seeds
LAST_OF_HISTORY = Month.parse("2025-12")
# households of an ordinary municipality: about 450 signals a month
ORDINARY = SandboxSettings.households
STAGES = [name for kind, name in STEPS if kind == "stage"]
MIB = 1024 * 1024

Figures = dict[str, float | int | str]


@dataclass(frozen=True)
class Platform:
    """A server of this run's own, with an empty warehouse as template."""

    instance: Instance

    @property
    def server(self) -> psutil.Process:
        return psutil.Process(int((self.instance.postgres.data / "postmaster.pid").read_text().split()[0]))

    @property
    def exchange(self) -> Path:
        return Path(self.instance.platform_environment()["VS_EXCHANGE_ROOT"])

    def clock(self) -> Clock:
        return Clock(self.server)

    def dsn(self, database: str) -> str:
        return f"{self.instance.postgres.superuser_dsn}/{database}"

    def copy(self, template: str, name: str) -> None:
        """A database like `template`, with the rights that do not come along."""
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            # what a gate of ours left open would stand in the way
            connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (template,))
            connection.execute(f"create database {name} template {template}")
            connection.execute(f"revoke all on database {name} from public")
            connection.execute(f"grant connect, temporary, create on database {name} to vs_transformer, vs_admin")
            connection.execute(f"grant connect, temporary on database {name} to vs_loader, vs_exporter")
            connection.execute(f"grant connect on database {name} to bi_reader")

    def drop(self, *names: str) -> None:
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            for name in names:
                connection.execute(f"drop database if exists {name} with (force)")

    def use(self, database: str) -> str:
        """What runs from here on works in this database; returns a superuser's way in."""
        os.environ["VS_WAREHOUSE_DATABASE"] = database
        return self.dsn(database)


@contextmanager
def own_platform() -> Iterator[Platform]:
    with own_instance() as instance:
        yield Platform(instance)


class Memory(threading.Thread):
    """Highest memory seen of this process and of the server, in MiB."""

    EVERY_SECONDS = 0.5

    def __init__(self, server: psutil.Process) -> None:
        super().__init__(daemon=True)
        self._server, self._stop_now = server, threading.Event()
        self.python = self.postgres = 0.0

    def run(self) -> None:
        while not self._stop_now.wait(self.EVERY_SECONDS):
            self.python = max(self.python, psutil.Process().memory_info().rss / MIB)
            self.postgres = max(self.postgres, self._of_server() / MIB)

    def _of_server(self) -> float:
        total = 0
        for process in [self._server, *self._server.children(recursive=True)]:
            try:
                total += process.memory_full_info().pss
            except psutil.NoSuchProcess:
                continue  # a connection that ended meanwhile
        return total

    def __enter__(self) -> Memory:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_now.set()
        self.join()


# -- one large month ---------------------------------------------------------------------------------------------------


def measure_month(platform: Platform, signals: int, seed: int) -> Figures:
    """The whole month by the platform, then the least there is for the same tables."""
    platform.copy(WAREHOUSE_DATABASE, "ours")
    dsn = platform.use("ours")
    # a small month before, so that every table stands and earlier months are looked up, as in any month but the first
    partners_deliver(MONTH.previous, platform.exchange, seed, ORDINARY)
    _whole_month(platform, dsn, MONTH.previous)
    _deliver_in_a_process(platform, signals, seed)
    files = _as_copied(platform)
    clock = platform.clock()
    with Memory(platform.server) as memory:
        take_in(MONTH, clock)
        _say("taken in", clock)
        platform.copy("ours", "bare")
        build(MONTH, clock, partial(_answered, dsn, clock))
    figures = _counted(dsn)
    bare = _bare(platform, files)
    platform.drop("ours", "bare")
    return {
        "month_signals": figures["signals"],
        "month_cases": figures["cases"],
        "month_call_records": figures["call_records"],
        "month_seconds": round(clock.seconds, 1),
        **{f"month_{kind}_seconds": round(seconds, 1) for kind, seconds in clock.wall.items()},
        "month_processor_seconds": round(clock.processor_seconds, 1),
        **{f"month_{kind}_processor_seconds": round(seconds, 1) for kind, seconds in clock.processor.items()},
        "month_python_peak_mib": round(memory.python),
        "month_postgres_peak_mib": round(memory.postgres),
        "bare_seconds": round(bare.seconds, 1),
        **{f"bare_{kind}_seconds": round(seconds, 1) for kind, seconds in bare.wall.items()},
        "bare_processor_seconds": round(bare.processor_seconds, 1),
        "month_times_bare": round(clock.seconds / bare.seconds, 2),
        "month_times_bare_processor": round(clock.processor_seconds / bare.processor_seconds, 2),
    }


def _whole_month(platform: Platform, dsn: str, month: Month) -> None:
    take_in(month, platform.clock())
    build(month, platform.clock(), partial(answer, dsn, month))


def _deliver_in_a_process(platform: Platform, signals: int, seed: int) -> None:
    """A process of its own, so that the memory of the sandbox is not counted as ours."""
    began = time.perf_counter()
    households = round(signals / SandboxSettings.signals_per_household)
    subprocess.run(
        [sys.executable, "-m", "include.sandbox", "deliver", str(MONTH)],
        cwd=PROJECT_ROOT, check=True, capture_output=True,
        env=os.environ | {
            "VS_EXCHANGE_ROOT": str(platform.exchange), "VS_SANDBOX_SEED": str(seed),
            "VS_SANDBOX_HOUSEHOLDS": str(households),
        },
    )  # fmt: skip
    print(f"  the partners wrote their files in {time.perf_counter() - began:.0f} s", flush=True)


def _as_copied(platform: Platform) -> dict[str, Path]:
    """The month's files as COPY can read them, put aside: ingest archives what it takes."""
    aside = platform.exchange.parent / "copied"
    aside.mkdir()
    files = {}
    for partner in PARTNERS:
        file = platform.exchange / "inbox" / partner.name / partner.file_name(MONTH)
        files[partner.name] = aside / f"{partner.name}.csv"
        if partner.extension == "csv":
            files[partner.name].hardlink_to(file)
        else:
            scale_bare.as_csv(file, files[partner.name])
    return files


def _answered(dsn: str, clock: Clock, what: str) -> None:
    _say(f"before {what}", clock)
    answer(dsn, MONTH, what)


def _bare(platform: Platform, files: dict[str, Path]) -> Clock:
    platform.use("ours")
    models = scale_bare.compiled_models(MONTH, STAGES)
    dsn = platform.dsn("bare")
    clock = platform.clock()
    with clock.timed("copy"), psycopg.connect(dsn) as connection:
        scale_bare.copy_files(connection, files)
    for kind, name in STEPS:
        if kind == "world":
            answer(dsn, MONTH, name)
        elif kind == "stage":
            with clock.timed("sql"), psycopg.connect(dsn, autocommit=True) as connection:
                scale_bare.run_models(connection, [model for model in models if model.stage == name], MONTH)
    _say("bare", clock)
    _require_same(platform, models)
    return clock


def _require_same(platform: Platform, models: Sequence[scale_bare.Model]) -> None:
    """What was compared is the same work: every table of the month has as many rows."""
    for model in models:
        query = f"select count(*) from {model.relation} where {model.month_column} = '{MONTH}'"
        found = []
        for database in ("ours", "bare"):
            with psycopg.connect(platform.dsn(database)) as connection:
                found.append(connection.execute(query).fetchone()[0])
        if found[0] != found[1]:
            raise RuntimeError(f"{model.relation}: {found[0]} rows by the platform, {found[1]} by the bare SQL")


def _counted(dsn: str) -> dict[str, int]:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "select (select count(*) from intermediate.int_signals__matched where signal_month = %(month)s),"
            " (select count(*) from intermediate.int_cases where signal_month = %(month)s),"
            " (select count(*) from ops.call_records where signal_month = %(month)s)",
            {"month": str(MONTH)},
        ).fetchone()
    return dict(zip(("signals", "cases", "call_records"), row, strict=True))


def _say(where: str, clock: Clock) -> None:
    parts = ", ".join(f"{kind} {seconds:.0f} s" for kind, seconds in clock.wall.items())
    print(f"  {where}: {parts} (processor {clock.processor_seconds:.0f} s, load {os.getloadavg()[0]:.1f})", flush=True)


# -- a long history ----------------------------------------------------------------------------------------------------


def measure_history(platform: Platform, months: int, turns: int, seed: int) -> Figures:
    """The same last month, with one month before it and with all of them, in turn."""
    history = [LAST_OF_HISTORY.plus(offset) for offset in range(1 - months, 1)]
    began = time.perf_counter()
    for name, chosen in (("short", history[-2:]), ("long", history)):
        platform.copy(WAREHOUSE_DATABASE, name)
        _history(platform, platform.use(name), chosen, seed)
    print(f"  {months} months of history in {time.perf_counter() - began:.0f} s", flush=True)
    turned: dict[str, list[Clock]] = {"short": [], "long": []}
    for turn in range(turns + 1):
        for name in turned:
            platform.use(name)
            clock = platform.clock()
            build(history[-1], clock)
            if turn:  # the first one only warms up
                turned[name].append(clock)
        if turn:
            shown = ", ".join(f"{name} {clocks[-1].seconds:.1f} s" for name, clocks in turned.items())
            print(f"  turn {turn}: {shown} (load {os.getloadavg()[0]:.1f})", flush=True)
    figures: Figures = {"history_months": months, "history_signals_in_month": _signals_in(platform, history[-1])}
    for name, number in (("short", 2), ("long", months)):
        for measure in ("seconds", "processor_seconds"):
            median = statistics.median(getattr(clock, measure) for clock in turned[name])
            figures[f"month_{number}_{measure}"] = round(median, 2)
    for measure, figure in (("seconds", "history_ratio"), ("processor_seconds", "history_processor_ratio")):
        figures[figure] = round(float(figures[f"month_{months}_{measure}"]) / float(figures[f"month_2_{measure}"]), 2)
    platform.drop("short", "long")
    return figures


def _history(platform: Platform, dsn: str, months: Sequence[Month], seed: int) -> None:
    """Delivered, taken in and built in order. The months between the first and the last two are built by the same
    models' SQL without dbt's tests and without gates: a history of years in minutes."""
    for month in months:
        partners_deliver(month, platform.exchange, seed, ORDINARY)
        take_in(month, platform.clock())
        if month in (months[0], *months[-2:]):
            build(month, platform.clock(), partial(answer, dsn, month))
            continue
        models = scale_bare.compiled_models(month, STAGES)
        for kind, name in STEPS:
            if kind == "world":
                answer(dsn, month, name)
            elif kind == "stage":
                with psycopg.connect(dsn, autocommit=True) as connection:
                    scale_bare.run_models(connection, [model for model in models if model.stage == name], month)


def _signals_in(platform: Platform, month: Month) -> int:
    with psycopg.connect(platform.dsn("long")) as connection:
        return connection.execute(
            "select count(*) from intermediate.int_signals__matched where signal_month = %s", (str(month),)
        ).fetchone()[0]


# -- result ------------------------------------------------------------------------------------------------------------


def main() -> int:
    asked = _asked()
    logging.disable(logging.INFO)
    parts = asked.only or PARTS
    figures: Figures = {"seed": asked.seed}
    print(f"seed {asked.seed}", flush=True)
    with own_platform() as platform:
        if "history" in parts:
            figures |= measure_history(platform, asked.months, asked.turns, asked.seed)
        if "month" in parts:
            figures |= measure_month(platform, asked.signals, asked.seed)
    figures["load"] = round(os.getloadavg()[0], 1)
    return _told(figures)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, action="append", help="one part; may be given again")
    parser.add_argument("--signals", type=int, default=1_000_000, help="of the large month")
    parser.add_argument("--months", type=int, default=60, help="of the long history")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    return parser.parse_args()


def _told(figures: Figures) -> int:
    goals = {}
    if "month_seconds" in figures:
        goals[f"{figures['month_signals']:,} signals within {MOST_MINUTES:g} minutes"] = (
            float(figures["month_seconds"]) <= 60 * MOST_MINUTES
        )
        goals[f"within {OF_BARE_SQL:g}x the bare SQL"] = float(figures["month_times_bare"]) <= OF_BARE_SQL
    if "history_ratio" in figures:
        ratios = [float(figures[name]) for name in ("history_ratio", "history_processor_ratio")]
        goals[f"month {figures['history_months']} at most {OF_MONTH_TWO:g}x month 2"] = max(ratios) <= OF_MONTH_TWO
    tell("scale", figures, goals)
    return 0


if __name__ == "__main__":
    sys.exit(main())
