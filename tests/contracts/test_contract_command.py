"""`vs contract check` as a person runs it: no platform, no terminal, nothing written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from include.settings import CONTRACTS_FOLDER, PROJECT_ROOT
from tests.fixtures.deliveries import DRINKWATER, STADSENERGIE, ZORGPLUS, PartnerFormat, Row

VS = Path(sys.executable).parent / "vs"


def vs(*arguments: object, columns: int | None = None, **settings: str) -> tuple[int, str]:
    """Exit code and output, in an environment that knows no platform."""
    environment = settings | {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    if columns:
        environment |= {"COLUMNS": str(columns), "FORCE_COLOR": "1"}
    done = subprocess.run(
        [VS, "contract", *map(str, arguments)], cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def sample(form: PartnerFormat, rows: list[Row], folder: Path, name: str | None = None) -> Path:
    path = folder / (name or form.file_name())
    path.write_bytes(form.write(rows))
    return path


def test_a_good_sample_shows_columns_reasons_and_masked_rows(tmp_path: Path) -> None:
    rows = DRINKWATER.good_rows(40)
    rows[3]["Saldo"], rows[5]["Datum"], rows[7]["Tel"] = "-3", "31/02/2024", "0900-1234"
    rows[9]["Aansluitnummer"] = rows[8]["Aansluitnummer"]
    for row in rows:
        row["Extra"] = "x"
    before = sorted(tmp_path.rglob("*"))
    path = sample(DRINKWATER, rows, tmp_path)
    code, out = vs("check", "drinkwater_zh", "--sample", path)
    assert code == 0, out
    for expected in (
        "nothing wrong with the contract",
        "signal month 2024-06, delivery 1 of it",
        "Rows: 40 in the file, 37 good, 2 quarantined, 1 duplicate",
        "Would be loaded: 37 rows under drinkwater_zh-v1",
    ):
        assert expected in out
    told = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if line.startswith("│")]
    assert ["Aanschrijfnaam", "2", "person_name", "initials, name_prefix, surname", "read"] in told
    assert ["Extra", "9", "", "—", "not used"] in told
    assert ["quarantined", "amount_not_positive", "1", "5"] in told
    assert ["quarantined", "signal_on_invalid", "1", "7"] in told
    assert ["duplicate", "reference_duplicate", "1", "11"] in told
    assert ["loaded without", "phone_invalid", "1", "9"] in told
    assert ["phone_1", *["+99999999999"] * 3] in told
    assert ["partner_reference", "A000000", "A000001", "A000002"] in told
    assert "Bakker" not in out
    assert sorted(tmp_path.rglob("*")) == [*before, path]


def test_values_are_shown_when_asked_for(tmp_path: Path) -> None:
    code, out = vs(
        "check", "zorgplus-v1", "--sample", sample(ZORGPLUS, ZORGPLUS.good_rows(2), tmp_path), "--show-values"
    )
    assert code == 0
    assert "Bakker" in out
    assert "+3163" in out


def test_a_sample_that_lacks_a_column_is_shown_beside_its_header(tmp_path: Path) -> None:
    rows = [{label: value for label, value in row.items() if label != "Adres"} for row in STADSENERGIE.good_rows(3)]
    code, out = vs("check", "stadsenergie", "--sample", sample(STADSENERGIE, rows, tmp_path, "export 3.xlsx"))
    assert code == 1
    assert "would be refused for its name" in out
    assert "Refused as a whole (file_header): missing columns: Adres" in out
    assert [line for line in out.splitlines() if line.startswith("│ Adres ") and "missing" in line]


@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"Aansluitnummer;Saldo", b"PK\x03\x04"])
def test_a_sample_that_is_nothing_is_told_so(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "drinkwater_zh_202406.csv"
    path.write_bytes(content)
    code, out = vs("check", "drinkwater_zh", "--sample", path)
    assert code == 1
    assert "Refused as a whole" in out or "no good row" in out


def test_a_contract_with_problems_shows_them_all_and_still_tries_the_sample(tmp_path: Path) -> None:
    text = (CONTRACTS_FOLDER / "inbound" / "zorgplus-v1.odcs.yaml").read_text(encoding="utf-8")
    text = text.replace("property: sector,", "property: sectr,").replace("status: active", "status: 5")
    contract = tmp_path / "zorgplus-v1.odcs.yaml"
    contract.write_text(text, encoding="utf-8")
    path = sample(ZORGPLUS, ZORGPLUS.good_rows(2), tmp_path)
    code, out = vs("check", contract, "--sample", path)
    assert code == 1
    assert "2 problems, 1 thing to look at" in out
    assert "Rows: 2 in the file, 2 good" in out
    assert "The contract would not be used" in out
    contract.write_text(text.replace("value: postcode}", "value: postcod}"), encoding="utf-8")
    code, out = vs("check", contract, "--sample", path)
    assert code == 1
    assert "perhaps postcode: one of" in out
    assert "The sample was not judged" in out
    contract.write_text("schema: [", encoding="utf-8")
    code, out = vs("check", contract)
    assert code == 1
    assert "is not YAML on line 2" in " ".join(out.split())


def test_without_a_file_every_contract_is_checked() -> None:
    code, out = vs("check")
    assert code == 0
    assert len([line for line in out.splitlines() if ".odcs.yaml" in line]) == len(
        list(CONTRACTS_FOLDER.glob("*/*.odcs.yaml"))
    )


def test_a_file_that_is_not_there_is_said_in_one_line() -> None:
    code, out = vs("check", "nobody-v1")
    assert code == 2
    assert "nobody-v1" in out
    code, out = vs("check", "zorgplus", "--sample", "nowhere.csv")
    assert code == 2
    assert "nowhere.csv" in out


def test_it_fits_a_narrow_terminal(tmp_path: Path) -> None:
    shutil.copy(CONTRACTS_FOLDER / "inbound" / "drinkwater_zh-v1.odcs.yaml", tmp_path)
    path = sample(DRINKWATER, DRINKWATER.good_rows(3), tmp_path)
    code, out = vs("check", tmp_path / "drinkwater_zh-v1.odcs.yaml", "--sample", path, columns=72)
    assert code == 0
    assert "\x1b[" in out
