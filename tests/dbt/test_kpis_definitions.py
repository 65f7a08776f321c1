"""What the marts promise, without a warehouse: contracts on every public model, code lists that are DDAS' own, the
public holidays that the law has. Read from dbt's own parse of the project and from the seed files.
"""

from __future__ import annotations

import csv
import inspect
import json
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import holidays
import pytest

from include.contracts.registry import all_contracts
from include.contracts.relations import relations
from include.outbound.ddas import SCHEMA
from include.reporting import figures
from include.settings import DBT_PROJECT_FOLDER

#: what interfaces §10 names; further marts may stand beside these
AGREED = {
    "dim_partner", "dim_month", "dim_route", "dim_result", "fct_signals", "fct_cases", "fct_contact_attempts",
    "fct_outcomes", "fct_followups", "fct_month_end_closures", "kpi_monthly", "kpi_pilot_dashboard", "kpi_cost_monthly",
    "kpi_partner_quality_monthly", "kpi_calling_quality_monthly", "rpt_closure_accounting",
}  # fmt: skip
PUBLIC = {relation.name for relation in relations("marts")}
#: Column names under which a person, an address or a number would stand.
PERSONAL = {
    "initials", "name_prefix", "surname", "birth_on", "birth_date", "gender", "street", "postcode", "house_number",
    "house_letter", "house_number_addition", "city", "phone", "phone_1", "phone_2", "email", "bsn", "bsn_key",
    "partner_reference", "address_key", "situation_summary", "remark",
}  # fmt: skip


