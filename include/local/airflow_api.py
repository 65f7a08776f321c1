"""Airflow's REST API v2, as far as driving a month needs it: the same calls a person's browser makes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote

import httpx

from include.local.airflow import USER, LocalAirflow
from include.months import Month

UNFINISHED_RUNS = frozenset({"queued", "running"})
PATIENCE = 30.0


class AirflowSilent(RuntimeError):
    """Airflow does not answer; the message says what to run."""


class AirflowRefused(RuntimeError):
    """Airflow answered no; the message has its reason."""


@dataclass(frozen=True)
class Run:
    """One run of one DAG."""

    dag: str
    run_id: str
    state: str
    partition_key: str | None

    @property
    def is_unfinished(self) -> bool:
        return self.state in UNFINISHED_RUNS


@dataclass(frozen=True)
class Task:
    """One task of a run; of a mapped task, one of its parts. `instance` is another one when it is tried again."""

    instance: str
    task_id: str
    map_index: int
    label: str
    state: str
    try_number: int
    seconds: float | None

    @property
    def name(self) -> str:
        if self.map_index < 0:
            return self.task_id
        return f"{self.task_id}[{self.label or self.map_index}]"


@dataclass
class AirflowApi:
    """A logged-in client. Short cuts of the connection are waited out; a longer silence is an error."""

    airflow: LocalAirflow
    _client: httpx.Client = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # trust_env=False: a proxy of the machine has no business between us and 127.0.0.1
        self._client = httpx.Client(base_url=self.airflow.url, trust_env=False, timeout=30)

    def close(self) -> None:
        self._client.close()

    def knows(self, dag: str) -> bool:
        """The DAG is parsed and may run."""
        response = self._send("GET", f"/dags/{dag}", accept=(200, 404))
        return response.status_code == 200 and not response.json()["is_paused"]

    def import_errors(self) -> list[str]:
        found = self._send("GET", "/importErrors").json()["import_errors"]
        return [f"{error['filename']}: {error['stack_trace'].strip().splitlines()[-1]}" for error in found]

    def trigger(self, dag: str, month: Month | None) -> Run:
        """Start a run, for `month` when the DAG is partitioned."""
        body: dict[str, Any] = {"logical_date": None}
        if month:
            body["partition_key"] = str(month)
        return _run(self._send("POST", f"/dags/{dag}/dagRuns", json=body).json())

    def runs(self, dag: str, month: Month | None) -> list[Run]:
        """The newest runs of `dag` (of one month), newest first."""
        query: dict[str, Any] = {"order_by": "-id", "limit": 50}
        if month:
            query["partition_key_pattern"] = str(month)
        return [_run(item) for item in self._send("GET", f"/dags/{dag}/dagRuns", params=query).json()["dag_runs"]]

    def run(self, run: Run) -> Run:
        return _run(self._send("GET", _path(run)).json())

    def tasks(self, run: Run) -> list[Task]:
        query = {"limit": 100, "order_by": "start_date"}
        found: list[Task] = []
        while True:
            page = self._send("GET", f"{_path(run)}/taskInstances", params=query | {"offset": len(found)}).json()
            found += [_task(item) for item in page["task_instances"]]
            if not page["task_instances"] or len(found) >= page["total_entries"]:
                return found

    def question(self, run: Run, task: Task) -> str:
        """What the approval asks."""
        detail = self._send("GET", f"{_path(run)}/taskInstances/{task.task_id}/{task.map_index}/hitlDetails").json()
        return str(detail["subject"])

    def answer(self, run: Run, task: Task, choice: Literal["Approve", "Reject"]) -> bool:
        """Answer the approval; False when somebody answered before."""
        path = f"{_path(run)}/taskInstances/{task.task_id}/{task.map_index}/hitlDetails"
        body = {"chosen_options": [choice], "params_input": {}}
        return self._send("PATCH", path, json=body, accept=(200, 409)).status_code == 200

    def approval_url(self, run: Run, task: Task) -> str:
        run_id = quote(run.run_id, safe="")
        return f"{self.airflow.url}/dags/{run.dag}/runs/{run_id}/tasks/{task.task_id}/required_actions"

    def run_url(self, run: Run) -> str:
        return f"{self.airflow.url}/dags/{run.dag}/runs/{quote(run.run_id, safe='')}"

    def log_lines(self, run: Run, task: Task) -> list[Mapping[str, Any]]:
        """The log of the task's last try, one mapping a line."""
        path = f"{_path(run)}/taskInstances/{task.task_id}/logs/{max(task.try_number, 1)}"
        query = {"map_index": task.map_index, "full_content": "true"}
        answer = self._send("GET", path, params=query, accept=(200, 404))
        content = answer.json().get("content", []) if answer.status_code == 200 else []
        return [line if isinstance(line, dict) else {"event": str(line)} for line in content]

    def error_of(self, run: Run, task: Task) -> str:
        """What went wrong in the task's last try, in its own words."""
        lines = self.log_lines(run, task)
        for line in reversed(lines):
            details = line.get("error_detail") or []
            if details:
                return f"{details[-1].get('exc_type')}: {details[-1].get('exc_value')}"
        errors = [str(line["event"]) for line in lines if line.get("level") in ("error", "critical")]
        return "\n".join(errors[-5:]) or "the log of the task says nothing; see Airflow"

    def _send(
        self, method: str, path: str, *, accept: tuple[int, ...] = (200, 201), **arguments: Any
    ) -> httpx.Response:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                if "Authorization" not in self._client.headers:
                    self._log_in()
                response = self._client.request(method, f"/api/v2{path}", **arguments)
                if response.status_code == 401:
                    self._log_in()
                    response = self._client.request(method, f"/api/v2{path}", **arguments)
            except httpx.TransportError as silence:
                # a POST that was cut may have arrived; starting a run twice is worse than asking a person
                if method == "POST" and not isinstance(silence, httpx.ConnectError):
                    raise AirflowSilent(
                        f"Airflow broke off while a run was being started ({silence}). Run `vs up`, then this again."
                    ) from silence
                if time.monotonic() > end:
                    raise AirflowSilent(
                        f"Airflow does not answer on {self.airflow.url}. Start it with `vs up`, then run this again."
                    ) from silence
                time.sleep(0.5)
                continue
            if response.status_code >= 500 and method == "GET" and time.monotonic() < end:
                time.sleep(0.5)
                continue
            if response.status_code >= 500:
                raise AirflowSilent(
                    f"Airflow has trouble of its own ({response.status_code} to {method} {path}): {_reason(response)}\n"
                    "`vs status` says what is down, `vs up` starts it; then run this again."
                )
            if response.status_code not in accept:
                raise AirflowRefused(f"Airflow answered {response.status_code} to {method} {path}: {_reason(response)}")
            return response

    def _log_in(self) -> None:
        credentials = {"username": USER, "password": self.airflow.instance.secret("airflow_admin")}
        self._client.headers.pop("Authorization", None)
        response = self._client.post("/auth/token", json=credentials)
        if response.status_code != 201:
            raise AirflowRefused(
                f"Airflow does not let {USER} in ({response.status_code}); run `vs down`, then `vs up`."
            )
        self._client.headers["Authorization"] = f"Bearer {response.json()['access_token']}"


def _path(run: Run) -> str:
    return f"/dags/{run.dag}/dagRuns/{quote(run.run_id, safe='')}"


def _run(item: Mapping[str, Any]) -> Run:
    return Run(item["dag_id"], item["dag_run_id"], item["state"], item.get("partition_key"))


def _task(item: Mapping[str, Any]) -> Task:
    return Task(
        item["id"], item["task_id"], item["map_index"], item.get("rendered_map_index") or "",
        item["state"] or "waiting", item["try_number"], item.get("duration"),
    )  # fmt: skip


def _reason(response: httpx.Response) -> str:
    try:
        return str(response.json().get("detail", response.text))[:500]
    except ValueError:
        return response.text[:500]
