"""The sandbox as a real process: RIS over real HTTP, answers by file, misbehaviour on demand, a clean end."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from include.exchange.ris import RisClient
from include.exchange.ris_connection import RisConnection
from include.settings import PROJECT_ROOT

TOKEN = "a-token-for-this-test"
HEADER = (
    "call_record_id;case_id;phone_1;phone_2;initials;name_prefix;surname;house_number;sectors;call_from;call_until;"
    "max_attempts;script_version"
)


def put_list(root: Path, month: str, sequence: int, numbers: range) -> None:
    rows = [
        f"call_{month}_{n};case_{month}_{n};+31680{n:06d};;J.;;Voorbeeld;1;Zorg;{month}-10;{month}-28;7;v1"
        for n in numbers
    ]
    content = "\n".join([HEADER, *rows, ""]).encode()
    path = root / "outbox" / "certin" / f"certin_call_list_{month.replace('-', '')}_{sequence:02d}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    manifest = {"sha256": hashlib.sha256(content).hexdigest(), "withdrawn": []}
    path.with_name(f"{path.stem}.manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def sandbox(root: Path, **environment: str) -> Iterator[tuple[httpx.Client, subprocess.Popen]]:
    """A serving sandbox with nothing but its own settings in its environment, and an authorised client."""
    port = free_port()
    settings = {
        "PATH": os.environ["PATH"],
        "VS_EXCHANGE_ROOT": str(root / "exchange"),
        "VS_SANDBOX_STATE": str(root / "state"),
        "VS_RIS_PORT": str(port),
        "VS_RIS_TOKEN": TOKEN,
    }
    with (root / "sandbox.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "include.sandbox", "serve"],
            cwd=PROJECT_ROOT,
            env=settings | environment,
            stdout=log,
            stderr=log,
        )
    headers = {"Authorization": f"Bearer {TOKEN}"}
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/ris/v1", headers=headers, timeout=10) as client:
            wait_until(lambda: _is_up(client))
            yield client, process
    finally:
        process.kill()
        process.wait()


def _is_up(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == 200
    except httpx.TransportError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def everything(client: httpx.Client, feed: str, **parameters: str) -> list[dict]:
    items, cursor = [], None
    while True:
        answer = (
            client.get(f"/{feed}", params=parameters | ({"cursor": cursor} if cursor else {})).raise_for_status().json()
        )
        items += answer["items"]
        cursor = answer["next_cursor"]
        if cursor is None:
            return items


def batch(key: str, cases: range) -> dict:
    items = [{"case_id": f"case_{n}", "ddas_result": "x", "reason": "y", "closed_on": "2024-05-01"} for n in cases]
    return {"batch_id": key, "month": "2024-04", "items": items}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, Path]]:
    root = tmp_path_factory.mktemp("sandbox")
    put_list(root / "exchange", "2024-04", 1, range(120))
    with sandbox(root) as (client, _):
        yield client, root


def test_without_the_token_nothing_is_told(served: tuple[httpx.Client, Path]) -> None:
    client, _ = served
    for headers in ({"Authorization": "Bearer wrong"}, {"Authorization": ""}, {"Authorization": TOKEN}):
        for answer in (
            client.get("/outcomes", headers=headers),
            client.post("/closures", json=batch("k", range(1)), headers=headers),
        ):
            assert answer.status_code == 401
            assert "items" not in answer.json()


def test_the_feeds_page_through_everything(served: tuple[httpx.Client, Path]) -> None:
    client, _ = served
    assert len({item["call_record_id"] for item in everything(client, "outcomes", limit="13")}) == 120
    whole = everything(client, "followups")
    assert whole
    assert everything(client, "followups", limit="1") == whole


def test_a_list_that_arrives_is_there_at_the_next_question(served: tuple[httpx.Client, Path]) -> None:
    client, root = served
    before = len(everything(client, "outcomes"))
    put_list(root / "exchange", "2024-05", 1, range(30))
    assert len(everything(client, "outcomes")) == before + 30


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/outcomes?limit=0", 422), ("/outcomes?limit=501", 422), ("/outcomes?limit=x", 422),
        ("/outcomes?cursor=x", 422), ("/outcomes?updated_since=yesterday", 422),
        ("/nothing", 404), ("/closures", 405), ("/../outcomes", 404),
    ],
)  # fmt: skip
def test_a_question_that_makes_no_sense_is_refused(served: tuple[httpx.Client, Path], path: str, status: int) -> None:
    client, _ = served
    assert client.get(path).status_code == status


def test_a_closure_batch_is_taken_once(served: tuple[httpx.Client, Path]) -> None:
    client, _ = served
    send = {"json": batch("batch_1", range(50)), "headers": {"Idempotency-Key": "batch_1"}}
    first = client.post("/closures", **send)
    assert first.status_code == 200
    assert len(first.json()["accepted"]) + len(first.json()["rejected"]) == 50
    assert client.post("/closures", **send).json() == first.json()
    other = client.post("/closures", json=batch("batch_1", range(51)), headers={"Idempotency-Key": "batch_1"})
    assert other.status_code == 409


@pytest.mark.parametrize(
    "body",
    [
        "no json", "[]", "{}", json.dumps({"batch_id": "other", "month": "2024-04", "items": []}),
        json.dumps({"batch_id": "bad", "month": "April", "items": []}),
        json.dumps({"batch_id": "bad", "month": "2024-04"}),
        json.dumps({"batch_id": "bad", "month": "2024-04", "items": [{"case_id": "a"}]}),
        json.dumps(batch("bad", range(1)) | {"items": batch("bad", range(1))["items"] * 2}),
        json.dumps(batch("bad", range(1))).replace("2024-05-01", "2024-05-32"),
    ],
)  # fmt: skip
def test_an_invalid_batch_is_refused_and_changes_nothing(served: tuple[httpx.Client, Path], body: str) -> None:
    client, _ = served
    refused = client.post("/closures", content=body, headers={"Idempotency-Key": "bad"})
    assert refused.status_code == 422
    assert refused.json()["error"]
    assert client.post("/closures", json=batch("bad2", range(1)), headers={}).status_code == 422


def test_enrichment_is_answered_by_file(served: tuple[httpx.Client, Path]) -> None:
    _, root = served
    outbox = root / "exchange" / "outbox" / "enrichment"
    outbox.mkdir(parents=True)
    header = (
        "request_id,initials,name_prefix,surname,birth_date,postcode,house_number,house_letter,house_number_addition"
    )
    draft = outbox / "enrichment_request_202404_01.csv.part"
    draft.write_text(header + "\n" + "".join(f"r{n},A.,,Jansen,,2711AB,{n},,\n" for n in range(40)), encoding="utf-8")
    draft.rename(outbox / "enrichment_request_202404_01.csv")
    result = root / "exchange" / "inbox" / "enrichment" / "enrichment_result_202404_01.csv"
    wait_until(result.exists)
    assert result.read_text("utf-8").startswith("request_id,phone,source,match_level,matched_on,confidence\n")


def test_a_closure_file_is_acknowledged(served: tuple[httpx.Client, Path]) -> None:
    _, root = served
    outbox = root / "exchange" / "outbox" / "ris"
    outbox.mkdir(parents=True)
    (outbox / "ris_closures_202404_01.csv").write_text(
        "case_id,ddas_result,reason,closed_on\nc1,x,y,2024-05-01\n", encoding="utf-8"
    )
    wait_until((root / "exchange" / "inbox" / "ris" / "ris_closures_202404_01_ack.csv").exists)


def test_nothing_personal_is_logged(served: tuple[httpx.Client, Path]) -> None:
    client, root = served
    client.get("/outcomes", params={"updated_since": "2024-04-12T00:00:00Z"})
    text = (root / "sandbox.log").read_text("utf-8")
    assert "GET /ris/v1/outcomes 200" in text
    assert not [
        secret
        for secret in ("+31", "Voorbeeld", "Jansen", "call_2024", "case_", TOKEN, "updated_since")
        if secret in text
    ]


def test_it_starts_within_two_seconds_and_ends_cleanly(tmp_path: Path) -> None:
    begun = time.monotonic()
    with sandbox(tmp_path) as (client, process):
        assert client.get("/outcomes").json() == {"items": [], "next_cursor": None}
        started_in = time.monotonic() - begun
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 0
    # two seconds on a quiet machine; tests run beside others
    assert started_in < 6
    assert not list(tmp_path.rglob("*.part"))


def test_a_restart_answers_the_same(tmp_path: Path) -> None:
    put_list(tmp_path / "exchange", "2024-04", 1, range(60))
    send = {"json": batch("b", range(80)), "headers": {"Idempotency-Key": "b"}}
    with sandbox(tmp_path) as (client, process):
        put_list(tmp_path / "exchange", "2024-05", 1, range(20))
        everything(client, "outcomes")
        put_list(tmp_path / "exchange", "2024-04", 2, range(60, 70))
        before = (
            everything(client, "outcomes"),
            everything(client, "followups"),
            client.post("/closures", **send).json(),
        )
        process.kill()
    with sandbox(tmp_path) as (client, _):
        after = everything(client, "outcomes"), everything(client, "followups"), client.post("/closures", **send).json()
    assert after == before


def test_by_files_it_needs_nobody_to_ask(tmp_path: Path) -> None:
    put_list(tmp_path / "exchange", "2024-04", 1, range(10))
    with sandbox(tmp_path, VS_RIS_BY="files"):
        wait_until((tmp_path / "exchange" / "inbox" / "ris" / "ris_outcomes_202404_01.csv").exists)


def test_it_imports_nothing_that_talks_to_the_warehouse() -> None:
    modules = "serving, partners, truth"
    listing = f"import sys; from include.sandbox import {modules}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", listing], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "include.sandbox.ris_server" in loaded
    assert not [
        name
        for name in loaded
        if name.startswith(("psycopg", "include.warehouse", "include.settings", "airflow", "pandas"))
    ]


# -- a RIS that misbehaves ------------------------------------------------------------------------------------------


def stubborn(client: httpx.Client, method: str, path: str, seen: Counter, **request) -> dict:
    """What a patient client does: try again until there is a whole answer."""
    for _ in range(20):
        try:
            answer = client.request(method, path, **request)
        except httpx.TransportError:
            seen["cut"] += 1
            continue
        seen[answer.status_code] += 1
        if answer.status_code == 429:
            assert int(answer.headers["Retry-After"]) >= 0
        if answer.status_code == 200:
            return answer.json()
    raise AssertionError("RIS never answered")


def test_misbehaving_it_still_tells_everything_to_who_tries_again(tmp_path: Path) -> None:
    put_list(tmp_path / "exchange", "2024-04", 1, range(300))
    with sandbox(tmp_path) as (client, _):
        truth = {item["outcome_id"]: item for item in everything(client, "outcomes")}
        closed = client.post("/closures", json=batch("k1", range(90)), headers={"Idempotency-Key": "k1"}).json()
    seen: Counter = Counter()
    with sandbox(tmp_path, VS_RIS_FAULTS="0.6") as (client, _):
        shown: list[dict] = []
        cursor, passes = None, 0
        # an item may slip to another page while somebody reads, so one reads until a pass brings nothing new
        known = -1
        while len({str(item) for item in shown}) > known or cursor:
            if cursor is None:
                known, passes = len({str(item) for item in shown}), passes + 1
            parameters = {"limit": "4"} | ({"cursor": cursor} if cursor else {})
            page = stubborn(client, "GET", "/outcomes", seen, params=parameters)
            shown += page["items"]
            cursor = page["next_cursor"]
        again = stubborn(
            client, "POST", "/closures", seen, json=batch("k1", range(90)), headers={"Idempotency-Key": "k1"}
        )
        answers = [
            stubborn(
                client, "POST", "/closures", seen, json=batch(f"k{n}", range(90)), headers={"Idempotency-Key": f"k{n}"}
            )
            for n in range(2, 30)
        ]
    newest = {item["outcome_id"]: item for item in sorted(shown, key=lambda item: item["updated_at"])}
    assert newest == truth
    assert len(shown) > passes * len(truth), "no page was shifted or repeated and nothing was corrected"
    assert again == closed
    assert all(sorted(answer["accepted"]) == sorted(closed["accepted"]) for answer in answers)
    assert set(seen) == {200, 401, 429, 500, 503, "cut"}
    assert 0.3 <= (seen.total() - seen[200]) / seen.total() <= 0.5


def test_the_platforms_own_client_gets_the_whole_truth_out_of_it(tmp_path: Path) -> None:
    put_list(tmp_path / "exchange", "2024-04", 1, range(250))
    with sandbox(tmp_path) as (client, _):
        outcomes, followups = everything(client, "outcomes"), everything(client, "followups")
    with sandbox(tmp_path, VS_RIS_FAULTS="0.4") as (client, _):
        connection = RisConnection(str(client.base_url).rstrip("/"), TOKEN)
        ours = RisClient(connection_source=lambda: connection, sleep=lambda seconds: None, page_size=20)
        pulled = ours.outcomes(None), ours.followups(None)
        answer = ours.close("batch_9", "2024-04", batch("batch_9", range(60))["items"])
    newest = {one["outcome_id"]: one for one in sorted(pulled[0], key=lambda one: one["updated_at"])}
    assert newest == {one["outcome_id"]: one for one in outcomes}
    assert sorted(pulled[1], key=str) == sorted(followups, key=str)
    assert answer.accepted | answer.rejected.keys() == {f"case_{n}" for n in range(60)}
