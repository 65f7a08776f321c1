"""Every operation of the exchange on a folder, on a real SFTP server and on S3: the same, and refused by name when not.

A whole month on each of them is in tests/scale_out (`make test-scale-out`).
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import asyncssh
import pytest

from include.exchange.folders import Exchange, OutsideTheExchange
from include.exchange.places import ExchangeRefused, ExchangeUnreachable, place_of
from include.exchange.sftp_client import SftpFileSystem
from include.orchestration.retries import passes_by_itself
from include.settings import SettingMissing
from tests.exchange_places import PARTNER, S3Server, SftpServer, s3_server, sftp_server

INBOX, ARCHIVE, CERTIN = "inbox/zorgplus", "archive/2024-06", "outbox/certin"
BIG = bytes(range(256)) * 40_000  # ten megabytes: more than one piece


@pytest.fixture(scope="module")
def sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    home = tmp_path_factory.mktemp("sftp")
    with sftp_server(home, home / "exchange") as server:
        yield server


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture(params=["folder", "sftp", "s3"])
def exchange(request: pytest.FixtureRequest, tmp_path: Path) -> Exchange:
    """An empty exchange of each kind."""
    if request.param == "folder":
        made = Exchange(str(tmp_path / "exchange"))
    elif request.param == "sftp":
        made = of_sftp(request.getfixturevalue("sftp"), tmp_path.name)
    else:
        server: S3Server = request.getfixturevalue("s3")
        made = Exchange(f"{server.url}/{tmp_path.name}", server.connection)
    made.lay_out()
    return made


def of_sftp(server: SftpServer, folder: str) -> Exchange:
    """A new exchange in a folder of its own."""
    made = Exchange(f"{server.url}{folder}", server.connection())
    made.lay_out()
    return made


def test_an_empty_exchange_holds_nothing(exchange: Exchange):
    assert exchange.files(INBOX, "inbox/ris") == []
    assert exchange.folders("inbox") == []
    assert exchange.all_files("archive") == []
    assert not exchange.exists(f"{INBOX}/a.csv")


def test_an_exchange_that_is_not_mounted_is_no_empty_one(sftp: SftpServer, tmp_path: Path):
    for exchange in (Exchange(f"{sftp.url}never-made", sftp.connection()), Exchange(str(tmp_path / "never-made"))):
        for attempt in (
            lambda gone=exchange: gone.files(INBOX),
            lambda gone=exchange: gone.exists(f"{INBOX}/a.csv"),
            lambda gone=exchange: gone.write(f"{INBOX}/a.csv", b"one"),
        ):
            with pytest.raises(ExchangeUnreachable, match="not reachable"):
                attempt()


def test_what_is_written_is_listed_read_and_deleted(exchange: Exchange):
    exchange.write(f"{INBOX}/a [1]*.csv", b"one")
    exchange.write(f"{INBOX}/b.csv", BIG)
    exchange.write("inbox/stadsenergie/c.csv", b"")
    assert exchange.folders("inbox") == ["stadsenergie", "zorgplus"]
    assert [(file.path, file.size) for file in exchange.files(INBOX, "inbox/stadsenergie")] == [
        ("inbox/stadsenergie/c.csv", 0),
        (f"{INBOX}/a [1]*.csv", 3),
        (f"{INBOX}/b.csv", len(BIG)),
    ]
    assert exchange.read(f"{INBOX}/a [1]*.csv") == b"one"
    assert exchange.beginning(f"{INBOX}/b.csv", 5) == BIG[:5]
    assert exchange.beginning(f"{INBOX}/a [1]*.csv", 50) == b"one"
    assert exchange.size(f"{INBOX}/b.csv") == len(BIG)
    assert abs(exchange.changed_at(f"{INBOX}/b.csv").timestamp() - time.time()) < 60
    expected = hashlib.sha256(BIG).hexdigest(), hashlib.sha256(b"salt" + BIG).hexdigest()
    assert exchange.digests(f"{INBOX}/b.csv", b"salt") == expected
    with exchange.copy_at_hand(f"{INBOX}/b.csv", b"salt") as (copy, digests):
        exchange.delete(f"{INBOX}/b.csv")
        assert copy.read() == BIG
        assert digests() == expected
    assert exchange.all_files("inbox") == ["inbox/stadsenergie/c.csv", f"{INBOX}/a [1]*.csv"]


def test_what_is_new_is_seen_at_once_and_by_everybody(exchange: Exchange):
    other = replace(exchange)
    assert other.files(INBOX) == []
    exchange.write(f"{INBOX}/a.csv", b"one")
    assert [file.size for file in other.files(INBOX)] == [3]
    exchange.write(f"{INBOX}/a.csv", b"three")
    assert [file.size for file in other.files(INBOX)] == [5]
    assert other.read(f"{INBOX}/a.csv") == b"three"


def test_a_file_moves_to_the_archive_and_replaces_what_is_there(exchange: Exchange):
    exchange.write(f"{INBOX}/a.csv", b"one")
    exchange.move(f"{INBOX}/a.csv", f"{ARCHIVE}/a.csv")
    assert exchange.all_files("inbox") == []
    exchange.write(f"{INBOX}/a.csv", b"two")
    exchange.move(f"{INBOX}/a.csv", f"{ARCHIVE}/a.csv")
    assert exchange.read(f"{ARCHIVE}/a.csv") == b"two"
    assert exchange.all_files("archive") == [f"{ARCHIVE}/a.csv"]
    with pytest.raises(FileNotFoundError):
        exchange.move(f"{INBOX}/a.csv", f"{ARCHIVE}/a.csv")
    assert exchange.read(f"{ARCHIVE}/a.csv") == b"two", "a move of nothing took the target away"


def test_unfinished_and_growing_files_are_not_files_yet(exchange: Exchange):
    exchange.write(f"{INBOX}/whole.csv", b"whole")
    for name in ("a.csv.part", "b.tmp", "c.filepart", ".hidden.csv"):
        exchange.write(f"{INBOX}/{name}", b"half")
    stop, length = threading.Event(), 0

    def grow() -> None:
        nonlocal length
        while not stop.wait(0.05):
            length += 10
            exchange.write(f"{INBOX}/growing.csv", b"x" * length)

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        while not length:
            time.sleep(0.02)
        assert [file.name for file in exchange.files(INBOX)] == ["whole.csv"]
    finally:
        stop.set()
        writer.join()
    assert [(file.name, file.size) for file in exchange.files(INBOX)] == [("growing.csv", length), ("whole.csv", 5)]


def test_a_recipient_never_sees_half_a_file_or_a_manifest_before_its_file(exchange: Exchange):
    """The order of include/outbound/delivery.py, watched all the time by somebody else."""
    seen: set[tuple[str, int]] = set()
    early: list[str] = []
    stop = threading.Event()

    def watch() -> None:
        other = replace(exchange)
        while not stop.is_set():
            names = {}
            for path in other.all_files(CERTIN):
                with suppress(FileNotFoundError):  # it was moved between the two looks
                    names[path.rsplit("/", 1)[-1]] = other.size(path)
            seen.update(item for item in names.items() if not item[0].endswith(".part"))
            if "list.manifest.json" in names and "list.csv" not in names:
                early.append("the manifest was there before its file")

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for _ in range(3):
            exchange.write(f"{CERTIN}/list.csv.part", BIG)
            exchange.move(f"{CERTIN}/list.csv.part", f"{CERTIN}/list.csv")
            exchange.write(f"{CERTIN}/list.manifest.json", b"{}")
            exchange.delete(f"{CERTIN}/list.manifest.json")
    finally:
        stop.set()
        watcher.join()
    assert not early
    assert ("list.csv", len(BIG)) in seen
    assert {size for name, size in seen if name == "list.csv"} == {len(BIG)}


@pytest.mark.parametrize("path", ["../elsewhere", "/etc/passwd", "inbox/../../x", ""])
def test_nothing_leads_out_of_the_exchange(exchange: Exchange, path: str):
    with pytest.raises(OutsideTheExchange):
        exchange.read(path)


def test_a_key_opens_sftp_too(sftp: SftpServer):
    exchange = Exchange(f"{sftp.url}by-key", sftp.connection_with_key())
    exchange.lay_out()
    exchange.write("inbox/ris/a.csv", b"one")
    assert (sftp.root / "by-key" / "inbox" / "ris" / "a.csv").read_bytes() == b"one"


def test_another_host_key_is_refused_and_not_tried_again(sftp: SftpServer):
    stranger = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    with pytest.raises(ExchangeRefused, match="another host key") as refused:
        Exchange(sftp.url, sftp.connection(host_key=stranger)).read("a")
    assert not passes_by_itself(refused.value)


def test_without_a_host_key_nothing_is_sent(sftp: SftpServer):
    connection = json.loads(sftp.connection()) | {"extra": {}}
    with pytest.raises(SettingMissing, match="ssh-keyscan"):
        Exchange(sftp.url, json.dumps(connection)).read("a")


def test_a_wrong_password_is_refused_without_saying_it(sftp: SftpServer):
    with pytest.raises(ExchangeRefused, match="does not let 'platform' in") as refused:
        Exchange(sftp.url, sftp.connection(password="not-the-password")).read("a")
    assert "not-the-password" not in str(refused.value)


def test_a_password_in_the_root_is_refused(exchange: Exchange):
    with pytest.raises(ExchangeRefused, match="AIRFLOW_CONN_EXCHANGE") as refused:
        Exchange("sftp://platform:geheim@127.0.0.1/").read("a")
    assert "geheim" not in str(refused.value)


def test_a_place_that_is_away_is_tried_again(tmp_path: Path, s3: S3Server):
    with sftp_server(tmp_path, tmp_path / "exchange") as server:
        exchange = Exchange(server.url, server.connection())
        exchange.lay_out()
        exchange.write("inbox/ris/a.csv", b"one")
    away = [exchange, replace(s3.exchange, connection=s3.connection.replace(s3.endpoint, "http://127.0.0.1:9"))]
    for place in away:
        with pytest.raises(ExchangeUnreachable, match="does not answer") as unreachable:
            place.files("inbox/ris")
        assert passes_by_itself(unreachable.value)


def test_a_connection_that_was_cut_is_made_again(sftp: SftpServer):
    exchange = of_sftp(sftp, "cut")
    exchange.write("inbox/ris/a.csv", b"one")
    client = place_of(exchange.root, exchange.connection).filesystem
    client.loop.call_soon_threadsafe(client.client.abort)
    while not client.client.is_closed():
        time.sleep(0.01)
    assert exchange.read("inbox/ris/a.csv") == b"one"


def test_a_server_that_cannot_replace_loses_no_file_in_a_move(sftp: SftpServer, monkeypatch: pytest.MonkeyPatch):
    async def unknown(*_: object) -> None:
        raise asyncssh.SFTPOpUnsupported("no such extension")

    monkeypatch.setattr(asyncssh.SFTPClient, "posix_rename", unknown)
    exchange = of_sftp(sftp, "old-server")
    for content in (b"one", b"two"):
        exchange.write(f"{INBOX}/a.csv", content)
        exchange.move(f"{INBOX}/a.csv", f"{ARCHIVE}/a.csv")
        assert exchange.read(f"{ARCHIVE}/a.csv") == content
    assert exchange.all_files("inbox") == []


def test_a_partner_sees_its_own_inbox_and_receipts_only(sftp: SftpServer):
    at_home = sftp.root
    for path in ("inbox/stadsenergie/secret.csv", f"outbox/partners/{PARTNER}/receipt.json", "outbox/certin/list.csv"):
        (at_home / path).parent.mkdir(parents=True, exist_ok=True)
        (at_home / path).write_bytes(b"ours")
    partner = place_of(sftp.url, sftp.connection(PARTNER)).filesystem
    assert isinstance(partner, SftpFileSystem)

    partner.pipe_file("/delivery.csv.part", b"mine")
    partner.mv("/delivery.csv.part", "/delivery.csv")
    assert (at_home / "inbox" / PARTNER / "delivery.csv").read_bytes() == b"mine"
    assert partner.cat_file("/receipts/receipt.json") == b"ours"
    assert {entry["name"] for entry in partner.ls("/")} == {"/delivery.csv"}

    outside = ("/../stadsenergie/secret.csv", "/inbox/stadsenergie/secret.csv", "/receipts/../../certin/list.csv")
    for path in outside:
        with pytest.raises(FileNotFoundError):
            partner.info(path)
    refused = {
        "read its delivery back": lambda: partner.cat_file("/delivery.csv"),
        "delete": lambda: partner.rm_file("/delivery.csv"),
        "make a folder": lambda: partner.makedirs("/folder"),
        "write a receipt": lambda: partner.pipe_file("/receipts/receipt.json", b"x"),
        "move a receipt away": lambda: partner.mv("/receipts/receipt.json", "/receipt.json"),
        "run a program": lambda: partner.execute("id"),
    }
    for what, attempt in refused.items():
        assert _is_refused(attempt), f"a partner may {what}"
    assert (at_home / "outbox" / "partners" / PARTNER / "receipt.json").read_bytes() == b"ours"
    assert SimpleNamespace(**partner.info("/delivery.csv")).size == 4


def _is_refused(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except (asyncssh.Error, OSError):
        return True
    return False
