"""Import the heavy libraries once, in the process tasks are forked from: free for each of them.

That is the scheduler with LocalExecutor, and a worker with Celery. Great Expectations alone costs a task some seven
seconds otherwise. Only those have this folder on their path, and the check below keeps the cost away from any other
Airflow command that might inherit it.
"""

import logging
import os
import sys

__all__: list[str] = []

_COMPONENT = "worker" if os.environ.get("AIRFLOW__CORE__EXECUTOR") == "CeleryExecutor" else "scheduler"

if _COMPONENT in sys.argv[1:]:
    # GX warns about its own documentation decorators at import
    logging.getLogger("great_expectations._docs_decorators").setLevel(logging.ERROR)

    import cosmos.operators.local  # noqa: F401
    import dbt.cli.main  # noqa: F401
    import great_expectations  # noqa: F401
    import pandas  # noqa: F401
