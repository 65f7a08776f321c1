"""How fast deliveries are taken in: `make bench-ingest`.

Three ways of getting one file into one PostgreSQL, turn by turn in one run:
  ours    the whole of take_in: fingerprint, judge by contract, load, quarantine, keep the raw rows, reconcile, receipt
          and archive
  pandas  read_csv + DataFrame.to_sql with their default arguments; nothing is validated
  copy    a bare COPY of the file into a table of text columns; nothing is looked at
and one large file by a process of its own, for its peak memory and its rows a second.

Goals (issue 3): with 200,000 rows of which 2 % bad, ours at least 8 times as fast as pandas and within 6 times the bare
COPY; 2,000,000 rows in less than 1 GiB and at the same rows a second within 20 %. Each run draws a new seed (printed;
`--seed` repeats one) and has its own PostgreSQL in a temporary folder. Each turn ends in a commit; the time of a way is
the median of its turns. What the machine does beside it (load) is printed, because it weighs on everything; so are the
seconds of processor each way takes, of our process and of the server together, which depend less on it.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from bench.figures import tell
from bench.large_delivery import PARTNER, write_delivery
from include.local.instance import WAREHOUSE_DATABASE, Instance
from include.months import Month
from include.settings import PROJECT_ROOT

MONTH = Month.parse("2024-06")
BAD_SHARE = 0.02
FILE_NAME, SECOND_FILE_NAME = f"{PARTNER}_{MONTH.compact}.csv", f"{PARTNER}_{MONTH.compact}_02.csv"
FASTER_THAN_PANDAS, OF_BARE_COPY, MOST_MEMORY_MIB, RATE_WITHIN = 8.0, 6.0, 1024.0, 0.20
PIECE_BYTES = 256 * 1024
# as large as what is timed is handled: in parts, by the compiled loops
WARM_UP_ROWS = 20_000
# a connection is counted when its server process has ended
SETTLED_SECONDS = 0.3


@dataclass(frozen=True)
class Platform:
    """A warehouse of this run's own."""

    instance: Instance

    @property
    def superuser_dsn(self) -> str:
        return f"{self.instance.postgres.superuser_dsn}/{WAREHOUSE_DATABASE}"

    @property
    def inbox(self) -> Path:
        folder = Path(self.instance.platform_environment()["VS_EXCHANGE_ROOT"]) / "inbox" / PARTNER
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def processor_seconds(self) -> float:
        """What this process and the finished connections of the server have used so far."""
        time.sleep(SETTLED_SECONDS)
        server = psutil.Process(
            int((self.instance.postgres.data / "postmaster.pid").read_text().split()[0])
        ).cpu_times()
        return time.process_time() + server.children_user + server.children_system

    def clear(self) -> None:
        """As if nothing had ever been delivered or loaded."""
        shutil.rmtree(self.inbox.parents[1] / "archive", ignore_errors=True)
        with psycopg.connect(self.superuser_dsn, autocommit=True) as connection:
            # decisions are append-only; a bench begins again where a platform never does
            connection.execute("set session_replication_role = replica")
            connection.execute("truncate landing.signals, landing.raw_blocks, landing.quarantined_rows")
            connection.execute("truncate ops.deliveries cascade")
            connection.execute("drop table if exists public.bare, public.plain")
            # no turn pays for what the one before it left to be written
            connection.execute("checkpoint")


def main() -> int:
    asked = _asked()
    figures: dict[str, float | int | str] = {"seed": asked.seed, "rows": asked.rows, "large_rows": asked.large_rows}
    with tempfile.TemporaryDirectory(prefix="vs-bench-") as folder:
        platform = Platform(Instance(Path(folder) / "home"))
        platform.instance.create()
        platform.instance.start_warehouse()
        os.environ.update(platform.instance.platform_environment() | _larger_contracts(Path(folder)))
        try:
            figures |= _compared(platform, Path(folder), asked)
            if asked.large_rows:
                figures |= _large(platform, Path(folder), asked)
        finally:
            platform.instance.postgres.stop()
    figures["load"] = round(os.getloadavg()[0], 1)
    return _told(figures)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--large-rows", type=int, default=2_000_000, help="0 leaves the large file out")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    return parser.parse_args()


