"""Load what tasks need once, in the process they are forked from: free for each of them.

That is the scheduler with LocalExecutor, and a worker with Celery. Only those have this folder on their path, and the
check below keeps the cost away from any other Airflow command that might inherit it. What is loaded stands in
include/orchestration/preload.py.
"""

import os
import sys

__all__: list[str] = []

_COMPONENT = "worker" if os.environ.get("AIRFLOW__CORE__EXECUTOR") == "CeleryExecutor" else "scheduler"

if _COMPONENT in sys.argv[1:]:
    from include.orchestration.preload import preload

    preload()
