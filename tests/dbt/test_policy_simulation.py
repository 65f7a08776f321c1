"""Other rules are tried out by the same models, change nothing, and count what an independent count gives."""

from __future__ import annotations

import csv
import io
import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from include.local import policy_command
from include.months import Month
from include.settings import DBT_PROJECT_FOLDER, PROJECT_ROOT, Role
from include.warehouse import policy_simulation
from include.warehouse.connection import connect
from include.warehouse.dbt import build_stage, run_elsewhere
from include.warehouse.policy_simulation import (
    MODELS,
    SELECTOR,
    TARGET,
    NothingToSimulate,
    Simulation,
    simulate,
    totals,
)
from include.warehouse.rule_changes import KEYS, RuleChanges, RuleFileWrong, read_rule_file
from tests.dbt.landed import Signal, answer, deliver_call_list, everything_built, land, rows

APRIL, MAY, JUNE = (Month(2024, number) for number in (4, 5, 6))
MONTHS = [APRIL, MAY, JUNE]
POLICIES = PROJECT_ROOT / "docs" / "how-to" / "policies"
PLAIN = ("60.00", "74.99", "75.00", "120.00", "1999.00", "2000.01")


def person(number: int, amount: str, **other: object) -> Signal:
    changes = {"birth_on": date(1960, 1, 1 + number % 28), "house_number": number, "phone": f"+316111{number:05d}"}
    return Signal(f"customer-{number}", f"Bewoner{'abcdefghijklmnopqrstuvwxyz'[number % 26]}", amount=amount).again(
        **changes | other  # type: ignore[arg-type]
    )


def everybody(month: Month) -> list[Signal]:
    """Every month the same people; in each month other amounts rise, so that repeats come and go."""
    rise = Decimal(MONTHS.index(month))
    plain = [
        person(number, str(Decimal(amount) + (rise if number % 3 else 0)))
        for number, amount in enumerate(PLAIN, start=1)
    ]
    return [
        *plain,
        # two signals of one case: over the threshold together, neither alone
        person(20, str(Decimal("1500.00") + rise)),
        person(20, str(Decimal("1200.00") + rise), partner="zorgplus"),
        person(21, "300.00", phone=None),
        person(22, str(Decimal("200.00") + rise)),
        person(23, "40.00", is_crisis=True),
    ]


@pytest.fixture(scope="module")
def built(warehouse: Path) -> Path:
    """Three months as they happened; number 22 refused help in April."""
    build_stage("foundation")
    for month in MONTHS:
        land(month, everybody(month))
        for stage in ("matched", "enriched", "categorised"):
            build_stage(stage, month)
        deliver_call_list(month)
        if month == APRIL:
            [(call_record_id, case_id)] = rows(
                "select call_record_id, case_id from intermediate.int_signals__matched"
                " where partner_reference = 'customer-22' and signal_month = %s",
                str(month),
            )
            answer(call_record_id, case_id, "refuses_contact", month)
    return warehouse


def changes_of(tmp_path: Path, changes: object) -> RuleChanges:
    path = tmp_path / "policy.yml"
    path.write_text(yaml.safe_dump({"name": "proef", "changes": changes}), encoding="utf-8")
    return read_rule_file(path)


def of(found: Simulation, month: Month, route: str) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    [one] = [one for one in found.counts if (one.signal_month, one.route) == (str(month), route)]
    return (one.signals, one.cases, one.calls), (one.simulated_signals, one.simulated_cases, one.simulated_calls)


