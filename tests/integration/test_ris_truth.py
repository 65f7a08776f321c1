"""Months of pulling from the sandbox's RIS while it fails in every way it can: what landed is exactly what it holds.

RIS is real HTTP; half of its requests go wrong (busy, broken, cut before, cut halfway, a token that expires for real,
a refused good token, pages that repeat, overlap, or lose an item to another page). Meanwhile its truth grows: later
lists, another month, results corrected later, codes nobody agreed on, records that are not ours. Every run throws a new
seed and prints it; VS_FAULT_SEED=<seed> repeats one.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pytest
from psycopg.rows import dict_row

from include.exchange.ris import RisClient, RisUnauthorized
from include.exchange.ris_connection import RisConnection
from include.ingest.ris import collect_outcomes
from include.months import Month
from include.quality.gates import GateStopped, run_gate
from include.sandbox.faults import Fault
from include.sandbox.ris import UNKNOWN_CODE, Ris
from include.sandbox.ris_files import RisFiles
from include.sandbox.ris_server import BASE_PATH, RisServer
from include.sandbox.settings import SandboxSettings
from include.settings import Role
from include.warehouse.connection import connect
from tests.unit.test_sandbox_ris import put_list

SECRET = "the-clients-secret"
APRIL, MAY = Month(2024, 4), Month(2024, 5)
READING_FAULTS = {fault for fault in Fault if fault != Fault.CUT_AFTER}

Versions = dict[tuple[str, datetime], dict[str, Any]]


@dataclass
class Town:
    """A RIS over the lists in one exchange root, and what the test knows of its truth."""

    root: Path
    seed: int
    ours: set[str] = field(default_factory=set)

    def ris(self, **settings: Any) -> Ris:
        chosen = {"seed": self.seed, "unknown_codes": 0.05} | settings
        return Ris(SandboxSettings(**chosen), self.root, self.root.parent / "state")

    def hand_over(self, month: Month, sequence: int, numbers: range, *, is_ours: bool = True) -> None:
        """A list goes to Certin; one that is not ours stands in no ledger of ours."""
        put_list(self.root, str(month), sequence, numbers)
        if not is_ours:
            return
        with connect(Role.EXPORTER) as connection, connection.cursor() as cursor:
            cursor.executemany(
                "insert into ops.call_records (call_record_id, case_id, signal_month, sequence, file_name,"
                " content_sha256, script_version) values (%s, %s, %s, %s, 'list', 'sha', 'v2')",
                [(f"call_{month}_{n}", f"case_{month}_{n}", str(month), sequence) for n in numbers],
            )
        self.ours |= {f"call_{month}_{n}" for n in numbers}


@pytest.fixture
def town(warehouse: Path, tmp_path: Path) -> Iterator[Town]:
    """Two open months, nothing landed."""
    seed = int(os.environ.get("VS_FAULT_SEED") or secrets.randbelow(2**31))
    forget()
    with connect(Role.LOADER) as connection:
        connection.execute("insert into ops.months (signal_month) values (%s), (%s)", (str(APRIL), str(MAY)))
    yield Town(tmp_path / "exchange", seed)
    forget()


def forget() -> None:
    with connect(Role.ADMIN) as connection:
        for table in (
            "landing.ris_outcomes", "landing.ris_attempts", "landing.ris_followups", "landing.ris_rejected_items",
            "ops.ris_pulls", "ops.call_records", "ops.months", "ops.deliveries",
        ):  # fmt: skip
            connection.execute(f"delete from {table}")


@contextmanager
def served(ris: Ris) -> Iterator[RisServer]:
    server = RisServer(ris, "127.0.0.1", 0, SECRET)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def client_of(server: RisServer, waits: list[float], secret: str = SECRET) -> RisClient:
    url = f"http://127.0.0.1:{server.server_port}{BASE_PATH}"
    connection = RisConnection(url, secret, token_url=f"{url}/token", client_id="platform")
    return RisClient(connection_source=lambda: connection, sleep=waits.append, page_size=9)


# ---------------------------------------------------------------------------------------------- what is compared
def truth_of(ris: Ris) -> tuple[Versions, Versions]:
    """Every version of every outcome and follow-up RIS shows, in the types of the warehouse."""
    snapshot = ris.snapshot()
    outcomes = {}
    for item in snapshot.outcomes:
        content = dict(item.content)
        callback = content.pop("preferred_callback") or {}
        summary = content.pop("situation_summary")
        attempts = [dict(attempt) for attempt in content.pop("attempts")]
        for attempt in attempts:
            attempt |= {name: _moment(attempt[name]) for name in ("started_at", "ended_at")}
        content |= {name: _moment(content[name]) for name in ("result_at", "updated_at")}
        content |= {
            "callback_part_of_day": callback.get("part_of_day"),
            "callback_from": callback.get("from") and time.fromisoformat(callback["from"]),
            "callback_until": callback.get("until") and time.fromisoformat(callback["until"]),
            "callback_on": callback.get("on") and date.fromisoformat(callback["on"]),
            "situation_summary": summary and " ".join(summary.split()),
            "attempts": sorted(attempts, key=lambda attempt: attempt["attempt_id"]),
        }
        outcomes[item.key, content["updated_at"]] = content
    followups = {}
    for item in snapshot.followups:
        content = dict(item.content)
        content["updated_at"] = _moment(content["updated_at"])
        content |= {name: content[name] and date.fromisoformat(content[name]) for name in ("started_on", "ended_on")}
        followups[item.key, content["updated_at"]] = content
    return outcomes, followups


def landed() -> tuple[Versions, Versions]:
    """The same of what landed."""
    with connect(Role.LOADER) as connection, connection.cursor(row_factory=dict_row) as cursor:
        attempts: dict[tuple[str, datetime], list[dict[str, Any]]] = {}
        for row in cursor.execute("select * from landing.ris_attempts order by attempt_id").fetchall():
            key = row.pop("outcome_id"), row.pop("updated_at")
            attempts.setdefault(key, []).append(_in_utc(row))
        outcomes = {}
        for row in cursor.execute("select * from landing.ris_outcomes").fetchall():
            row.pop("source")
            key = row["outcome_id"], row["updated_at"]
            outcomes[key] = _in_utc(row) | {"attempts": attempts.pop(key, [])}
        assert not attempts, "attempts landed without their outcome"
        followups = {}
        for row in cursor.execute("select * from landing.ris_followups").fetchall():
            row.pop("source")
            followups[row["followup_id"], row["updated_at"]] = _in_utc(row)
    return outcomes, followups


def set_aside() -> dict[tuple[str, datetime], tuple[str, dict[str, Any]]]:
    with connect(Role.LOADER) as connection:
        rows = connection.execute("select item_id, updated_at, reason, item from landing.ris_rejected_items").fetchall()
    return {(item_id, updated_at): (reason, item) for item_id, updated_at, reason, item in rows}


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _in_utc(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value.astimezone(UTC) if isinstance(value, datetime) else value for name, value in row.items()}


def assert_same(found: Versions, expected: Versions) -> None:
    assert found.keys() == expected.keys(), (len(found), len(expected))
    different = [key for key in expected if found[key] != expected[key]]
    assert different == [], (found[different[0]], expected[different[0]])


# ---------------------------------------------------------------------------------------------- over HTTP
def test_whatever_goes_wrong_the_truth_of_ris_is_what_landed(town: Town, capsys: pytest.CaptureFixture[str]) -> None:
    waits: list[float] = []
    town.hand_over(APRIL, 1, range(220))
    with served(town.ris(faults=0.6, token_lasts=7)) as server:
        ris = client_of(server, waits)
        collect_outcomes(ris)
        town.hand_over(APRIL, 2, range(220, 250))
        collect_outcomes(ris)
        town.hand_over(MAY, 1, range(130))
        town.hand_over(MAY, 2, range(500, 512), is_ours=False)
        collect_outcomes(ris)
        with pytest.raises(GateStopped, match="code_is_known"):
            run_gate("G6", APRIL)
        # RIS mends its codes; what it corrected comes behind everything it showed
        server.ris = town.ris(faults=0.6, token_lasts=7, codes_corrected=True)
        for _ in range(3):
            collect_outcomes(ris)
        last = collect_outcomes(ris)
        outcomes, followups = truth_of(server.ris)
        requests, faults, tokens = server.faults.requests, Counter(server.faults.injected), server.tokens_issued

    ours = {key: item for key, item in outcomes.items() if item["call_record_id"] in town.ours}
    found_outcomes, found_followups = landed()
    assert_same(found_outcomes, ours)
    assert_same(found_followups, followups)
    assert {key: reason for key, (reason, _) in set_aside().items()} == dict.fromkeys(
        outcomes.keys() - ours.keys(), "call_record_unknown"
    )
    raw = {(item.key, _moment(item.content["updated_at"])): item.content for item in server.ris.snapshot().outcomes}
    assert all(json.loads(json.dumps(raw[key])) == item for key, (_, item) in set_aside().items())
    assert (last.new_outcomes, last.new_followups, last.rejected) == (0, 0, 0)
    run_gate("G6", APRIL)

    # none of this may have passed on an easy RIS
    assert sum(faults.values()) >= 0.3 * requests
    assert set(faults) == READING_FAULTS, "this seed did not throw every fault"
    assert tokens > 5
    assert 1.0 in waits, "Retry-After was not heeded"
    assert len(outcomes) > 392, "nothing was corrected"
    assert sum(item["result_code"] == UNKNOWN_CODE for item in ours.values()) > 3
    with capsys.disabled():
        print(
            f"\n  seed {town.seed}: {requests} requests, {sum(faults.values())} of them failed "
            f"({sum(faults.values()) / requests:.0%}), {tokens} tokens; {len(found_outcomes)} versions of outcomes and "
            f"{len(found_followups)} follow-ups are RIS's own; {len(set_aside())} strangers set aside\n  "
            + "; ".join(f"{number}x {fault}" for fault, number in faults.most_common())
        )


def test_a_token_that_expires_costs_a_request_and_a_refused_client_says_so(town: Town) -> None:
    town.hand_over(APRIL, 1, range(40))
    waits: list[float] = []
    with served(town.ris(token_lasts=2)) as server:
        assert len(client_of(server, waits).outcomes(None)) == 40
        assert server.tokens_issued == 5
        with pytest.raises(RisUnauthorized, match="client id and secret") as refused:
            client_of(server, waits, secret="not-the-secret").outcomes(None)
    assert "not-the-secret" not in str(refused.value)


def test_a_token_in_a_file_is_read_again(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    town.hand_over(APRIL, 1, range(5))
    file = tmp_path / "token"
    file.write_text("yesterdays-token\n", encoding="utf-8")
    with served(town.ris()) as server:
        url = f"http://127.0.0.1:{server.server_port}{BASE_PATH}"
        extra = json.dumps({"token_file": str(file)})
        monkeypatch.setenv("AIRFLOW_CONN_RIS", json.dumps({"conn_type": "http", "host": url, "extra": extra}))

        def wait(seconds: float) -> None:
            file.write_text(SECRET, encoding="utf-8")

        assert len(RisClient(sleep=wait).outcomes(None)) == 5


# ---------------------------------------------------------------------------------------------- through files
def test_through_files_the_same_truth_lands(town: Town, warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports in pieces, out of order, twice, half, and with a companion that comes later."""
    monkeypatch.setenv("VS_RIS_BY", "files")
    inbox = warehouse / "inbox" / "ris"
    inbox.mkdir(parents=True, exist_ok=True)

    def export(ris: Ris, month: Month) -> list[Path]:
        return [Path(path).rename(inbox / path.name) for path in RisFiles(ris).export(month)]

    town.hand_over(APRIL, 1, range(90))
    town.hand_over(MAY, 1, range(60))
    ris = town.ris(faults=0.5)
    (attempts, *_, outcomes) = export(ris, APRIL)
    late = attempts.rename(attempts.with_suffix(".csv.part"))
    half = inbox / "ris_outcomes_202405_01.csv.part"
    half.write_bytes(outcomes.read_bytes()[:500])
    assert collect_outcomes().new_outcomes == 0, "outcomes without their attempts are no delivery"
    late.rename(attempts)
    collect_outcomes()
    again = inbox / "ris_outcomes_202404_09.csv"
    archived = {path.name: path for path in (warehouse / "archive" / str(APRIL)).iterdir()}
    again.write_bytes(archived[outcomes.name].read_bytes())
    again.with_name("ris_attempts_202404_09.csv").write_bytes(archived[attempts.name].read_bytes())
    assert collect_outcomes().new_outcomes == 0
    export(ris, MAY)
    collect_outcomes()
    with pytest.raises(GateStopped, match="code_is_known"):
        run_gate("G6", APRIL)
    town.hand_over(MAY, 2, range(500, 505), is_ours=False)
    mended = town.ris(faults=0.5, codes_corrected=True)
    export(mended, MAY)
    export(mended, APRIL)
    collect_outcomes()
    truth, followups = truth_of(mended)
    found, found_followups = landed()
    ours = {key: item for key, item in truth.items() if item["call_record_id"] in town.ours}
    assert found.keys() == ours.keys()
    newest = {outcome_id: updated_at for outcome_id, updated_at in sorted(ours)}
    # a file holds the attempts of an outcome's newest version only
    assert_same({key: found[key] for key in newest.items()}, {key: ours[key] for key in newest.items()})
    assert_same(found_followups, followups)
    assert {reason for reason, _ in set_aside().values()} == {"call_record_unknown"}
    assert set_aside().keys() == truth.keys() - ours.keys()
    run_gate("G6", APRIL)
