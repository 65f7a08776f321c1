"""Drive one month through Airflow and follow it: ingest, build, deliver, collect, close.

The driver starts runs and watches them; what a month does is decided by the DAGs. Within the chain each DAG starts the
next one by its asset, so the driver starts only the first step, the collection (which has no month) and the closure.
It can be cut off at any moment: when a run of the month is still under way, the next `vs month` goes on with that one.
To add a step, add a row to STEPS.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from include.local.airflow_api import AirflowApi, Run, Task
from include.months import Month

LOOK_EVERY = 0.5
DAG_APPEARS_WITHIN = 90.0
ASSET_STARTS_WITHIN = 60.0
# An approval is answered, or a wait told, no sooner than this, unless the scheduler's log says that it may be. Airflow
# parks the task while its process still ends; an answer in that instant queues the task again before the end is
# noticed, and Airflow 3.3.2 takes it for killed.
SETTLED_AFTER = 3.0
ASKING = "awaiting_input"
WAITING_STATES = frozenset({"deferred", "up_for_reschedule", "up_for_retry"})
FAILED_STATES = ("failed", "upstream_failed")


@dataclass(frozen=True)
class Step:
    """One DAG of the month. `by_asset`: the step before it starts it."""

    name: str
    dag: str
    by_asset: bool
    has_month: bool = True


STEPS = (
    Step("ingest", "ingest_partner_files", by_asset=False),
    Step("build", "build_cases", by_asset=True),
    Step("deliver", "deliver_call_lists", by_asset=True),
    Step("collect", "collect_ris_outcomes", by_asset=False, has_month=False),
    Step("close", "close_month", by_asset=False),
)
STEP_NAMES = tuple(step.name for step in STEPS)


class MonthStopped(RuntimeError):
    """The month does not go on by itself; the message says where, why and what to run next."""


class Display(Protocol):
    """Where progress is shown."""

    def step(self, step: Step, message: str) -> None:
        """Something about a whole step."""

    def tasks(self, step: Step, tasks: Sequence[Task]) -> None:
        """The step's tasks as they are now."""


def chosen_steps(first: str | None, last: str | None) -> tuple[Step, ...]:
    """The steps from `first` up to and including `last`; ValueError when there is nothing between them."""
    start = STEP_NAMES.index(first) if first else 0
    end = STEP_NAMES.index(last) if last else len(STEPS) - 1
    if end < start:
        raise ValueError(f"--until {last} comes before --from {first}")
    return STEPS[start : end + 1]