def _larger_contracts(folder: Path) -> dict[str, str]:
    """The contracts, with a size limit for the landlord that lets the large file in."""
    contracts = folder / "contracts"
    shutil.copytree(PROJECT_ROOT / "include" / "contracts", contracts, ignore=shutil.ignore_patterns("*.py", "__*"))
    (path,) = contracts.glob(f"inbound/{PARTNER}-v1.odcs.yaml")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("maxFileMegabytes, value: 512", "maxFileMegabytes, value: 4096"), encoding="utf-8")
    return {"VS_CONTRACTS": str(contracts)}


# -- the three ways ----------------------------------------------------------------------------------------------------


def _compared(platform: Platform, folder: Path, asked: argparse.Namespace) -> dict[str, float | int | str]:
    file = folder / "delivery.csv"
    bad = write_delivery(file, asked.rows, BAD_SHARE, MONTH, asked.seed)
    size = file.stat().st_size / 1e6
    print(f"{asked.rows:,} rows, {bad:,} of them bad, {size:.1f} MB, seed {asked.seed}", flush=True)
    ways: dict[str, Callable[[Platform, Path], None]] = {"ours": _ours, "pandas": _pandas, "copy": _bare_copy}
    loading = _warm_up(platform, folder, asked.seed)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    processor: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(asked.turns):
        for name, way in ways.items():
            platform.clear()
            if name == "ours":
                shutil.copy(file, platform.inbox / FILE_NAME)
            used, began = platform.processor_seconds(), time.perf_counter()
            way(platform, file)
            seconds[name].append(time.perf_counter() - began)
            processor[name].append(platform.processor_seconds() - used)
            if name == "ours":
                _reconciled(platform, asked.rows, bad)
        shown = ", ".join(f"{name} {times[-1]:.2f} s" for name, times in seconds.items())
        print(f"turn {turn + 1}: {shown} (load {os.getloadavg()[0]:.1f})", flush=True)
    median = {name: statistics.median(times) for name, times in seconds.items()}
    return {
        "bad_rows": bad,
        "loading_seconds_before": round(loading, 2),
        **{f"{name}_seconds": round(value, 3) for name, value in median.items()},
        **{f"{name}_processor_seconds": round(statistics.median(used), 2) for name, used in processor.items()},
        "faster_than_pandas": round(median["pandas"] / median["ours"], 2),
        "times_bare_copy": round(median["ours"] / median["copy"], 2),
        "rows_per_second": round(asked.rows / median["ours"]),
    }


def _warm_up(platform: Platform, folder: Path, seed: int) -> float:
    """Every way has its libraries loaded before a clock runs; answers how many seconds loading ours took.

    On a machine that never took in a large file, that is compiling its loops, once.
    """
    file, seconds = folder / "small.csv", []
    write_delivery(file, WARM_UP_ROWS, BAD_SHARE, MONTH, seed)
    for _ in range(2):
        platform.clear()
        shutil.copy(file, platform.inbox / FILE_NAME)
        began = time.perf_counter()
        _ours(platform, file)
        seconds.append(time.perf_counter() - began)
    _pandas(platform, file)
    _bare_copy(platform, file)
    return seconds[0] - seconds[1]


def _ours(platform: Platform, file: Path) -> None:
    from include.ingest.deliveries import ingest_delivery

    summary = ingest_delivery(f"inbox/{PARTNER}/{FILE_NAME}", MONTH)
    assert summary.status == "loaded", summary


def _pandas(platform: Platform, file: Path) -> None:
    import pandas as pd
    from sqlalchemy import create_engine

    engine = create_engine(platform.superuser_dsn)
    pd.read_csv(file, sep=";", encoding="cp1252").to_sql("plain", engine, index=False)
    engine.dispose()


