"""What was released is kept: a breaking change without a new major fails, the others get their version."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from include.contracts.registry import ContractProblem, load_contract
from include.contracts.releases import as_text, document_in, release, released_path, unsettled
from include.settings import CONTRACTS_FOLDER
from tests.contracts.test_contract_command import vs

WATER = "drinkwater_zh-v1"


@pytest.fixture(scope="module")
def all_released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the contracts, all released for the first time."""
    folder = tmp_path_factory.mktemp("released") / "contracts"
    shutil.copytree(CONTRACTS_FOLDER, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__", "released"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VS_CONTRACTS", str(folder))
        release()
    return folder


@pytest.fixture
def contracts(all_released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "contracts"
    shutil.copytree(all_released, folder)
    monkeypatch.setenv("VS_CONTRACTS", str(folder))
    return folder


def test_our_contracts_are_what_was_released() -> None:
    """A breaking change needs a new major beside the old one; any other is released with `vs contract release`."""
    assert list(map(str, unsettled())) == []
    assert len(list((CONTRACTS_FOLDER / "released").glob("*.json"))) > 30


def water(contracts: Path) -> Path:
    return contracts / "inbound" / f"{WATER}.odcs.yaml"


def edit(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    path.write_text(text, encoding="utf-8")


def baseline(contracts: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in (contracts / "released").glob("*.json")}


def test_what_is_released_is_the_content_of_the_file_and_can_be_read(contracts: Path) -> None:
    files = list(contracts.glob("*/*.odcs.yaml"))
    assert len(baseline(contracts)) == len(files) > 15
    for path in files:
        text = released_path(path.name.removesuffix(".odcs.yaml")).read_text(encoding="utf-8")
        assert json.loads(text) == document_in(path)
        assert 'name": "' in max(text.splitlines(), key=len) or len(text.splitlines()) > 20
    assert unsettled() == []
    assert release() == []


@pytest.mark.parametrize(
    ("change", "version", "level"),
    [
        (("description: Number of the connection.", "description: The connection."), "1.0.1", "documentation"),
        (("quarantineThreshold, value: 0.1", "quarantineThreshold, value: 0.2"), "1.1.0", "compatible"),
        (("value: 8\n", "value: 9\n"), "1.1.0", "compatible"),
    ],
)
def test_a_change_that_asks_nothing_of_the_sender_is_released_under_its_version(
    change: tuple[str, str], version: str, level: str, contracts: Path
) -> None:
    edit(water(contracts), change)
    (waiting,) = unsettled()
    assert (waiting.reference, waiting.level.word, waiting.next_version) == (WATER, level, version)
    assert [done.reference for done in release()] == [WATER]
    assert load_contract("drinkwater_zh").version == version
    assert unsettled() == []


def test_versions_go_on_from_the_last_release_and_a_higher_one_in_the_file_is_kept(contracts: Path) -> None:
    edit(water(contracts), ("value: 8\n", "value: 9\n"))
    release()
    edit(water(contracts), ("Telephone number.", "Telephone."))
    assert [one.next_version for one in release()] == ["1.1.1"]
    edit(water(contracts), ("Telephone.", "Phone."), ("version: 1.1.1", "version: 1.4.0"))
    assert [one.next_version for one in release()] == ["1.4.0"]
    edit(water(contracts), ("value: 9\n", "value: 10\n"), ("version: 1.4.0", "version: 1.4.1"))
    assert [one.next_version for one in release()] == ["1.5.0"]


BREAKING: dict[str, tuple[str, Callable[[Path], None]]] = {
    "a label": ("a column is called differently", lambda p: edit(p, ("physicalName: Saldo", "physicalName: Bedrag"))),
    "the day": ("delivered earlier in the month", lambda p: edit(p, ("value: 8\n", "value: 5\n"))),
    "the kind of file": ("another kind of file", lambda p: edit(p, ("format, value: csv", "format, value: xlsx"))),
}


@pytest.mark.parametrize("what", BREAKING)
def test_a_breaking_change_is_refused_whole_and_shows_in_what_the_tests_compare(what: str, contracts: Path) -> None:
    says, change = BREAKING[what]
    change(water(contracts))
    edit(
        contracts / "inbound" / "zorgplus-v1.odcs.yaml",
        ("quarantineThreshold, value: 0.1", "quarantineThreshold, value: 0.2"),
    )
    before = baseline(contracts)
    told = {standing.reference: str(standing) for standing in unsettled()}
    assert says in told[WATER]
    assert "write drinkwater_zh-v2 beside it" in told[WATER]
    with pytest.raises(ContractProblem, match=says):
        release()
    assert baseline(contracts) == before
    assert load_contract("zorgplus").version == "1.0.0"
    assert [one.reference for one in release(["zorgplus-v1"])] == ["zorgplus-v1"]


def test_a_new_major_beside_the_old_one_is_released(contracts: Path) -> None:
    second = contracts / "inbound" / "drinkwater_zh-v2.odcs.yaml"
    shutil.copy(water(contracts), second)
    edit(second, ("id: drinkwater_zh-v1", "id: drinkwater_zh-v2"), ("version: 1.0.0", "version: 2.0.0"),
         ("physicalName: Saldo", "physicalName: Bedrag"))  # fmt: skip
    assert [str(one) for one in unsettled()] == [
        "drinkwater_zh-v2: not released yet; run `vs contract release drinkwater_zh-v2`"
    ]
    release()
    assert unsettled() == []


def test_a_released_contract_does_not_disappear_and_a_draft_is_no_promise(contracts: Path) -> None:
    draft = contracts / "inbound" / "drinkwater_zh-v2.odcs.yaml"
    shutil.copy(water(contracts), draft)
    edit(draft, ("id: drinkwater_zh-v1", "id: drinkwater_zh-v2"), ("version: 1.0.0", "version: 2.0.0"),
         ("status: active", "status: draft"))  # fmt: skip
    assert unsettled() == []
    water(contracts).unlink()
    assert [one.reference for one in unsettled() if one.is_breaking] == [WATER]
    with pytest.raises(ContractProblem, match="its file is gone"):
        release()


def test_a_contract_with_problems_is_not_released(contracts: Path) -> None:
    edit(water(contracts), ("description: Telephone number.", 'description: ""'))
    with pytest.raises(ContractProblem, match="vs contract check"):
        release()


def test_the_commands_say_it_with_their_exit_code(contracts: Path) -> None:
    settings = {"VS_CONTRACTS": str(contracts)}
    assert vs("release", "--check", **settings) == (0, "Every contract is as it was released.\n")
    assert vs("diff", "drinkwater_zh", **settings)[0] == 0
    edit(water(contracts), ("Telephone number.", "Telephone."))
    code, out = vs("release", "--check", **settings)
    assert (code, "drinkwater_zh-v1: documentation" in out) == (1, True)
    code, out = vs("diff", "drinkwater_zh", **settings)
    assert (code, "words for people" in out) == (0, True)
    code, out = vs("release", **settings)
    assert (code, "drinkwater_zh-v1: released 1.0.0 → 1.0.1 (documentation)" in out) == (0, True)
    edit(water(contracts), ("physicalName: Saldo", "physicalName: Bedrag"))
    code, out = vs("diff", "drinkwater_zh", **settings)
    assert (code, "Breaking" in out) == (1, True)
    code, out = vs("release", **settings)
    assert (code, "Nothing was released" in out) == (1, True)
    second = contracts / "inbound" / "drinkwater_zh-v2.odcs.yaml"
    shutil.copy(water(contracts), second)
    edit(second, ("version: 1.0.1", "version: 2.0.0"))
    code, out = vs("diff", water(contracts), second, **settings)
    assert (code, "say the same" in out) == (0, True)
    edit(second, ("physicalName: Bedrag", "physicalName: Saldo"))
    code, out = vs("diff", "drinkwater_zh-v1", second, **settings)
    assert (code, "another major" in out) == (0, True)


def test_what_fits_on_a_line_stands_on_a_line() -> None:
    value = {"name": "x", "columns": [{"name": f"c{n}", "words": "w" * 60} for n in range(3)], "empty": []}
    text = as_text(value)
    assert json.loads(text) == value
    assert '  {"name": "c0", "words": "' + "w" * 60 + '"},' in text.splitlines()
