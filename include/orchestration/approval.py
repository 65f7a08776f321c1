"""A person's yes or no inside the month: asked in Airflow, recorded in ops.approvals, and no when nobody answers.

Matching, calling and closing are decisions of the municipality, not of a schedule (domain.md §1.6). A no is recorded
as well; it fails the run, so that everybody sees that nothing left the house. Clear the approval task to ask again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Context, Param
from airflow.sdk.exceptions import AirflowFailException

from include.orchestration.defaults import MONTH
from include.orchestration.questions import QUESTIONS
from include.settings import Settings

NOBODY = "nobody (no answer in time)"


class MonthApproval(ApprovalOperator):
    """Asks whether `about` (call_list or closure) of the month may go out; the answer is recorded before it counts."""

    template_fields: Sequence[str] = ("subject", "body", "month")

    def __init__(self, *, about: str, month: str = MONTH, **kwargs: Any) -> None:
        question = QUESTIONS[about]
        filled = (
            "{% set month = dag_run.partition_key %}{% set counts = ti.xcom_pull(task_ids='count_" + about + "') %}"
        )
        super().__init__(
            subject=filled + question.subject,
            body=filled + question.body,
            defaults=[self.REJECT],
            response_timeout=Settings.from_environment().approval_wait,
            params={"remark": Param("", type="string", title="Remark (no personal data)")},
            **kwargs,
        )
        self.about, self.month = about, month

    def execute(self, context: Context) -> dict[str, str]:
        """Ask, unless a person has said yes to this very question and only the worker was lost since."""
        given = self._yes_of(context["run_id"]) if self._is_tried_again(context) else None
        if given:
            return given
        from include.months import Month
        from include.outbound.approvals import record_question

        record_question(Month.parse(self.month), self._recorded_as(), context["run_id"])
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, str]:
        """Record who decided what, and when; then go on, or fail with what the person said."""
        from include.months import Month
        from include.outbound.approvals import record_approval

        month, subject = Month.parse(self.month), self._recorded_as()

        if "error" in event:
            self.process_trigger_event_error(event)
        decision = "approved" if event["chosen_options"] == [self.APPROVE] else "rejected"
        decided_by, remark = _name(event.get("responded_by_user")), (event.get("params_input") or {}).get("remark")
        record_approval(
            month, subject, context["run_id"], decision, decided_by, event["responded_at"],
            remark or None,
        )  # fmt: skip
        if decision == "rejected":
            raise AirflowFailException(
                f"The {subject.replace('_', ' ')} of {self.month} was not approved (by {decided_by}"
                f"{f': {remark}' if remark else ''}). Nothing was sent. To ask again: clear {self.task_id} in this run."
            )
        return _answer(decided_by, event["responded_at"])

    def _is_tried_again(self, context: Context) -> bool:
        # Airflow raises max_tries when a person clears the task, and then the question is a new one
        return context["ti"].try_number > 1 and context["ti"].max_tries <= self.retries

    def _recorded_as(self) -> str:
        """The subject in ops.approvals: closing a month that is closed already is another decision."""
        from include.months import Month
        from include.outbound.approvals import closing_subject

        return closing_subject(Month.parse(self.month)) if self.about == "closure" else self.about

    def _yes_of(self, run_id: str) -> dict[str, str] | None:
        from include.settings import Role
        from include.warehouse.connection import connect

        with connect(Role.EXPORTER) as connection:
            row = connection.execute(
                "select decided_by, decided_at from ops.approvals"
                " where signal_month = %s and subject = %s and run_id = %s and decision = 'approved'",
                (self.month, self._recorded_as(), run_id),
            ).fetchone()
        return _answer(*row) if row else None


def _answer(decided_by: str, decided_at: datetime) -> dict[str, str]:
    return {"decision": "approved", "decided_by": decided_by, "decided_at": decided_at.isoformat()}


def _name(user: Mapping[str, str] | None) -> str:
    return (user.get("name") or user.get("id") or NOBODY) if user else NOBODY