def seed(name: str) -> list[dict[str, str]]:
    with (DBT_PROJECT_FOLDER / "seeds" / f"{name}.csv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert rows, f"seed {name} is empty"
    return rows


def ddas_values(definition: str) -> set[str]:
    return set(json.loads(SCHEMA.read_text(encoding="utf-8"))["$defs"][definition]["enum"])


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """dbt's parse of the project; needs settings to name a warehouse, and none to be there."""
    from dbt.cli.main import dbtRunner

    target: Path = tmp_path_factory.mktemp("dbt")
    settings = {
        "VS_WAREHOUSE_HOST": "nowhere.example",
        "VS_WAREHOUSE_PORT": "5432",
        "VS_WAREHOUSE_DATABASE": "none",
        "VS_PASSWORD_TRANSFORMER": "none",
        "DBT_TARGET_PATH": str(target / "target"),
        "DBT_LOG_PATH": str(target / "logs"),
    }
    folder = str(DBT_PROJECT_FOLDER)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        quiet = ["--log-level", "none", "--log-level-file", "none", "--no-version-check"]
        answer = dbtRunner().invoke(["parse", "--project-dir", folder, "--profiles-dir", folder, *quiet])
        assert answer.success, answer.exception
        yield answer.result


def models(manifest: Any, schema: str) -> dict[str, Any]:
    return {
        node.name: node for node in manifest.nodes.values() if node.resource_type == "model" and node.schema == schema
    }


def test_the_agreed_marts_are_there_and_every_mart_has_a_contract(manifest: Any) -> None:
    assert AGREED <= PUBLIC
    assert set(models(manifest, "marts")) == PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_a_public_mart_keeps_a_contract(manifest: Any, name: str) -> None:
    model = models(manifest, "marts")[name]

    assert model.config.contract.enforced
    assert model.access == "public"
    assert model.config.meta["grain"]
    assert model.description
    assert all(column.description and column.data_type for column in model.columns.values())
    assert any(constraint.type == "primary_key" for constraint in model.constraints)
    assert not PERSONAL & set(model.columns)


@pytest.mark.parametrize("schema", ["marts", "marts_public", "outbound"])
def test_somebody_is_named_who_uses_it(manifest: Any, schema: str) -> None:
    used = {node for exposure in manifest.exposures.values() for node in exposure.depends_on.nodes}

    assert {model.unique_id for model in models(manifest, schema).values()} <= used


def test_every_list_that_leaves_has_an_exposure_on_the_models_of_its_contract(manifest: Any) -> None:
    exposed = {
        reference: exposure
        for exposure in manifest.exposures.values()
        for reference in exposure.config.meta.get("contracts", ())
    }
    leaving = {contract.reference for contract in all_contracts() if contract.path.parent.name == "outbound"}
    models_of = {
        reference: {
            model.unique_id
            for model in models(manifest, "outbound").values()
            if model.config.meta["contract"] == reference
        }
        for reference in leaving
    }

    assert len(leaving) >= 8
    assert set(exposed) == leaving
    assert {reference for reference, found in models_of.items() if not found} == {
        "certin_call_list_manifest-v1", "partner_receipt-v1",
    }  # fmt: skip
    for reference, found in models_of.items():
        assert found <= set(exposed[reference].depends_on.nodes), reference


def test_the_exposure_of_the_report_is_what_the_report_reads(manifest: Any) -> None:
    (report,) = (exposure for exposure in manifest.exposures.values() if exposure.name == "monthly_report")
    queries = "\n".join(text for name, text in vars(figures).items() if name.isupper() and isinstance(text, str))
    queries += inspect.getsource(figures.read_figures)
    read = set(re.findall(r"\bmarts\.(\w+)", queries))

    assert len(read) > 15
    assert {models(manifest, "marts")[name].unique_id for name in read} == set(report.depends_on.nodes)


def test_all_that_is_read_or_kept_says_what_it_is(manifest: Any) -> None:
    """Models, sources and seeds; and every column that a person edits, delivers or is promised."""
    kept = [*manifest.nodes.values(), *manifest.sources.values()]
    described = [node for node in kept if node.resource_type in ("model", "source", "seed")]
    by_column = [
        node for node in described if node.resource_type == "seed" or node.schema in ("landing", "marts", "outbound")
    ]

    assert len(described) > 100
    assert [node.name for node in described if not node.description] == []
    assert len(by_column) > 70
    assert [
        f"{node.name}.{column.name}" for node in by_column for column in node.columns.values() if not column.description
    ] == []
    assert [node.name for node in by_column if not node.columns] == []
    for node in by_column:
        if node.resource_type == "seed":
            assert set(node.columns) == set(seed(node.name)[0]), node.name


def test_facts_and_kpis_are_replaced_by_month(manifest: Any) -> None:
    by_month = {
        name
        for name, model in models(manifest, "marts").items()
        if (model.config.materialized, model.config.incremental_strategy) == ("incremental", "replace_month")
    }

    assert by_month == {name for name in PUBLIC if not name.startswith("dim_")}


def test_end_results_and_statuses_are_those_of_ddas() -> None:
    results = ddas_values("EnumEindresultaat")
    statuses = ddas_values("EnumSignaalstatus")

    assert {row["ddas_result"] for row in seed("result_codes")} <= results
    assert {row["ddas_result"] for row in seed("followup_results")} <= results
    assert {row["status"] for row in seed("feedback_statuses")} == statuses
    assert {row["partner_status"] for row in seed("feedback_statuses")} < statuses
    assert {row["part_of_day"] for row in seed("parts_of_day")} == ddas_values("EnumDagdeel")


def test_a_partner_never_hears_of_debt_help() -> None:
    told = {row["status"]: row["partner_status"] for row in seed("feedback_statuses")}

    assert told["Inwoner al bekend bij schuldhulpverlening"] == "Niet opgepakt: andere reden"
    assert "Inwoner al bekend bij schuldhulpverlening" not in told.values()


def test_seventeen_codes_in_groups_of_twelve_four_and_one() -> None:
    groups = [row["result_group"] for row in seed("result_codes")]

    assert groups == ["negative"] * 12 + ["not_reached"] * 4 + ["positive"]
    priorities = [row["case_priority"] for row in seed("result_codes")]
    assert len(set(priorities)) == len(priorities), "two results that weigh the same leave a case's result to chance"


def test_closure_rules_ask_exclusions_first() -> None:
    rules = sorted(seed("closure_rules"), key=lambda row: int(row["rule_order"]))
    states = [row["state"] for row in rules]

    assert states == sorted(states, key=["excluded", "open", "closed"].index)
    assert len({row["rule_id"] for row in rules}) == len({row["reason"] for row in rules}) == len(rules)


@pytest.mark.parametrize("year", range(2020, 2036))
def test_public_holidays_are_those_of_the_library(year: int) -> None:
    listed = {row["holiday_on"] for row in seed("public_holidays") if row["holiday_on"].startswith(str(year))}

    assert listed == {day.isoformat() for day in holidays.country_holidays("NL", years=year)}


def test_the_list_of_holidays_is_not_about_to_end() -> None:
    """Months are only known as far as the holidays are; extend the list in time (and this test's year with it)."""
    assert max(date.fromisoformat(row["holiday_on"]) for row in seed("public_holidays")).year >= 2035