@dataclass
class MonthDriver:
    """Follows `month`; with `approve` it answers the approvals as the logged-in user."""

    api: AirflowApi
    month: Month
    display: Display
    approve: bool = False

    def drive(self, steps: Sequence[Step], *, resume: bool) -> None:
        """Run `steps` in order. `resume`: go on with a run of the month that is still under way, if there is one."""
        self._wait_for_dags(steps)
        attached = self._under_way(steps) if resume else None
        if attached:
            steps = steps[[step.name for step in steps].index(attached[0].name) :]
            self.display.step(attached[0], f"still under way: going on with {attached[1].run_id}")
        known: frozenset[str] = frozenset()
        for step, following in zip(steps, [*steps[1:], None], strict=True):
            # taken before the step runs: whatever run of the next DAG comes after it is this step's doing
            before = self._known(following) if following and following.by_asset else frozenset()
            if attached and step is attached[0]:
                run = attached[1]
            elif step.by_asset and step is not steps[0]:
                run = self._started_by_asset(step, known)
            else:
                run = self.api.trigger(step.dag, self.month if step.has_month else None)
                self.display.step(step, f"started {run.run_id}")
            self._follow(step, run)
            known = before

    def _under_way(self, steps: Sequence[Step]) -> tuple[Step, Run] | None:
        """The furthest step that has an unfinished run of this month."""
        for step in reversed([step for step in steps if step.has_month]):
            for run in self.api.runs(step.dag, self.month):
                if run.is_unfinished:
                    return step, run
        return None

    def _known(self, step: Step) -> frozenset[str]:
        return frozenset(run.run_id for run in self.api.runs(step.dag, self.month))

    def _wait_for_dags(self, steps: Iterable[Step]) -> None:
        end = time.monotonic() + DAG_APPEARS_WITHIN
        missing = [step.dag for step in steps]
        while missing := [dag for dag in missing if not self.api.knows(dag)]:
            errors = self.api.import_errors()
            if errors or time.monotonic() > end:
                reason = "\n".join(errors) or "It is not there, or paused: look at the DAG list."
                raise MonthStopped(f"Airflow cannot run {', '.join(missing)}.\n{reason}")
            time.sleep(LOOK_EVERY)

    def _started_by_asset(self, step: Step, known: frozenset[str]) -> Run:
        end = time.monotonic() + ASSET_STARTS_WITHIN
        while True:
            for run in self.api.runs(step.dag, self.month):
                if run.run_id not in known:
                    self.display.step(step, f"started by its asset: {run.run_id}")
                    return run
            if time.monotonic() > end:
                raise MonthStopped(
                    f"{step.dag} of {self.month} was not started by the step before it in {ASSET_STARTS_WITHIN:.0f} s. "
                    f"Look at {self.api.airflow.url}/assets; to go on: vs month {self.month} --from {step.name}"
                )
            time.sleep(LOOK_EVERY)

    def _follow(self, step: Step, run: Run) -> None:
        started = last_check = time.monotonic()
        seen: dict[tuple[str, str, int], float] = {}
        told: set[tuple[str, str, int]] = set()
        while True:
            run = self.api.run(run)
            tasks = self.api.tasks(run)
            self.display.tasks(step, tasks)
            if not run.is_unfinished:
                break
            for task in tasks:
                state = (task.name, task.state, task.try_number)
                since = time.monotonic() - seen.setdefault(state, time.monotonic())
                if state in told or not self._is_settled(task, since):
                    continue
                if task.state == ASKING:
                    told.add(state)
                    self._decide(step, run, task)
                elif task.state in WAITING_STATES:
                    told.add(state)
                    self.display.step(step, f"{task.name}: {self._reason_to_wait(run, task)}")
            if time.monotonic() - last_check > 5:
                last_check = time.monotonic()
                self._check_scheduler()
            time.sleep(LOOK_EVERY)
        if run.state != "success":
            raise MonthStopped(self._failure(step, run, tasks))
        self.display.step(step, f"done in {time.monotonic() - started:.0f} s")

    def _is_settled(self, task: Task, since: float) -> bool:
        return since >= SETTLED_AFTER or (task.state == ASKING and self.api.airflow.has_noticed_question(task.instance))

    def _decide(self, step: Step, run: Run, task: Task) -> None:
        question = self.api.question(run, task)
        if self.approve:
            answered = self.api.answer(run, task, "Approve")
            self.display.step(step, f"{task.name}: {question} — {'approved' if answered else 'was answered already'}")
        else:
            url = self.api.approval_url(run, task)
            self.display.step(step, f"{task.name}: {question} — waits for a person; approve or reject at {url}")

    def _reason_to_wait(self, run: Run, task: Task) -> str:
        """What the task itself says it waits for: the last line it wrote."""
        if task.state == "up_for_retry":
            return f"failed and will be tried again: {self.api.error_of(run, task)}"
        said = [
            str(line["event"])
            for line in self.api.log_lines(run, task)
            if str(line.get("event", "")).startswith(str(self.month))
        ]
        return said[-1] if said else "waits"

    def _check_scheduler(self) -> None:
        if not self.api.airflow.processes.is_running("scheduler"):
            raise MonthStopped(
                f"Airflow's scheduler does not run, so {self.month} stands still. Start it with `vs up`, then go on "
                f"with `vs month {self.month}`; log: {self.api.airflow.processes.log('scheduler')}"
            )

    def _failure(self, step: Step, run: Run, tasks: Sequence[Task]) -> str:
        failed = [task for state in FAILED_STATES for task in tasks if task.state == state]
        causes = [task for task in failed if task.state == "failed"]
        words = [f"{self.month} stopped in step {step.name} ({step.dag}), run {run.run_id}."]
        words += [f"  {task.name}: {self.api.error_of(run, task)}" for task in causes[:5]]
        words.append(f"Look: {self.api.run_url(run)}")
        words.append(f"Then, when the cause is mended: vs month {self.month} --from {step.name}")
        return "\n".join(words)
