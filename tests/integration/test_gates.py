"""Every gate on a real month: sound data passes, each rule is broken once and seen to stop or to warn."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg
import pytest

from include.contracts.relations import Relation, relations
from include.local.instance import Instance
from include.months import Month
from include.quality import gates
from include.quality.gates import GateBroken, GateStopped, load_suite, run_gate
from include.settings import EXPECTATIONS_FOLDER, Role
from tests.integration.gates_broken import BREAKS, LIST, PHONES, Break, one
from tests.integration.gates_broken_contracts import broken_by_stand_in, contract_breaks, rounds
from tests.integration.gates_month import MONTH, build_month

GATES = ("G1", "G2", "G3", "G4", "G5", "G6", "G7", "G8")
OF_CONTRACTS = [damage for gate in GATES for damage in contract_breaks(gate)]


@pytest.fixture(scope="module")
def month(warehouse, server: Instance) -> Iterator[psycopg.Connection]:
    """A superuser's connection to a warehouse with a whole, sound month."""
    address = f"{server.postgres.superuser_dsn}/{os.environ['VS_WAREHOUSE_DATABASE']}"
    with psycopg.connect(address, autocommit=True) as connection:
        build_month(connection)
        yield connection


@contextmanager
def broken(connection: psycopg.Connection, damage: Break) -> Iterator[None]:
    """The warehouse with the damage done; the tables are as before afterwards."""
    for number, table in enumerate(damage.tables):
        connection.execute(f"create temporary table kept_{number} as table {table}")
    try:
        for statement in damage.statements:
            changed = connection.execute(statement)
            assert statement.startswith("alter") or changed.rowcount, f"changed nothing: {statement}"
        yield
    finally:
        for number, table in enumerate(damage.tables):
            connection.execute(f"delete from {table}")
            connection.execute(f"insert into {table} table kept_{number}")
            connection.execute(f"drop table kept_{number}")


@pytest.mark.parametrize("gate", GATES)
def test_sound_month_passes(month: psycopg.Connection, gate: str) -> None:
    verdict = run_gate(gate, MONTH, run_id="sound")
    assert (verdict.passed, verdict.warnings, verdict.infos) == (verdict.rules, (), ())
    kept = month.execute(
        "select rule, success, checked_rows from ops.gate_results where gate = %s and run_id = 'sound'", (gate,)
    ).fetchall()
    assert len(kept) == verdict.rules >= 10
    stops = month.execute("select settled_at from ops.alerts where (kind, subject) = ('gate_stop', %s)", (gate,))
    assert None not in [settled for (settled,) in stops]
    assert sum(rows for _, _, rows in kept) > 0


@pytest.mark.parametrize("damage", [damage for damage in BREAKS if damage.severity == "critical"], ids=str)
def test_critical_rule_stops_the_month(month: psycopg.Connection, damage: Break) -> None:
    with broken(month, damage), pytest.raises(GateStopped) as stopped:
        run_gate(damage.gate, MONTH, run_id=f"broken-{damage}")
    message = str(stopped.value)
    assert f"- {damage.rule} [" in message, message
    assert "Look at: " in message
    assert "Next: " in message
    failed = month.execute(
        "select rule from ops.gate_results where run_id = %s and not success and severity = 'critical' order by 1",
        (f"broken-{damage}",),
    ).fetchall()
    assert {rule for (rule,) in failed} == {damage.rule, *damage.also}
    (told,) = month.execute(
        "select message from ops.alerts where (kind, subject) = ('gate_stop', %s) and settled_at is null",
        (damage.gate,),
    ).fetchone()
    assert told == message


@pytest.mark.parametrize("damage", [damage for damage in BREAKS if damage.severity != "critical"], ids=str)
def test_other_rule_is_kept_and_the_month_goes_on(month: psycopg.Connection, damage: Break) -> None:
    with broken(month, damage):
        verdict = run_gate(damage.gate, MONTH, run_id=f"broken-{damage}")
    assert damage.rule in (verdict.warnings if damage.severity == "warning" else verdict.infos)
    (kept,) = month.execute(
        "select severity, success from ops.gate_results where run_id = %s and rule = %s",
        (f"broken-{damage}", damage.rule),
    ).fetchall()
    assert kept == (damage.severity, False)


