"""The exchange on this machine: what it does when it is not there, and what it puts on disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from include.exchange.folders import Exchange
from include.exchange.places import ExchangeUnreachable
from include.orchestration.retries import passes_by_itself


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    exchange = Exchange(str(tmp_path / "exchange"))
    exchange.lay_out()
    return exchange


@pytest.mark.parametrize("is_empty_folder", [True, False])
@pytest.mark.parametrize(
    "use",
    [
        lambda exchange: exchange.files("inbox/zorgplus"),
        lambda exchange: exchange.all_files("archive"),
        lambda exchange: exchange.exists("inbox/zorgplus/zorgplus_202406.csv"),
        lambda exchange: exchange.write("outbox/certin/list.csv", b"1"),
        lambda exchange: exchange.move("inbox/zorgplus/zorgplus_202406.csv", "archive/2024-06/zorgplus_202406.csv"),
    ],
)
def test_folders_that_are_not_mounted_are_no_empty_exchange(
    exchange: Exchange, tmp_path: Path, use, *, is_empty_folder: bool
) -> None:
    assert exchange.files("inbox/zorgplus") == []
    (tmp_path / "exchange").rename(tmp_path / "away")
    if is_empty_folder:
        (tmp_path / "exchange").mkdir()
    with pytest.raises(ExchangeUnreachable, match="not reachable") as failed:
        use(exchange)
    assert passes_by_itself(failed.value)
    assert not list(tmp_path.glob("exchange/*")), "something was written where nobody will find it"


def test_a_file_is_on_disk_before_it_has_its_name(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    settled: list[tuple[str, list[str]]] = []
    sync = os.fsync

    def synced(handle: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        there = path if path.is_dir() else path.parent
        settled.append((path.name, sorted(one.name for one in there.iterdir())))
        sync(handle)

    monkeypatch.setattr(os, "fsync", synced)
    exchange.write("outbox/certin/list.csv", b"1")
    assert settled == [("list.csv.part", ["list.csv.part"]), ("certin", ["list.csv"])]
