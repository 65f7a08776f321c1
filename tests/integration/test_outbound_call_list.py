"""The call list goes out exactly once per content, whatever happens on the way."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from include.months import Month
from include.outbound.approvals import NotApproved, record_approval
from include.outbound.certin_call_list import deliver_call_list
from include.settings import PROJECT_ROOT, Role
from include.warehouse.connection import connect
from tests.chaos.faults import KILLED
from tests.integration.dying_delivery import POINTS
from tests.integration.outbound_tables import call_row, create_outbound_tables, fill

_numbers = itertools.count()

CONTRACTED = (
    "call_record_id;case_id;phone_1;phone_2;initials;name_prefix;surname;house_number;sectors;call_from;call_until;"
    "max_attempts;script_version"
)


@pytest.fixture(scope="module")
def outbox(warehouse: Path) -> Path:
    create_outbound_tables()
    return warehouse / "outbox" / "certin"


@pytest.fixture
def month(outbox: Path) -> Month:
    """A month of its own for every test, approved."""
    month = Month(2001, 1).plus(next(_numbers))
    approve(month)
    return month


def approve(month: Month, decision: str = "approved", run_id: str = "test", hour: int = 9) -> None:
    record_approval(month, "call_list", run_id, decision, "coordinator", datetime(2024, 6, 9, hour, tzinfo=UTC))


def on_the_list(month: Month, *numbers: int) -> None:
    fill("out_certin_call_list", str(month), [call_row(_key(month, number)) for number in numbers])


def _key(month: Month, number: int) -> int:
    # records of different months differ
    return int(month.compact) * 1000 + number


def files(outbox: Path, month: Month) -> list[Path]:
    return sorted(outbox.glob(f"certin_call_list_{month.compact}_*.csv"))


def rows_of(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8")), delimiter=";"))


def manifest_of(file: Path) -> dict[str, object]:
    return json.loads(file.with_suffix("").with_suffix(".manifest.json").read_text(encoding="utf-8"))


def handed_over(month: Month) -> list[tuple[str, int, int | None]]:
    with connect(Role.EXPORTER) as connection:
        return connection.execute(
            "select call_record_id, sequence, withdrawn_in_sequence from ops.call_records "
            "where signal_month = %s order by 1",
            (str(month),),
        ).fetchall()


def ledger_states(month: Month) -> list[str]:
    with connect(Role.EXPORTER) as connection:
        rows = connection.execute(
            "select state from ops.exchange_ledger "
            "where contract = 'certin_call_list' and signal_month = %s order by sequence",
            (str(month),),
        )
        return [state for (state,) in rows]


def test_the_first_file_holds_the_whole_list_and_only_contracted_columns(month: Month, outbox: Path) -> None:
    on_the_list(month, 1, 2, 3)
    summary = deliver_call_list(month)
    (file,) = files(outbox, month)
    assert summary.rows == 3
    assert summary.file == f"outbox/certin/{file.name}"
    assert file.read_text(encoding="utf-8").splitlines()[0] == CONTRACTED
    assert "never goes out" not in file.read_text(encoding="utf-8")
    assert [row["house_number"] for row in rows_of(file)] == [str(_key(month, number)) for number in (1, 2, 3)]
    assert rows_of(file)[0]["phone_1"].startswith("+316")
    assert rows_of(file)[0]["call_from"] == "2024-06-10"


def test_the_manifest_says_what_the_file_is(month: Month, outbox: Path) -> None:
    on_the_list(month, 1, 2)
    deliver_call_list(month)
    (file,) = files(outbox, month)
    manifest = manifest_of(file)
    assert manifest["contract"] == "certin_call_list"
    assert manifest["month"] == str(month)
    assert (manifest["sequence"], manifest["rows"], manifest["withdrawn"], manifest["supersedes"]) == (1, 2, [], None)
    assert manifest["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert datetime.fromisoformat(str(manifest["created_at"])).tzinfo is not None
    assert manifest["version"]


def test_the_same_content_again_is_nothing_new(month: Month, outbox: Path) -> None:
    on_the_list(month, 1, 2)
    deliver_call_list(month)
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in outbox.iterdir()}
    again = deliver_call_list(month)
    assert (again.sequence, again.rows) == (None, 0)
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in outbox.iterdir()} == before


def test_a_later_file_holds_only_what_is_new_and_names_what_is_withdrawn(month: Month, outbox: Path) -> None:
    on_the_list(month, 1, 2, 3)
    deliver_call_list(month)
    on_the_list(month, 2, 3, 4)
    summary = deliver_call_list(month)
    first, second = files(outbox, month)
    assert (summary.sequence, summary.rows) == (2, 1)
    assert [row["call_record_id"] for row in rows_of(second)] == [f"call_{_key(month, 4):020d}"]
    manifest = manifest_of(second)
    assert manifest["withdrawn"] == [f"call_{_key(month, 1):020d}"]
    assert manifest["supersedes"] == first.name


def test_only_withdrawals_make_a_file_without_rows(month: Month, outbox: Path) -> None:
    on_the_list(month, 1, 2)
    deliver_call_list(month)
    on_the_list(month, 2)
    deliver_call_list(month)
    second = files(outbox, month)[1]
    assert rows_of(second) == []
    assert second.read_text(encoding="utf-8").strip() == CONTRACTED
    assert manifest_of(second)["withdrawn"] == [f"call_{_key(month, 1):020d}"]


def test_a_withdrawn_record_never_goes_out_again(month: Month, outbox: Path) -> None:
    for numbers in ((1, 2), (2,), (1, 2)):
        on_the_list(month, *numbers)
        deliver_call_list(month)
    assert len(files(outbox, month)) == 2
    assert handed_over(month) == [(f"call_{_key(month, 1):020d}", 1, 2), (f"call_{_key(month, 2):020d}", 1, None)]


def test_who_objects_between_approval_and_delivery_is_left_off_and_withdrawn(month: Month, outbox: Path) -> None:
    on_the_list(month, 1, 2, 3)
    deliver_call_list(month)
    on_the_list(month, 1, 2, 3, 4, 5)
    with connect(Role.TRANSFORMER) as connection:
        for number in (2, 4):
            connection.execute(
                "insert into intermediate.int_calls__suppressed values (%s, %s)",
                (str(month), f"call_{_key(month, number):020d}"),
            )
    deliver_call_list(month)
    second = files(outbox, month)[1]
    assert [row["call_record_id"] for row in rows_of(second)] == [f"call_{_key(month, 5):020d}"]
    assert manifest_of(second)["withdrawn"] == [f"call_{_key(month, 2):020d}"]
    assert deliver_call_list(month).sequence is None


def test_a_record_that_was_called_is_done_and_not_withdrawn(month: Month, outbox: Path) -> None:
    on_the_list(month, 1, 2)
    deliver_call_list(month)
    with connect(Role.LOADER) as connection:
        connection.execute(
            "insert into landing.ris_outcomes (outcome_id, updated_at, call_record_id, case_id, result_code, result_at,"
            " script_version, source) select 'outcome', now(), call_record_id, case_id, 'no_answer', now(), 'script-1',"
            " 'api' from ops.call_records where call_record_id = %s",
            (f"call_{_key(month, 1):020d}",),
        )
    on_the_list(month)
    deliver_call_list(month)
    assert manifest_of(files(outbox, month)[1])["withdrawn"] == [f"call_{_key(month, 2):020d}"]


def test_an_empty_list_is_no_file(month: Month, outbox: Path) -> None:
    on_the_list(month)
    assert deliver_call_list(month).sequence is None
    assert files(outbox, month) == []


def test_without_approval_nothing_leaves(outbox: Path) -> None:
    month = Month(2099, 1)
    on_the_list(month, 1)
    with pytest.raises(NotApproved, match="nobody has decided"):
        deliver_call_list(month)
    approve(month, "approved", "first", 9)
    approve(month, "rejected", "second", 10)
    with pytest.raises(NotApproved, match="the last decision was no"):
        deliver_call_list(month)
    assert files(outbox, month) == []
    assert handed_over(month) == []


def test_a_closed_month_gets_no_more_lists(month: Month, outbox: Path) -> None:
    with connect(Role.EXPORTER) as connection:
        connection.execute(
            "insert into ops.closure_ledger values (%s, 1, 'batch', 'coordinator', 0, 0, 0, 0, 0, 'hash', now())",
            (str(month),),
        )
    on_the_list(month, 1)
    assert deliver_call_list(month).sequence is None
    assert files(outbox, month) == []


@pytest.mark.parametrize("point", [point for point in POINTS if point != "never"])
def test_killed_at_any_point_nothing_is_lost_or_repeated(outbox: Path, point: str) -> None:
    month = Month(2050, 1).plus(POINTS.index(point))
    approve(month)
    on_the_list(month, 1, 2, 3)
    deliver_call_list(month)
    on_the_list(month, 2, 3, 4, 5)
    assert run_in_process(month, point) == KILLED
    # what the recipient sees is never half: a manifest is there only when its file is there and is what it says
    for file in files(outbox, month):
        if file.with_suffix("").with_suffix(".manifest.json").exists():
            assert manifest_of(file)["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    # and the world moved on before the rerun
    on_the_list(month, 3, 4, 5, 6)
    deliver_call_list(month)
    delivered = [row["call_record_id"] for file in files(outbox, month) for row in rows_of(file)]
    assert sorted(delivered) == [f"call_{_key(month, number):020d}" for number in (1, 2, 3, 4, 5, 6)]
    assert sorted(delivered) == [call_record_id for call_record_id, _, _ in handed_over(month)]
    withdrawn = [one for file in files(outbox, month) for one in manifest_of(file)["withdrawn"]]
    assert sorted(withdrawn) == [f"call_{_key(month, number):020d}" for number in (1, 2)]
    assert set(ledger_states(month)) == {"delivered"}
    assert not list(outbox.glob("*.part"))
    assert deliver_call_list(month).sequence is None


def test_a_prepared_file_whose_bytes_are_gone_is_made_again(outbox: Path) -> None:
    month = Month(2060, 1)
    approve(month)
    on_the_list(month, 1, 2)
    assert run_in_process(month, "after_commit") == KILLED
    for ready in outbox.glob("*.part"):
        ready.unlink()
    assert deliver_call_list(month).completed_earlier == 1
    (file,) = files(outbox, month)
    assert manifest_of(file)["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert len(rows_of(file)) == 2


def test_two_runs_at_once_deliver_once(outbox: Path) -> None:
    month = Month(2061, 1)
    approve(month)
    on_the_list(month, *range(1, 40))
    processes = [start_in_process(month, "never") for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    (file,) = files(outbox, month)
    assert len(rows_of(file)) == 39
    assert ledger_states(month) == ["delivered"]


def test_a_name_cannot_become_a_formula(month: Month, outbox: Path) -> None:
    fill(
        "out_certin_call_list", str(month),
        [call_row(_key(month, 1), surname='=HYPERLINK("http://example.nl")', name_prefix="@van", initials="-A.")],
    )  # fmt: skip
    deliver_call_list(month)
    (row,) = rows_of(files(outbox, month)[0])
    assert row["surname"].startswith("'=")
    assert row["name_prefix"].startswith("'@")
    assert row["initials"].startswith("'-")
    assert row["phone_1"].startswith("+31")


def test_what_was_handed_over_cannot_be_forgotten(month: Month, outbox: Path) -> None:
    on_the_list(month, 1)
    deliver_call_list(month)
    with connect(Role.EXPORTER) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("delete from ops.call_records")


def start_in_process(month: Month, point: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.integration.dying_delivery", str(month), point], cwd=PROJECT_ROOT
    )


def run_in_process(month: Month, point: str) -> int:
    return start_in_process(month, point).wait(60)
