"""What is made from the contracts is what is committed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from include.contracts.generated import drift, generated_files, write_generated
from include.settings import CONTRACTS_FOLDER, PROJECT_ROOT


def test_committed_files_are_what_the_contracts_say() -> None:
    assert len(generated_files()) >= 3
    differing = "\n".join(f"  {one}" for one in drift())
    assert not differing, (
        f"These files are made from the contracts and differ:\n{differing}\nChange the contract, never the file; then "
        "run: .venv/bin/vs contract generate"
    )


def test_generating_again_writes_the_same_files(tmp_path: Path) -> None:
    assert len(write_generated(tmp_path)) == len(generated_files())
    for path, text in generated_files().items():
        assert (tmp_path / path).read_text(encoding="utf-8") == text
        assert text.splitlines()[0].startswith(("# Generated", "<!-- Generated", "{"))
    assert write_generated(tmp_path) == []


def test_an_edited_file_and_a_changed_contract_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_generated(tmp_path)
    facts = "dbt_project/models/marts/facts/_facts__contracts.generated.yml"
    (tmp_path / facts).write_text("version: 2\n", encoding="utf-8")
    assert [one.path for one in drift(tmp_path)] == [facts]
    write_generated(tmp_path)

    contracts = tmp_path / "contracts"
    shutil.copytree(CONTRACTS_FOLDER, contracts, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    contract = contracts / "marts" / "fct_followups-v1.odcs.yaml"
    text = contract.read_text(encoding="utf-8")
    contract.write_text(text.replace("Days from start to end.", "Days it took."), encoding="utf-8")
    monkeypatch.setenv("VS_CONTRACTS", str(contracts))
    assert facts in [one.path for one in drift(tmp_path)]


def test_a_file_without_a_contract_is_deleted(tmp_path: Path) -> None:
    write_generated(tmp_path)
    orphan = tmp_path / "dbt_project" / "models" / "marts" / "facts" / "_gone__contracts.generated.yml"
    orphan.write_text("version: 2\n", encoding="utf-8")
    assert [str(one) for one in drift(tmp_path)] == [f"{orphan.relative_to(tmp_path)} has no contract any more"]
    write_generated(tmp_path)
    assert not orphan.exists()
    assert PROJECT_ROOT not in orphan.parents
