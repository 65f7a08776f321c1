"""Every contract is valid ODCS, says what we rely on, and can be read by the code that obeys it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.contracts.registry import (
    Contract,
    ContractProblem,
    all_contracts,
    load_contract,
    unreadable_contracts,
)
from include.ingest.readers import READERS, fields_filled
from include.months import Month
from include.settings import CONTRACTS_FOLDER

FILES = sorted(CONTRACTS_FOLDER.glob("*/*.yaml"))


@pytest.fixture(scope="module", autouse=True)
def schema_checked_once() -> Iterator[None]:
    """The linter checks the ODCS schema itself before every file, which is nearly all of its time: once is enough."""
    import jsonschema

    validator = jsonschema.validators.validator_for({"$schema": "https://json-schema.org/draft/2019-09/schema"})
    check, seen = validator.check_schema, set()

    def check_once(schema: dict[str, Any], *rest: Any) -> None:
        text = json.dumps(schema, sort_keys=True)
        if text not in seen:
            check(schema, *rest)
            seen.add(text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(validator, "check_schema", check_once)
        yield


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_file_is_valid_odcs(path: Path) -> None:
    from datacontract.data_contract import DataContract

    run = DataContract(data_contract_file=str(path)).lint()
    assert len(run.checks) > 0
    assert [(check.name, check.reason) for check in run.checks if check.result.value != "passed"] == []


def test_the_lint_would_notice_a_broken_contract(tmp_path: Path) -> None:
    from datacontract.data_contract import DataContract

    document = yaml.safe_load(FILES[0].read_text(encoding="utf-8"))
    document["schema"][0]["properties"][0]["logicalType"] = "guilder"
    broken = tmp_path / "broken-v1.odcs.yaml"
    broken.write_text(yaml.safe_dump(document), encoding="utf-8")
    assert DataContract(data_contract_file=str(broken)).lint().result.value == "failed"


@pytest.mark.parametrize(
    "contract", [c for c in all_contracts() if c.path.parent.name == "inbound"], ids=lambda contract: contract.reference
)
def test_every_column_names_a_reader_and_fields_that_exist(contract: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VS_BSN_KEY", "a key")
    landing = load_contract(contract.lands_in).columns if contract.lands_in else contract.columns
    known = {column.name for column in landing} | {"phone"}
    for column in contract.columns:
        assert READERS[column.reader](column)
        assert set(column.fills) <= known
        assert fields_filled(column)
    assert 0 < contract.quarantine_threshold < 1


def test_bsn_is_restricted_and_in_no_outgoing_contract() -> None:
    for contract in all_contracts():
        for table in contract.tables:
            for column in table.columns:
                # a yes or no (has_bsn) is no BSN
                if "bsn" in column.name and column.logical_type != "boolean":
                    assert column.classification == "restricted"
                    assert contract.path.parent.name in ("inbound", "landing")


def test_call_list_has_the_columns_of_the_interface_and_no_others() -> None:
    assert [column.label for column in load_contract("certin_call_list").columns] == (
        "call_record_id;case_id;phone_1;phone_2;initials;name_prefix;surname;house_number;sectors;call_from;call_until;"
        "max_attempts;script_version"
    ).split(";")


def test_worklist_has_its_four_sheets() -> None:
    assert [table.label for table in load_contract("kwadraad_worklist").tables] == [
        "Direct", "Warm", "Zonder nummer", "Beoordelen",
    ]  # fmt: skip


def test_file_names_of_a_partner() -> None:
    contract, june = load_contract("woonbedrijf"), Month.parse("2024-06")
    assert contract.file_name(june, 1) == "woonbedrijf_202406.csv"
    assert contract.file_name(june, 2) == "woonbedrijf_202406_02.csv"
    for name, sequence in {"woonbedrijf_202406.csv": 1, "woonbedrijf_202406_02.CSV": 2}.items():
        named = contract.read_file_name(name)
        assert named
        assert (named.month, named.sequence) == (june, sequence)
    for name in ("woonbedrijf_2024-06.csv", "woonbedrijf_202413.csv", "zorgplus_202406.csv", "woonbedrijf_202406.xlsx",
                 "woonbedrijf_202406_.csv", "x_woonbedrijf_202406.csv", "woonbedrijf.csv"):  # fmt: skip
        assert contract.read_file_name(name) is None


def test_the_newest_active_version_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inbound").mkdir()
    text = (CONTRACTS_FOLDER / "inbound" / "woonbedrijf-v1.odcs.yaml").read_text(encoding="utf-8")
    for major, status in ((1, "active"), (2, "active"), (3, "draft")):
        file = tmp_path / "inbound" / f"woonbedrijf-v{major}.odcs.yaml"
        file.write_text(text.replace("status: active", f"status: {status}"), encoding="utf-8")
    monkeypatch.setenv("VS_CONTRACTS", str(tmp_path))
    assert load_contract("woonbedrijf").major == 2
    assert load_contract("woonbedrijf-v1").major == 1
    assert [contract.major for contract in all_contracts()] == [1, 2, 3]
    file.unlink()
    with pytest.raises(ContractProblem, match="woonbedrijf-v3"):
        load_contract("woonbedrijf-v3")


def test_a_contract_that_cannot_be_read_is_left_out_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(CONTRACTS_FOLDER / "inbound", tmp_path / "inbound")
    file = tmp_path / "inbound" / "zorgplus-v1.odcs.yaml"
    text = file.read_text(encoding="utf-8")
    monkeypatch.setenv("VS_CONTRACTS", str(tmp_path))
    everybody = [contract.name for contract in all_contracts()]
    for broken, says in (
        (text.replace("property: sector,", "property: sektor,"), "does not say sector"),
        (text.replace("schema:", "schema: ["), "is not YAML on line"),
        ("", "is not an ODCS contract"),
    ):
        file.write_text(broken, encoding="utf-8")
        assert [contract.name for contract in all_contracts()] == [one for one in everybody if one != "zorgplus"]
        assert [(one.name, one.major) for one in unreadable_contracts()] == [("zorgplus", 1)]
        assert says in unreadable_contracts()[0].problem
        assert says in caplog.text
        with pytest.raises(ContractProblem, match=says):
            load_contract("zorgplus")
    assert load_contract("woonbedrijf").reference == "woonbedrijf-v1"


def test_an_older_version_does_not_stand_in_for_one_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(CONTRACTS_FOLDER / "outbound", tmp_path / "outbound")
    (tmp_path / "outbound" / "certin_call_list-v2.odcs.yaml").write_text("schema: [", encoding="utf-8")
    monkeypatch.setenv("VS_CONTRACTS", str(tmp_path))
    with pytest.raises(ContractProblem, match="certin_call_list-v2"):
        load_contract("certin_call_list")
    assert load_contract("certin_call_list-v1").major == 1


def test_reading_contracts_imports_nothing_heavy() -> None:
    code = (
        "import sys; from include.contracts.registry import all_contracts; assert len(all_contracts()) >= 4; "
        "print(','.join(sorted({'pandas', 'numpy', 'great_expectations', 'dbt', 'datacontract'} & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
