"""Waiting without a worker: a task looks once, and when it must wait it defers to the triggerer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from airflow.triggers.base import BaseTrigger, TriggerEvent

from include.orchestration.defaults import MONTH
from include.orchestration.retries import passes_by_itself
from include.orchestration.waits import CONDITIONS, Finding, Progress, look
from include.settings import Settings

# A task that is resumed while the process that deferred it still ends is taken for killed (Airflow 3.3.2): not sooner.
SETTLED_AFTER = 3.0


class ConditionTrigger(BaseTrigger):
    """Looks every `poll_seconds` until `condition` has another answer than "wait"."""

    def __init__(self, condition: str, month: str, poll_seconds: float) -> None:
        super().__init__()
        self.condition, self.month, self.poll_seconds = condition, month, poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {"condition": self.condition, "month": self.month, "poll_seconds": self.poll_seconds},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        said = ""
        # the task has just looked itself
        await asyncio.sleep(max(self.poll_seconds, SETTLED_AFTER))
        while True:
            try:
                finding = await asyncio.to_thread(look, self.condition, self.month)
            except Exception as failure:
                if not passes_by_itself(failure):
                    raise
                finding = Finding(Progress.WAIT, f"{type(failure).__name__} while looking; looking again.")
            if finding.progress is not Progress.WAIT:
                yield TriggerEvent(asdict(finding))
                return
            if finding.message != said:
                self.log.info(finding.message)
                said = finding.message
            await asyncio.sleep(self.poll_seconds)


class Await(BaseOperator):
    """Goes on, waits, skips the rest of the run or fails, as `condition` (see waits.py) says about `month`."""

    template_fields: Sequence[str] = ("month",)

    def __init__(self, *, condition: str, month: str = MONTH, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if condition not in CONDITIONS:
            raise ValueError(f"{condition!r} is not one of the conditions in waits.py: {', '.join(CONDITIONS)}")
        self.condition, self.month = condition, month

    def execute(self, context: Context) -> str:
        finding = look(self.condition, self.month)
        if finding.progress is Progress.WAIT:
            self.log.info(finding.message)
            self.defer(
                trigger=ConditionTrigger(self.condition, self.month, Settings.from_environment().poll_seconds),
                method_name="resume",
            )
        return self._conclude(finding)

    def resume(self, context: Context, event: dict[str, str]) -> str:
        return self._conclude(Finding(Progress(event["progress"]), event["message"]))

    def _conclude(self, finding: Finding) -> str:
        if finding.progress is Progress.SKIP:
            raise AirflowSkipException(finding.message)
        if finding.progress is Progress.STOP:
            raise AirflowFailException(finding.message)
        self.log.info(finding.message)
        return finding.message