def test_the_same_rules_give_the_same_rows_of_every_model(built: Path) -> None:
    names = {"int_signals__matched", "int_cases", "int_case_persons", "int_phones", "int_call_numbers", "int_routes"}
    compared: list[str] = []

    def compare(month: Month) -> None:
        for name in sorted(names):
            columns = "to_jsonb(t)"
            [(was, would_be, different)] = rows(
                f"with was as (select {columns} as row from intermediate.{name} as t where signal_month = %(month)s),"
                f" would_be as (select {columns} as row from {MODELS}.{name} as t where signal_month = %(month)s)"
                " select (select count(*) from was), (select count(*) from would_be),"
                " (select count(*) from (select row from was except select row from would_be) as lost)".replace(
                    "%(month)s", f"'{month}'"
                )
            )
            assert (was, different) == (would_be, 0), (name, month)
            compared.append(f"{name} {was}")

    with connect(Role.TRANSFORMER, autocommit=True) as connection:
        try:
            policy_simulation._prepare(connection, RuleChanges("none", {}), MAY)
            run_elsewhere(TARGET, SELECTOR, [MAY, JUNE], compare)
        finally:
            policy_simulation.drop_simulation(connection)
    assert len(compared) == 12
    assert not [one for one in compared if one.endswith(" 0")]


def test_a_minimum_is_counted_per_signal(built: Path) -> None:
    found = simulate(read_rule_file(POLICIES / "minimum-75-euro.yml"), [APRIL])
    (signals, cases, calls), (would_signals, would_cases, would_calls) = of(found, APRIL, "call")
    fewer = sum(Decimal(amount) < 75 for amount in PLAIN)
    assert fewer == 2
    assert (would_signals, would_cases, would_calls) == (signals - fewer, cases - fewer, calls - fewer)
    # the crisis signal of 40 euros falls away as well
    assert of(found, APRIL, "direct_crisis") == ((1, 1, 0), (0, 0, 0))
    was, would_be = of(found, APRIL, "all")
    assert was[0] == would_be[0] == len(everybody(APRIL))
    assert would_be[1] == was[1] - fewer - 1


def test_what_is_no_longer_picked_up_is_no_repeat_later(built: Path, tmp_path: Path) -> None:
    """Numbers 3 and 6 repeat in May and June, whatever the minimum was: the earlier report stays a report."""
    found = simulate(changes_of(tmp_path, {"minimum_amounts": [{"sector": "Huur", "minimum_eur": 75}]}), MONTHS)
    assert [of(found, month, "all")[0][0] for month in MONTHS] == [len(everybody(month)) for month in MONTHS]
    # 21 has no number and the same amount: a letter in April, a repeat after that
    assert [of(found, month, "letter")[1] for month in MONTHS] == [(1, 1, 0), (0, 0, 0), (0, 0, 0)]
    assert found.never_looked_up == 0, "21 got the letter, looked up or not"
    assert [one.simulated_calls for one in totals(found) if one.route == "all"] == [
        sum(of(found, month, "call")[1][2] for month in MONTHS)
    ]


def test_who_was_never_looked_up_is_counted(built: Path, tmp_path: Path) -> None:
    """Number 21 has no number; in May the signal is a repeat, which it is not when nobody looks back."""
    found = simulate(changes_of(tmp_path, {"repeat_rules": [{"lookback_months": 0}]}), [MAY])
    assert of(found, MAY, "letter") == ((0, 0, 0), (1, 1, 0))
    assert found.never_looked_up == 1


def test_level_and_recurrence_from_a_day_on(built: Path, tmp_path: Path) -> None:
    from_may = {"valid_from": "2024-05-01"}
    changes = [
        {"rule_id": "direct_over_threshold", "level": "signal"} | from_may,
        {"rule_id": "direct_recurring", "is_enabled": False} | from_may,
    ]
    found = simulate(changes_of(tmp_path, {"route_rules": changes}), MONTHS)
    # April keeps its own rules
    assert all(of(found, APRIL, route)[0] == of(found, APRIL, route)[1] for route in ("call", "direct_over_threshold"))
    assert [of(found, month, "direct_over_threshold")[0][1] for month in MONTHS] == [2, 1, 2]
    assert [of(found, month, "direct_over_threshold")[1][1] for month in MONTHS] == [2, 0, 1]
    assert [of(found, month, "direct_recurring")[0][1] for month in MONTHS] == [0, 1, 1]
    assert [of(found, month, "direct_recurring")[1][1] for month in MONTHS] == [0, 0, 0]
    calls = [of(found, month, "call") for month in MONTHS]
    assert [would_be[2] - was[2] for was, would_be in calls] == [0, 2, 2]


