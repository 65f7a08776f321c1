"""A quality gate as a task. A gate that stops is never tried again: the data is what it is, a person must look."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Asset, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from include.orchestration.defaults import MONTH

GATE_NAMES = {
    "G1": "landed",
    "G2": "matched",
    "G3": "enriched",
    "G4": "categorised",
    "G5": "call_list",
    "G6": "outcomes",
    "G7": "closure",
    "G8": "marts",
}


def gate(name: str, *, month: Any = MONTH, outlets: tuple[Asset, ...] = (), **task_arguments: Any):
    """The task of gate `name`: a critical rule stops the run, a warning does not; verdicts in ops.gate_results."""

    @task(task_id=f"gate_{name.lower()}_{GATE_NAMES[name]}", outlets=list(outlets), **task_arguments)
    def pass_gate(gate: str, month: str) -> dict:
        """Run the gate's suite on the month."""
        from include.months import Month
        from include.orchestration.summaries import as_counts
        from include.quality.gates import GateStopped, run_gate

        try:
            return as_counts(run_gate(gate, Month.parse(month), run_id=get_current_context()["run_id"]))
        except GateStopped as stopped:
            raise AirflowFailException(str(stopped)) from stopped

    return pass_gate(name, month)
