"""`build_stage` keeps what ran, says what failed in words a person can act on, and leaves row values out."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from include.months import Month
from include.settings import Role
from include.warehouse.connection import connect
from include.warehouse.dbt import (
    DbtStageFailed,
    MonthIsClosed,
    StageSummary,
    build_stage,
    record_results,
    without_row_values,
)
from tests.dbt.landed import Signal, land, rows

MAY, JUNE, AUGUST = Month(2024, 5), Month(2024, 6), Month(2024, 8)


@pytest.fixture(scope="module")
def foundation(warehouse: Path) -> StageSummary:
    return build_stage("foundation")


def test_an_invocation_leaves_no_flags_behind(foundation: StageSummary) -> None:
    # what one invocation adds would make every later one of this process slower
    from dbt.adapters.base.impl import DEFAULT_BASE_BEHAVIOR_FLAGS
    from dbt_common.behavior_flags import BehaviorFlagRendered

    flags, source = list(DEFAULT_BASE_BEHAVIOR_FLAGS), BehaviorFlagRendered._default_source
    assert flags
    build_stage("foundation")
    assert flags == DEFAULT_BASE_BEHAVIOR_FLAGS
    assert BehaviorFlagRendered._default_source is source


def test_every_model_has_its_result(foundation: StageSummary) -> None:
    land(MAY, [Signal("s1", "Jansen"), Signal("s2", "Bakker", house_number=2)])
    summary = build_stage("matched", MAY, run_id="run-7")
    kept = rows(
        "select unique_id, status, rows_affected, execution_seconds from ops.dbt_results"
        " where stage = 'matched' and signal_month = '2024-05' and run_id = 'run-7'"
    )
    assert summary.models >= 10
    assert len(kept) == summary.models + summary.tests
    results = {name: (status, affected) for name, status, affected, _ in kept}
    assert results["model.vroegsignalering.int_signals__matched"] == ("success", 2)
    assert all(seconds >= 0 for *_, seconds in kept)


def test_a_failing_model_is_named_without_its_rows(foundation: StageSummary) -> None:
    # a case person without a surname breaks the list's key: the message must not show the row
    land(JUNE, [Signal("s3", "Geheimenaam", phone="+31612345678")])
    build_stage("matched", JUNE)
    build_stage("enriched", JUNE)
    with connect(Role.TRANSFORMER) as connection:
        connection.execute("update intermediate.int_case_persons set surname = null where signal_month = '2024-06'")
    with pytest.raises(DbtStageFailed) as failure:
        build_stage("categorised", JUNE)
    message = str(failure.value)
    assert "stage categorised of 2024-06" in message
    assert "out_certin_call_list (error)" in message
    assert "ops.dbt_results" in message
    assert "run the stage again" in message
    stored = " ".join(text for (text,) in rows("select coalesce(message, '') from ops.dbt_results"))
    assert "violates not-null constraint" in stored
    for text in (message, stored):
        assert "612345678" not in text
        assert "DETAIL" not in text
    # mended, the stage runs again
    build_stage("matched", JUNE)
    build_stage("categorised", JUNE)
    assert rows("select count(*) from outbound.out_certin_call_list where signal_month = '2024-06'") == [(1,)]


def test_the_foundation_is_built_again_under_the_lists_that_read_it(foundation: StageSummary) -> None:
    # an upgrade in the middle of a month: staging views are made again while outbound views read them
    build_stage("matched", MAY)
    build_stage("enriched", MAY)
    build_stage("categorised", MAY)
    outbound = "select viewname from pg_views where schemaname = 'outbound' order by 1"
    before = rows(outbound)
    assert ("out_kwadraad_warm",) in before
    build_stage("foundation")
    assert rows(outbound) == before

    # a view whose columns are others is made anew, and the next stage brings back who read it
    with connect(Role.TRANSFORMER) as connection:
        connection.execute("drop view staging.stg_ris_followups cascade")
        connection.execute("create view staging.stg_ris_followups as select 1 as another_column")
    build_stage("foundation")
    assert rows("select count(*) from staging.stg_ris_followups") == [(0,)]


def test_a_table_of_months_gets_the_columns_its_model_got(foundation: StageSummary) -> None:
    # a table of an older version: without a column of today, with one the model has lost, and with another month
    build_stage("matched", MAY)
    keyed = "intermediate.int_signals__keyed"
    names = f"select signal_id, surname_key from {keyed} where signal_month = '2024-05' order by signal_id"
    before = rows(names)
    assert len(before) == 2
    with connect(Role.TRANSFORMER) as connection:
        connection.execute("alter table intermediate.int_signals__keyed drop column surname_key")
        connection.execute("alter table intermediate.int_signals__keyed add column of_old text default 'x'")
        connection.execute(
            "insert into intermediate.int_signals__keyed (signal_id, signal_month) values ('long ago', '2021-01')"
        )
    build_stage("matched", MAY)
    assert rows(names) == before
    assert rows("select surname_key, of_old from intermediate.int_signals__keyed where signal_month = '2021-01'") == [
        (None, "x")
    ]
    with connect(Role.TRANSFORMER) as connection:
        connection.execute("delete from intermediate.int_signals__keyed where signal_month = '2021-01'")
        connection.execute("alter table intermediate.int_signals__keyed drop column of_old")


def test_a_closed_month_is_not_rebuilt(foundation: StageSummary) -> None:
    with connect(Role.EXPORTER) as connection:
        connection.execute(
            "insert into ops.closure_ledger (signal_month, version, batch_id, approved_by, cases_opened, cases_closed,"
            " cases_open, cases_excluded, arrears_closed_eur, content_hash)"
            " values ('2024-01', 1, 'b', 'x', 0, 0, 0, 0, 0, 'h')"
        )
    with pytest.raises(MonthIsClosed, match="2024-01 is closed"):
        build_stage("matched", Month(2024, 1))


def test_a_stage_says_its_month(foundation: StageSummary) -> None:
    with pytest.raises(ValueError, match="say which"):
        build_stage("matched")
    with pytest.raises(ValueError, match="the stages are foundation, matched"):
        build_stage("matching", MAY)


def test_results_of_another_way_of_starting_dbt_are_kept(foundation: StageSummary) -> None:
    run_results = {
        "metadata": {"invocation_id": "elsewhere"},
        "results": [
            {"unique_id": "model.vroegsignalering.stg_signals", "status": "success", "execution_time": 0.5,
             "timing": [{"name": "compile", "completed_at": "2024-06-03T10:00:01Z"},
                        {"name": "execute", "completed_at": "2024-06-03T10:00:02Z"}],
             "adapter_response": {"rows_affected": -1}, "message": "CREATE VIEW"},
            {"unique_id": "model.vroegsignalering.stg_partners", "status": "skipped", "execution_time": 0.0,
             "timing": [], "adapter_response": {}, "message": None},
        ],
    }  # fmt: skip
    assert record_results(run_results, "foundation", None) == 2
    assert rows(
        "select unique_id, rows_affected, ended_at from ops.dbt_results"
        " where invocation_id = 'elsewhere' order by unique_id desc"
    ) == [
        ("model.vroegsignalering.stg_signals", None, datetime(2024, 6, 3, 10, 0, 2, tzinfo=UTC)),
        ("model.vroegsignalering.stg_partners", None, None),
    ]


def test_messages_lose_what_postgresql_quotes() -> None:
    duplicate = (
        'Database Error in model x (models/x.sql)\n  duplicate key value violates unique constraint "x_pkey"\n'
        "  DETAIL:  Key (phone)=(+31612345678) already exists.\n"
    )
    assert without_row_values(duplicate) == (
        'Database Error in model x (models/x.sql) duplicate key value violates unique constraint "x_pkey"'
    )
    assert without_row_values('invalid input syntax for type date: "31-31-1980"') == (
        'invalid input syntax for type date: "…"'
    )
    assert without_row_values(None) is None


def events(file: Path) -> dict[str, dict]:
    """What the file says, by job; each line must be an event OpenLineage's own client can say again."""
    from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
    from openlineage.client.serde import Serde

    found = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        again = RunEvent(
            eventType=RunState[event["eventType"]], eventTime=event["eventTime"], producer=event["producer"],
            run=Run(event["run"]["runId"]), job=Job(**event["job"]),
            inputs=[InputDataset(**one) for one in event["inputs"]],
            outputs=[OutputDataset(one["namespace"], one["name"]) for one in event["outputs"]],
        )  # fmt: skip
        said = json.loads(Serde.to_json(again))
        assert [one["name"] for one in said["inputs"]] == [one["name"] for one in event["inputs"]]
        found[event["job"]["name"]] = event
    return found


def test_a_stage_says_what_was_made_of_what(
    foundation: StageSummary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "logs" / "lineage.jsonl"
    monkeypatch.setenv("VS_LINEAGE_FILE", str(file))
    land(AUGUST, [Signal("s8", "Geheimenaam"), Signal("s9", "Bakker", house_number=2)])
    summary = build_stage("matched", AUGUST, run_id="run-8")
    made = events(file)
    assert len(made) == summary.models
    matched = made["model.int_signals__matched"]
    (output,) = matched["outputs"]
    assert output["name"].endswith(".intermediate.int_signals__matched")
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == 2
    assert matched["run"]["facets"]["parent"]["job"]["name"] == "matched.2024-08"
    read = {one["name"].split(".", 1)[1] for event in made.values() for one in event["inputs"]}
    assert {"staging.stg_signals", "staging.eligibility_rules"} <= read
    assert len({event["run"]["runId"] for event in made.values()}) == len(made)
    assert "Geheimenaam" not in file.read_text(encoding="utf-8")
    before = file.stat().st_size
    monkeypatch.setenv("VS_LINEAGE", "off")
    build_stage("matched", AUGUST)
    assert file.stat().st_size == before