@pytest.mark.parametrize(
    ("files", "month", "differences"),
    [
        # the crisis signal of 40 euros; 60.00 and 74.99 stay
        (["minimum-50-euro"], APRIL, {"direct_crisis": -1, "call": 0, "all": -1}),
        (["threshold-per-signal"], MAY, {"call": +1, "direct_over_threshold": -1, "all": 0}),
        (["recurring-off"], MAY, {"call": +1, "direct_recurring": -1, "all": 0}),
        # the rules as they are: written out, they change nothing (nobody was not reached in April)
        (["threshold-per-case", "recurring-on"], MAY, {"call": 0, "direct_over_threshold": 0, "direct_recurring": 0}),
    ],
)
def test_the_example_policies(built: Path, files: list[str], month: Month, differences: dict[str, int]) -> None:
    policies = [read_rule_file(POLICIES / f"{file}.yml") for file in files]
    seeds = policies[0].by_seed
    together = {seed: [change for policy in policies for change in policy.by_seed[seed]] for seed in seeds}
    found = simulate(RuleChanges("examples", together), [month])
    counted = {route: of(found, month, route) for route in differences}
    assert any(was[1] for was, _ in counted.values())
    assert {route: would_be[1] - was[1] for route, (was, would_be) in counted.items()} == differences


def test_every_example_policy_is_tried() -> None:
    tried = {"minimum-50-euro", "minimum-75-euro", "threshold-per-signal", "threshold-per-case"}
    assert {file.stem for file in POLICIES.iterdir()} == tried | {"recurring-off", "recurring-on"}


def test_nothing_of_the_months_is_written_and_nothing_stays(built: Path, tmp_path: Path) -> None:
    before = {str(month): everything_built(month) for month in MONTHS}
    told = rows("select count(*) from ops.dbt_results")
    simulate(changes_of(tmp_path, {"route_rules": [{"rule_id": "call", "is_enabled": False}]}), MONTHS)
    with pytest.raises(RuleFileWrong, match="does not fit its column"):
        simulate(changes_of(tmp_path, {"minimum_amounts": [{"minimum_eur": "veel"}]}), MONTHS)
    assert {str(month): everything_built(month) for month in MONTHS} == before
    assert rows("select count(*) from ops.dbt_results") == told
    assert rows("select nspname from pg_namespace where starts_with(nspname, 'simulation')") == []


def test_a_month_that_was_not_built_is_named(built: Path) -> None:
    with pytest.raises(NothingToSimulate, match=r"2024-07 has no routes.*2024-04, 2024-05, 2024-06"):
        simulate(RuleChanges("none", {}), [JUNE, Month(2024, 7)])


def test_the_command_shows_a_table_and_writes_csv_and_json(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_command, "running_instance", lambda: None)
    file = str(POLICIES / "minimum-75-euro.yml")
    shown = CliRunner().invoke(policy_command.app, ["simulate", "--rule-file", file, "--months", "2024-04..2024-05"])
    assert shown.exit_code == 0, shown.output
    assert "2 months: what happened" in shown.output
    answers = {
        form: CliRunner().invoke(
            policy_command.app, ["simulate", "--rule-file", file, "--months", "2024-04", "--format", form]
        )
        for form in ("csv", "json")
    }
    told = json.loads(answers["json"].output)
    assert told["name"] == "Ondergrens 75 euro"
    lines = list(csv.DictReader(io.StringIO(answers["csv"].output)))
    assert [{name: str(value) for name, value in one.items()} for one in told["counts"]] == lines
    assert {line["route"] for line in lines} >= {"call", "letter", "visit", "not_picked_up", "all"}


