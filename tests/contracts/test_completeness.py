"""Nothing goes in, out or into the warehouse without a contract, and every contract says all a contract must say."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from include.contracts.registry import PARTNER_DELIVERY, Column, Contract, Table, all_contracts, load_contract
from include.contracts.relations import Relation, data_type, relations
from include.local.instance import Instance
from include.settings import DBT_PROJECT_FOLDER, PROJECT_ROOT

CLASSIFICATIONS = {"public", "internal", "confidential", "restricted"}
SEVERITIES = {"critical", "warning", "info"}
CONTRACTS = all_contracts()
LANDED = relations("landing")
SEEDS = DBT_PROJECT_FOLDER / "seeds"

# What the folders of the code are called in a contract: whose they are is filled in.
_FILLED_IN = re.compile(r"\{[^}]*\}")
_FOLDER = re.compile(r"""["'](?P<folder>(?:inbox|outbox)/[^"']+)["']""")


def of_folder(*folders: str) -> list[Contract]:
    return [contract for contract in CONTRACTS if contract.path.parent.name in folders]


def columns_of(contract: Contract) -> list[Column]:
    return [column for table in contract.tables for column in (*table.columns, *table.carried)]


def tables_and_rules() -> Iterator[tuple[Contract, Table, dict]]:
    for contract in CONTRACTS:
        for table in contract.tables:
            for rule in (*table.quality, *(rule for column in table.columns for rule in column.quality)):
                yield contract, table, rule


# -- every contract says it all ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.reference)
def test_the_contract_says_who_why_when_and_how_long(contract: Contract) -> None:
    for what in (contract.owner, contract.purpose, contract.description, contract.limitations, contract.legal_ground):
        assert what.strip()
    assert contract.option("consumer")
    assert contract.contact
    assert contract.retention_months >= 1
    assert contract.sla_says("retention")
    assert contract.sla_says("deliveryDay") or contract.sla_says("frequency")
    if contract.path.parent.name == "inbound":
        assert 1 <= contract.delivery_day <= 31
        assert 0 < contract.quarantine_threshold < 1
    assert contract.version.split(".")[0] == str(contract.major)


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.reference)
def test_the_contract_describes_and_classifies_every_column(contract: Contract) -> None:
    assert columns_of(contract)
    assert all(table.description and table.grain for table in contract.tables)
    for column in columns_of(contract):
        assert column.classification in CLASSIFICATIONS, column.name
        assert column.description, column.name


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.reference)
def test_the_contract_has_rules(contract: Contract) -> None:
    judged = [table for table in contract.tables if table.option("gate")]
    rules = [rule for _, table, rule in tables_and_rules() if table in contract.tables]
    # a table under a gate has the rules of its schema at least
    assert judged or rules


def test_every_rule_says_what_it_says_and_how_bad_it_is() -> None:
    rules = list(tables_and_rules())
    assert len(rules) > 80
    for contract, _, rule in rules:
        assert rule["severity"] in SEVERITIES, (contract.reference, rule["name"])
        assert rule["description"].strip(), (contract.reference, rule["name"])
        assert rule["dimension"], (contract.reference, rule["name"])


# -- everything has a contract -----------------------------------------------------------------------------------------


def test_every_exchange_folder_has_a_contract() -> None:
    files = sorted((PROJECT_ROOT / "include").rglob("*.py"))
    named = {
        _FILLED_IN.sub("<partner>", match["folder"]).rstrip("/")
        for path in files
        if "contracts" not in path.parts
        for match in _FOLDER.finditer(path.read_text(encoding="utf-8"))
        if re.fullmatch(r"[\w/{}<> .]+", match["folder"])
    }
    agreed = {contract.folder for contract in of_folder("inbound", "outbound")} | {"inbox/<partner>"}
    assert len(named) >= 2
    assert named - agreed == set()


def test_every_partner_of_the_sandbox_has_a_contract() -> None:
    from include.sandbox.partners import PARTNERS

    partners = {contract.partner for contract in CONTRACTS if contract.kind == PARTNER_DELIVERY}
    assert {partner.name for partner in PARTNERS} <= partners


def test_every_list_and_mart_has_a_contract() -> None:
    models = {
        f"{schema}.{path.stem}"
        for schema in ("marts", "outbound")
        for path in (DBT_PROJECT_FOLDER / "models" / schema).rglob("*.sql")
    }
    assert len(models) >= 25
    assert {relation.full_name for relation in relations("marts", "outbound")} == models


@pytest.fixture
def connection(warehouse: Path, server: Instance) -> Iterator[psycopg.Connection]:
    import os

    with psycopg.connect(f"{server.postgres.superuser_dsn}/{os.environ['VS_WAREHOUSE_DATABASE']}") as opened:
        yield opened


def test_every_landing_table_has_a_contract(connection: psycopg.Connection) -> None:
    tables = connection.execute(
        "select table_name, lower(split_part(table_type, ' ', -1)) from information_schema.tables"
        " where table_schema = 'landing'"
    ).fetchall()
    assert len(tables) >= 8
    assert {(relation.name, relation.kind) for relation in LANDED} == set(tables)


@pytest.mark.parametrize("relation", LANDED, ids=lambda relation: relation.full_name)
def test_a_landing_table_is_what_its_contract_says(connection: psycopg.Connection, relation: Relation) -> None:
    found = {
        name: (kind, is_required)
        for name, kind, is_required in connection.execute(
            "select attname, format_type(atttypid, atttypmod), attnotnull from pg_attribute"
            " where attrelid = %s::regclass and attnum > 0 and not attisdropped",
            (relation.full_name,),
        )
    }
    kinds = {name: kind.replace("numeric(", "numeric(").replace(",", ", ") for name, (kind, _) in found.items()}
    assert kinds == {column.name: data_type(column) for column in relation.columns}
    if relation.kind == "table":
        optional = {name for name, (_, is_required) in found.items() if not is_required}
        assert set(relation.required) & optional == set()


# -- privacy -----------------------------------------------------------------------------------------------------------


def test_no_mart_holds_personal_data() -> None:
    marts = of_folder("marts")
    assert len(marts) >= 16
    for contract in marts:
        for column in columns_of(contract):
            assert column.classification in ("public", "internal"), f"{contract.reference}: {column.name}"


def test_what_is_confidential_outside_is_confidential_here() -> None:
    """A column of a partner is at least as confidential as the field it fills."""
    order = ["public", "internal", "confidential", "restricted"]
    fields = {column.name: column for column in load_contract("signals-v1").columns}
    compared = 0
    for contract in of_folder("inbound"):
        for column in contract.columns if contract.kind == PARTNER_DELIVERY else ():
            for field in [fields[name] for name in column.fills if name in fields]:
                compared += 1
                raised = order.index(column.classification) >= order.index(field.classification)
                assert raised, f"{contract.reference}: {column.label} is less confidential than {field.name}"
    assert compared >= 40


# -- one list of codes -------------------------------------------------------------------------------------------------


def allowed(contract: str, table: str, column: str) -> set[str]:
    rules = load_contract(contract).table_named(table).column(column).quality
    return {value for rule in rules for value in rule.get("arguments", {}).get("validValues", [])}


def seed(name: str, column: str) -> set[str]:
    with (SEEDS / f"{name}.csv").open(encoding="utf-8") as file:
        return {row[column] for row in csv.DictReader(file)}


def ddas(name: str) -> set[str]:
    schema = PROJECT_ROOT / "include" / "outbound" / "ddas_v1_2.schema.json"
    return set(json.loads(schema.read_text(encoding="utf-8"))["$defs"][name]["enum"])


def test_codes_in_contracts_are_those_of_the_platform() -> None:
    assert allowed("partner_feedback", "feedback", "status") == seed("feedback_statuses", "partner_status")
    assert allowed("fct_outcomes", "fct_outcomes", "result_group") == seed("result_codes", "result_group")
    assert allowed("fct_followups", "fct_followups", "kind") == seed("followup_results", "kind")
    assert allowed("kpi_monthly", "kpi_monthly", "unit") == seed("kpi_definitions", "unit")
    assert allowed("fct_contact_attempts", "fct_contact_attempts", "part_of_day") == ddas("EnumDagdeel")
    assert allowed("ddas_vroegsignalering", "signals", "status") == ddas("EnumSignaalstatus")
    assert allowed("ddas_vroegsignalering", "signals", "partner_type") == ddas("EnumSignaalpartner")
    assert allowed("ddas_vroegsignalering", "cases", "result") == allowed("ris_closures", "closures", "ddas_result")
    assert allowed("ris_closures", "closures", "ddas_result") <= ddas("EnumEindresultaat")
    labels = seed("routes", "label_nl")
    for sheet in ("direct", "without_number"):
        assert allowed("kwadraad_worklist", sheet, "route") < labels
