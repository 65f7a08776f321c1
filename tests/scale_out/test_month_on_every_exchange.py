"""A whole month with the exchange in a folder, on an SFTP server and on S3: the same marts, the same files go out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from include.exchange.folders import Exchange
from include.local.instance import Instance
from include.months import Month
from tests import month_in_process
from tests.conftest import FOUNDATION, database_of_this_module
from tests.exchange_places import s3_server, sftp_server
from tests.scale_out.courier import courier
from tests.scale_out.outbox import sent

pytestmark = [pytest.mark.scale_out, pytest.mark.timeout(3000)]

MONTH, SEED = Month(2024, 4), 2024


@contextmanager
def place(kind: str, home: Path) -> Iterator[tuple[Exchange, Path]]:
    """An exchange of this kind, and the folder in which the outside world sees it."""
    folder = home / "exchange"
    if kind == "folder":
        yield Exchange(str(folder)), folder
    elif kind == "sftp":
        with sftp_server(home, folder) as server:
            yield Exchange(server.url, server.connection_with_key()), folder
    else:
        with s3_server() as server, courier(folder, server):
            yield server.exchange, folder


def _delivered(exchange: Exchange, folder: Path) -> None:
    """Everything the partners laid down has arrived, wherever the exchange is."""
    files = {str(path.relative_to(folder)) for path in (folder / "inbox").rglob("*") if path.is_file()}
    end = time.monotonic() + 60
    while files - set(exchange.all_files("inbox")):
        assert time.monotonic() < end, "the deliveries did not arrive"
        time.sleep(0.2)


def test_a_month_is_the_same_wherever_its_files_are(
    server: Instance, built_foundation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from include.warehouse.fingerprints import month_fingerprint

    came_of_it = {}
    for kind in ("folder", "sftp", "s3"):
        home = tmp_path / kind
        home.mkdir()
        with (
            database_of_this_module(server, FOUNDATION, built_foundation),
            place(kind, home) as (exchange, folder),
            month_in_process.sandbox(
                folder, home / "sandbox", port=server.port("ris"), token=server.secret("ris_token"), seed=SEED
            ),
        ):
            monkeypatch.setenv("VS_HOME", str(home))
            monkeypatch.setenv("VS_REPORTS", str(home / "reports"))
            monkeypatch.setenv("VS_EXCHANGE_ROOT", exchange.root)
            monkeypatch.setenv("AIRFLOW_CONN_EXCHANGE", exchange.connection)
            exchange.lay_out()
            month_in_process.partners_deliver(MONTH, folder, seed=SEED)
            _delivered(exchange, folder)
            started = time.process_time()
            month_in_process.run_month(MONTH)
            came_of_it[kind] = (month_fingerprint(MONTH), sent(exchange), sorted(exchange.all_files("archive")))
            assert not [file for file in exchange.all_files("inbox") if "zorgplus" in file], "not archived"
            print(f"a month with its exchange in {kind}: {time.process_time() - started:.1f} processor seconds")
    folder = came_of_it["folder"]
    assert len(folder[1]) >= 15, sorted(folder[1])
    for kind in ("sftp", "s3"):
        assert came_of_it[kind][0] == folder[0], f"other marts with the exchange on {kind}"
        assert came_of_it[kind][1] == folder[1], f"other files went out with the exchange on {kind}"
        assert came_of_it[kind][2] == folder[2], f"other files in the archive with the exchange on {kind}"
