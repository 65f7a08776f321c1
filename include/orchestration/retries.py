"""Which failures pass by themselves: those are tried again, all others are not.

A broken contract, a gate that stopped and a mistake in the code fail in the same way the second time, and a person has
to look; a cut connection, a lock or a busy server does not need one. The classes are named, not imported: naming them
costs the DAG parser nothing. A killed worker is not judged here: Airflow itself tries such a task again.
"""

from __future__ import annotations

from airflow.sdk import RetryDecision, RetryPolicy

PASSING_FAILURES = frozenset(
    {
        "builtins.OSError",  # connections, timeouts, full or vanished network folders
        "psycopg.OperationalError",
        "psycopg2.OperationalError",
        "psycopg.errors.LockNotAvailable",
        "psycopg.errors.DeadlockDetected",
        "psycopg.errors.SerializationFailure",
        "sqlalchemy.exc.OperationalError",
        "httpx.TransportError",
        "httpx.HTTPStatusError",
        "include.exchange.ris.RisUnavailable",
        "include.orchestration.dbt_stage.StageInterrupted",
        "airflow.sdk.exceptions.TaskDeferralError",  # a waiting task lost its triggerer
    }
)


def passes_by_itself(failure: BaseException) -> bool:
    """True when `failure`, or what caused it, is one that another try may get past."""
    while failure is not None:
        if any(f"{kind.__module__}.{kind.__qualname__}" in PASSING_FAILURES for kind in type(failure).__mro__):
            return True
        failure = failure.__cause__
    return False


class OnlyPassingFailures(RetryPolicy):
    """Try again (as often as the task's `retries` say) only after a failure that may pass by itself."""

    def evaluate(self, exception, try_number, max_tries, context=None) -> RetryDecision:
        if passes_by_itself(exception):
            return RetryDecision.retry(reason=f"{type(exception).__name__} may pass; trying again")
        return RetryDecision.fail(reason=f"{type(exception).__name__} needs a person; not tried again")