@pytest.mark.parametrize(("gate", "number"), [(gate, number) for gate in GATES for number in range(len(rounds(gate)))])
def test_rules_of_contracts_are_seen_broken(
    month: psycopg.Connection, gate: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    damages, suite, run_id = rounds(gate)[number], load_suite(gate), f"contracts-{number}"
    monkeypatch.setattr(gates, "load_suite", lambda gate: {**suite, "batches": [damage.batch for damage in damages]})
    with ExitStack() as all_broken:
        for damage in damages:
            all_broken.enter_context(broken_by_stand_in(month, damage))
        try:
            run_gate(gate, MONTH, run_id=run_id)
            message = ""
        except GateStopped as stopped:
            message = str(stopped)
    failed = month.execute(
        "select rule, severity from ops.gate_results where run_id = %s and gate = %s and not success order by 1",
        (run_id, gate),
    ).fetchall()
    # nothing else is wrong with a stand-in: each rule sees its own fault
    assert failed == sorted((damage.rule, damage.severity) for damage in damages)
    for damage in damages:
        line = f"- {damage.rule} [{damage.relation.contract.reference}]: "
        assert (line in message) == (damage.severity == "critical")
        assert damage.names in message


@pytest.mark.parametrize("relation", relations(), ids=lambda relation: relation.full_name)
def test_only_the_roles_of_the_contract_may_read(month: psycopg.Connection, relation: Relation) -> None:
    # who owns a table (dbt's transformer, the administrator) reads it anyway
    (owner,) = month.execute(
        "select pg_get_userbyid(relowner) from pg_class where oid = %s::regclass", (relation.full_name,)
    ).fetchone()
    readers = {
        role.value
        for role in Role
        if role is not Role.ADMIN
        and role.value != owner
        and month.execute(
            "select has_schema_privilege(%s, %s, 'usage') and has_table_privilege(%s, %s, 'select')",
            (role.value, relation.schema, role.value, relation.full_name),
        ).fetchone()
        == (True,)
    }
    assert readers == set(relation.contract.roles) - {owner}


def test_every_rule_is_broken_once() -> None:
    rules = {
        (gate, expectation["meta"]["rule"], expectation["severity"])
        for gate in GATES
        for batch in load_suite(gate)["batches"]
        for expectation in batch["expectations"]
    }
    assert {(damage.gate, damage.rule, damage.severity) for damage in [*BREAKS, *OF_CONTRACTS]} == rules
    assert len(BREAKS) > 90
    assert len(OF_CONTRACTS) > 200


def test_a_column_too_many_stops_the_call_list(month: psycopg.Connection) -> None:
    month.execute(f"alter table {LIST} add column birth_on date")
    try:
        with pytest.raises(GateStopped, match="out_certin_call_list.columns_of_the_contract"):
            run_gate("G5", MONTH)
    finally:
        month.execute(f"alter table {LIST} drop column birth_on")


def test_other_months_are_not_judged(month: psycopg.Connection) -> None:
    with pytest.raises(GateStopped, match="month_has_signals"):
        run_gate("G1", Month(2024, 7))
    (judged,) = month.execute("select count(*) from ops.gate_results where signal_month = '2024-07'").fetchone()
    assert judged >= 9


def test_no_value_of_a_row_is_kept_or_logged(month: psycopg.Connection, caplog: pytest.LogCaptureFixture) -> None:
    damage = Break("G3", "phone_is_e164", (PHONES,), (one(PHONES, "phone = '06-SECRET'", "not is_own"),))
    with broken(month, damage), caplog.at_level(logging.DEBUG), pytest.raises(GateStopped) as stopped:
        run_gate("G3", MONTH, run_id="secret")
    kept = month.execute(
        "select to_jsonb(results)::text from ops.gate_results as results where run_id = 'secret'"
    ).fetchall()
    assert len(kept) >= 10
    assert "phone_is_e164" in caplog.text
    assert "SECRET" not in caplog.text + str(stopped.value) + "".join(row for (row,) in kept)


def test_a_rule_that_cannot_be_computed_is_no_pass(month: psycopg.Connection) -> None:
    month.execute("alter table intermediate.int_match_reviews rename to hidden")
    try:
        with pytest.raises((GateBroken, psycopg.Error), match="int_match_reviews"):
            run_gate("G2", MONTH, run_id="hidden")
    finally:
        month.execute("alter table intermediate.hidden rename to int_match_reviews")


def test_suites_read_like_rules() -> None:
    paths = sorted(EXPECTATIONS_FOLDER.glob("*.json"))
    assert len(paths) == len(GATES)
    for path in paths:
        suite = json.loads(path.read_text(encoding="utf-8"))
        assert path.stem == f"{suite['gate']}_{suite['name']}"
        rules = [expectation for batch in suite["batches"] for expectation in batch["expectations"]]
        names = [rule["meta"]["rule"] for rule in rules]
        assert len(names) == len(set(names)) >= 7
        for rule in rules:
            assert rule["severity"] in ("critical", "warning", "info")
            assert rule["meta"]["says"].endswith((".", ")")), rule["meta"]
