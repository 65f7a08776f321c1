"""Every kind of thing that waits for somebody or went wrong: what it is called, what to do, the runbook, its limit.

Rule: one row a kind. A kind with a limit becomes an alert when it has waited longer (include/alerts/watch.py); what is
raised where it happens (a gate, a failed task, a delivery that did not come) needs none; the rest is only shown. To
add a kind, add a row here and, when it is something that waits, a part to the view `ops.waiting` (a migration).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from include.settings import Settings

RUNBOOKS = "docs/runbooks"


@dataclass(frozen=True)
class Kind:
    """`title` begins the message; `do` is what a person runs, with {month} and {subject} filled in."""

    name: str
    title: str
    do: str
    runbook: str
    limit: Callable[[Settings], timedelta] | None = None

    def what_to_do(self, month: str, subject: str) -> str:
        return self.do.format(month=month, subject=subject)

    @property
    def link(self) -> str:
        """Where the runbook can be read: under VS_DOCS_URL when that is set, else its path in the project."""
        base = Settings.from_environment().docs_url
        return f"{base.rstrip('/')}/{self.runbook}" if base else self.runbook


_KINDS = (
    # -- what waits (ops.waiting) --
    Kind(
        "missing_delivery", "delivery that did not come",
        "ask the partner; `vs deliveries list {month}` shows how it stands; the file is taken in when it comes",
        f"{RUNBOOKS}/ingest-partner-files.md#a-partner-that-does-not-deliver",
    ),
    Kind(
        "refused_file", "refused file", "send the partner its receipt, or mend the contract: vs quarantine list",
        f"{RUNBOOKS}/ingest-partner-files.md#symptoms",
    ),
    Kind(
        "approval", "question nobody has answered",
        "look at the counts and answer: Airflow, Required actions ({subject} of {month}); no answer is a no",
        f"{RUNBOOKS}/tell-somebody.md#a-question-nobody-answered", lambda settings: settings.approval_alert,
    ),
    Kind(
        "restatement", "closed month RIS says something new about",
        "propose the next version: vs month {month} --restate",
        f"{RUNBOOKS}/close-month.md#what-became-known-after-closing",
    ),
    Kind(
        "closure_batch", "closure batch RIS has not acknowledged",
        "ask the administrator of RIS about the batch of {month}; its answer is taken in when it comes",
        f"{RUNBOOKS}/close-month.md#symptoms", lambda settings: settings.acknowledgement_wait,
    ),
    Kind(
        "enrichment_request", "numbers to look up that were not answered",
        "ask the enrichment provider for the answer to {subject}; it is taken in by build_cases",
        f"{RUNBOOKS}/build-cases.md#symptoms", lambda settings: settings.enrichment_wait,
    ),
    Kind(
        "call_list", "call list nobody has called from",
        "ask Certin whether it has {subject}; when it has: vs exports acknowledge {subject} --by NAME",
        f"{RUNBOOKS}/deliver-call-lists.md#a-list-nobody-acknowledged", lambda settings: settings.call_list_alert,
    ),
    Kind(
        "worklist", "work list nobody has taken up",
        "ask Kwadraad whether it has {subject}; when it has: vs exports acknowledge {subject} --by NAME",
        f"{RUNBOOKS}/deliver-call-lists.md#a-list-nobody-acknowledged", lambda settings: settings.worklist_alert,
    ),
    Kind(
        "call_outcomes", "call records without an outcome", "nothing until the call days are over; then ask Certin",
        f"{RUNBOOKS}/collect-ris-outcomes.md",
    ),
    Kind(
        "quarantine", "rows in quarantine",
        "look, then release or discard: vs quarantine list --month {month} --partner {subject}",
        f"{RUNBOOKS}/replay-quarantine.md", lambda settings: settings.quarantine_alert,
    ),
    Kind(
        "match_review", "uncertain matches", "a person decides who is who (sheet Beoordelen): vs review list",
        f"{RUNBOOKS}/build-cases.md",
    ),
    Kind(
        "escalation", "escalation candidates", "a person decides (sheet Beoordelen): vs escalation list",
        f"{RUNBOOKS}/build-cases.md",
    ),
    Kind(
        "help_accepted", "residents who accepted help and wait", "call them back (sheet Warm of the newest work list)",
        f"{RUNBOOKS}/collect-ris-outcomes.md",
    ),
    # -- what went wrong (raised where it happens) --
    Kind(
        "gate_stop", "gate that stopped", "mend what the rule names, then clear the gate's task in the run of {month}",
        f"{RUNBOOKS}/tell-somebody.md#a-gate-stopped",
    ),
    Kind(
        "task_failed", "task that failed", "read its log in Airflow ({subject}), mend the cause, clear the task",
        f"{RUNBOOKS}/tell-somebody.md#a-task-failed",
    ),
    Kind(
        "deadline", "run that is not done in time",
        "see what it waits for: vs status, or the run of {month} in Airflow",
        f"{RUNBOOKS}/tell-somebody.md#a-deadline-passed",
    ),
)  # fmt: skip

KINDS = {kind.name: kind for kind in _KINDS}
#: these do not wait for somebody: they are settled when the same thing goes well, or the month is closed all the same
WENT_WRONG = frozenset({"gate_stop", "task_failed", "deadline"})
