"""Files go out encrypted to who gave a key, once per content as ever, and never in the open by mistake."""

from __future__ import annotations

import hashlib
import itertools
import json
from pathlib import Path

import pytest
from pysequoia import Tsk, decrypt

from include.contracts.registry import load_contract
from include.months import Month
from include.outbound.certin_call_list import deliver_call_list
from include.outbound.encryption import KeyMissing, KeyUnusable
from include.outbound.enrichment_request import request_enrichment
from include.settings import Role
from include.warehouse.connection import connect
from tests.chaos.faults import KILLED
from tests.integration.outbound_tables import call_row, create_outbound_tables, fill
from tests.integration.test_outbound_call_list import approve, handed_over, run_in_process

_numbers = itertools.count()


@pytest.fixture(scope="module")
def certin() -> Tsk:
    """Certin's own key: only the test has the secret half."""
    return Tsk.generate("Certin <lists@certin.example>")


@pytest.fixture(scope="module")
def outbox(warehouse: Path) -> Path:
    create_outbound_tables()
    return warehouse / "outbox"


@pytest.fixture
def keys(tmp_path: Path, certin: Tsk, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "certin.asc").write_bytes(bytes(certin.extract_certificate()))
    monkeypatch.setenv("VS_OPENPGP_KEYS", str(folder))
    return folder


@pytest.fixture
def month(outbox: Path) -> Month:
    month = Month(2010, 1).plus(next(_numbers))
    approve(month)
    return month


def put_on_list(month: Month, *numbers: int) -> None:
    fill("out_certin_call_list", str(month), [call_row(int(month.compact) * 1000 + number) for number in numbers])


def lists(outbox: Path, month: Month) -> list[Path]:
    return sorted((outbox / "certin").glob(f"certin_call_list_{month.compact}_*.csv*"))


def manifest_of(file: Path) -> dict[str, object]:
    return json.loads((file.parent / f"{file.name.split('.')[0]}.manifest.json").read_text(encoding="utf-8"))


def opened(file: Path, key: Tsk) -> bytes:
    return bytes(decrypt(decryptor=key.decryptor(), bytes=file.read_bytes()).bytes)


def test_only_the_recipient_reads_the_list(month: Month, outbox: Path, keys: Path, certin: Tsk) -> None:
    put_on_list(month, 1, 2, 3)
    summary = deliver_call_list(month)
    (file,) = lists(outbox, month)
    assert (file.name, summary.rows) == (f"certin_call_list_{month.compact}_01.csv.pgp", 3)
    assert b"Testpersoon" not in file.read_bytes()
    plain = opened(file, certin)
    assert plain.count(b"Testpersoon") == 3
    manifest = manifest_of(file)
    assert manifest["file"] == file.name
    assert manifest["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert manifest["encryption"] == {
        "method": "OpenPGP", "key": certin.extract_certificate().fingerprint.upper(),
        "plain_sha256": hashlib.sha256(plain).hexdigest(),
    }  # fmt: skip
    assert manifest.keys() <= {column.name for column in load_contract("certin_call_list_manifest").columns}
    with pytest.raises(Exception, match=r"(?i)key|decrypt"):
        opened(file, Tsk.generate("Somebody else <x@example.nl>"))


def test_the_same_content_is_nothing_new_also_under_a_new_key(month: Month, outbox: Path, keys: Path) -> None:
    put_on_list(month, 1)
    deliver_call_list(month)
    replaced = Tsk.generate("Certin <lists@certin.example>")
    (keys / "certin.asc").write_bytes(bytes(replaced.extract_certificate()))
    assert deliver_call_list(month).sequence is None
    put_on_list(month, 1, 2)
    assert deliver_call_list(month).rows == 1
    assert opened(lists(outbox, month)[1], replaced).count(b"Testpersoon") == 1


def test_who_wants_it_plain_says_so_and_who_says_nothing_gets_nothing(month: Month, outbox: Path, keys: Path) -> None:
    (keys / "certin.asc").unlink()
    put_on_list(month, 1)
    with pytest.raises(KeyMissing, match=r"certin\.plain"):
        deliver_call_list(month)
    assert lists(outbox, month) == []
    assert handed_over(month) == []
    row = {name: "x" for name in ("request_id", "initials", "surname")} | {"postcode": "2712AB", "house_number": 1}
    fill("out_enrichment_requests", str(month), [row])
    with pytest.raises(KeyMissing, match="outbox/enrichment"):
        request_enrichment(month)
    (keys / "certin.plain").touch()
    deliver_call_list(month)
    (file,) = lists(outbox, month)
    assert file.suffix == ".csv"
    assert "encryption" not in manifest_of(file)


def test_a_key_that_cannot_be_used_is_refused(month: Month, outbox: Path, keys: Path, certin: Tsk) -> None:
    put_on_list(month, 1)
    (keys / "certin.asc").write_bytes(str(certin).encode())
    with pytest.raises(KeyUnusable, match="secret key"):
        deliver_call_list(month)
    (keys / "certin.asc").write_text("a letter about a key", encoding="utf-8")
    with pytest.raises(KeyUnusable, match="no OpenPGP key"):
        deliver_call_list(month)
    assert lists(outbox, month) == []


@pytest.mark.parametrize("are_the_bytes_gone", [False, True])
def test_killed_after_the_ledger_row_the_file_still_goes_out_once(
    month: Month, outbox: Path, keys: Path, certin: Tsk, are_the_bytes_gone: bool
) -> None:
    put_on_list(month, 1, 2)
    assert run_in_process(month, "after_commit") == KILLED
    if are_the_bytes_gone:
        for ready in (outbox / "certin").glob("*.part"):
            ready.unlink()
    assert deliver_call_list(month).completed_earlier == 1
    (file,) = lists(outbox, month)
    assert manifest_of(file)["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert opened(file, certin).count(b"Testpersoon") == 2
    with connect(Role.EXPORTER) as connection:
        [(state, sent)] = connection.execute(
            "select state, file_sha256 from ops.exchange_ledger where contract = 'certin_call_list'"
            " and signal_month = %s",
            (str(month),),
        ).fetchall()
    assert (state, sent) == ("delivered", manifest_of(file)["sha256"])
    assert deliver_call_list(month).sequence is None