# ---------------------------------------------------------------------------------------------- the rule file
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"match_rules": [{"threshold": 1}]}, "match_rules cannot be changed"),
        ({"route_rules": [{"rule_id": "fax", "is_enabled": False}]}, "it has call, direct_crisis"),
        ({"route_rules": [{"rule_id": "call", "colour": "red"}]}, "has no column colour"),
        ({"route_rules": [{"rule_id": "call"}]}, "changes nothing"),
        ({"route_rules": [{"rule_id": "call", "is_enabled": False, "valid_from": "mei"}]}, "no day"),
        ({"route_rules": {"rule_id": "call"}}, "a list of changed rows"),
        ({"route_rules": ["call"]}, "is a row such as"),
    ],
)
def test_a_wrong_rule_file_says_what_is_wrong(built: Path, tmp_path: Path, changes: object, says: str) -> None:
    with pytest.raises(RuleFileWrong, match=says):
        simulate(changes_of(tmp_path, changes), [APRIL])


def test_a_csv_in_the_shape_of_the_seed_is_a_rule_file(tmp_path: Path) -> None:
    path = tmp_path / "minimum_amounts.csv"
    path.write_text("sector,minimum_eur,valid_from,valid_to,citation\nHuur,50,2024-05-01,,proef\n", encoding="utf-8")
    [change] = read_rule_file(path).by_seed["minimum_amounts"]
    assert (change.key, change.values, change.valid_from) == (
        {"sector": "Huur"},
        {"minimum_eur": "50"},
        date(2024, 5, 1),
    )


def test_a_change_cuts_the_rules_it_concerns_at_its_days(tmp_path: Path) -> None:
    from include.warehouse.rule_changes import changed_rows

    rule = {"sector": "Huur", "minimum_eur": 0, "valid_from": date(2021, 1, 1), "valid_to": None}
    earlier = rule | {"valid_from": date(2019, 1, 1), "valid_to": date(2020, 12, 31)}
    changes = changes_of(
        tmp_path,
        {
            "minimum_amounts": [
                {"sector": "Huur", "minimum_eur": 50, "valid_from": "2024-05-01", "valid_to": "2024-05-31"}
            ]
        },
    )
    got = changed_rows("minimum_amounts", [earlier, rule], changes.by_seed["minimum_amounts"])
    assert sorted((row["valid_from"], row["valid_to"], row["minimum_eur"]) for row in got) == [
        (date(2019, 1, 1), date(2020, 12, 31), 0),
        (date(2021, 1, 1), date(2024, 4, 30), 0),
        (date(2024, 5, 1), date(2024, 5, 31), 50),
        (date(2024, 6, 1), None, 0),
    ]


def test_what_may_be_changed_is_what_is_simulated(built: Path) -> None:
    """Every rule a file may name is simulated, and everything that follows from one up to the routes is."""
    from dbt.cli.main import dbtRunner

    folder = str(DBT_PROJECT_FOLDER)
    manifest = (
        dbtRunner().invoke(["parse", "--project-dir", folder, "--profiles-dir", folder, "--log-level", "none"]).result
    )
    simulated = {name for name, node in manifest.nodes.items() if node.config.meta.get("simulated")}
    seeds = {name.split(".")[-1] for name in simulated if name.startswith("seed.")}
    assert seeds == set(KEYS)
    models = {name for name in simulated if name.startswith("model.")}
    leads_to_routes = {"model.vroegsignalering.int_routes"}
    parents = {name: set(getattr(node.depends_on, "nodes", ())) for name, node in manifest.nodes.items()}
    while more := set().union(*(parents[name] & parents.keys() for name in leads_to_routes)) - leads_to_routes:
        leads_to_routes |= more
    follows = set(simulated)
    while more := {name for name in leads_to_routes - follows if parents[name] & follows}:
        follows |= more
    assert follows - simulated == set(), "a model between the rules and the routes is read as it was"
    assert models <= leads_to_routes
