"""Import the heavy libraries once, in the scheduler: LocalExecutor forks every task from it, free for each.

Great Expectations alone costs a task some seven seconds otherwise. Only the scheduler has this folder on its path, and
the check below keeps the cost away from any other Airflow command that might inherit it.
"""

import logging
import sys

__all__: list[str] = []

if "scheduler" in sys.argv[1:]:
    # GX warns about its own documentation decorators at import
    logging.getLogger("great_expectations._docs_decorators").setLevel(logging.ERROR)

    import cosmos.operators.local  # noqa: F401
    import dbt.cli.main  # noqa: F401
    import great_expectations  # noqa: F401
    import pandas  # noqa: F401