def _bare_copy(platform: Platform, file: Path) -> None:
    with file.open(encoding="cp1252") as text:
        labels = text.readline().strip().split(";")
    columns = sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(label)) for label in labels)
    with psycopg.connect(platform.superuser_dsn) as connection:
        connection.execute(sql.SQL("create table public.bare ({})").format(columns))
        statement = "copy public.bare from stdin (format csv, header, delimiter ';', encoding 'WIN1252')"
        with connection.cursor() as cursor, cursor.copy(statement) as copy, file.open("rb") as content:
            while piece := content.read(PIECE_BYTES):
                copy.write(piece)


def _reconciled(platform: Platform, rows: int, bad: int) -> None:
    """What was timed was the whole work: every row is in its place."""
    with psycopg.connect(platform.superuser_dsn) as connection:
        found = connection.execute(
            "select (select count(*) from landing.signals), (select count(*) from landing.quarantined_rows), "
            "(select count(*) from landing.raw_rows)"
        ).fetchone()
    assert found == (rows - bad, bad, rows), found


# -- the large file ----------------------------------------------------------------------------------------------------

_LARGE = """
import sys, time
from pathlib import Path
from include.ingest.deliveries import ingest_delivery
from include.months import Month
month = Month.parse(sys.argv[3])
ingest_delivery(sys.argv[1], month)
began = time.perf_counter()
summary = ingest_delivery(sys.argv[2], month)
seconds = time.perf_counter() - began
assert summary.status == "loaded", summary
(peak,) = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(summary.rows_in_file, seconds, int(peak) / 1024)
"""


def _large(platform: Platform, folder: Path, asked: argparse.Namespace) -> dict[str, float | int | str]:
    """Both sizes by a fresh process each, so that peak memory and pace are those of one delivery.

    A small one goes before it, so that everything is loaded when the clock runs.
    """
    file = folder / "large.csv"
    write_delivery(file, asked.large_rows, BAD_SHARE, MONTH, asked.seed)
    small_rate, _, small_peak = _in_a_process(platform, folder / "delivery.csv")
    large_rate, rows, peak = _in_a_process(platform, file)
    again, _, _ = _in_a_process(platform, folder / "delivery.csv")
    small_rate = statistics.mean([small_rate, again])
    return {
        "large_file_mb": round(file.stat().st_size / 1e6),
        "large_rows_loaded": rows,
        "peak_memory_mib": round(peak),
        "peak_memory_mib_of_200k": round(small_peak),
        "rows_per_second_200k": round(small_rate),
        "rows_per_second_large": round(large_rate),
        "pace_of_large_against_200k": round(large_rate / small_rate, 2),
    }


def _in_a_process(platform: Platform, file: Path) -> tuple[float, int, float]:
    platform.clear()
    shutil.copy(file, platform.inbox / FILE_NAME)
    shutil.copy(file.parent / "small.csv", platform.inbox / SECOND_FILE_NAME)
    names = [f"inbox/{PARTNER}/{name}" for name in (SECOND_FILE_NAME, FILE_NAME)]
    done = subprocess.run(
        [sys.executable, "-c", _LARGE, *names, str(MONTH)],
        cwd=PROJECT_ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"the delivery was not loaded: {done.stderr[-2000:]}")
    rows, seconds, peak = done.stdout.split()
    return int(rows) / float(seconds), int(rows), float(peak)


# -- result ------------------------------------------------------------------------------------------------------------


def _told(figures: dict[str, float | int | str]) -> int:
    goals = {
        f"at least {FASTER_THAN_PANDAS:g}x faster than pandas": figures["faster_than_pandas"] >= FASTER_THAN_PANDAS,
        f"within {OF_BARE_COPY:g}x a bare COPY": figures["times_bare_copy"] <= OF_BARE_COPY,
    }
    if "peak_memory_mib" in figures:
        pace = float(figures["pace_of_large_against_200k"])
        goals["large file under 1 GiB"] = float(figures["peak_memory_mib"]) < MOST_MEMORY_MIB
        goals["large file at the same pace within 20 %"] = pace >= 1 - RATE_WITHIN
    tell("ingest", figures, goals)
    return 0


if __name__ == "__main__":
    sys.exit(main())
