"""What tasks need, loaded once in the process they are forked from: LocalExecutor's scheduler, or a Celery worker.

A forked process has everything its parent had imported, free of charge. Without this a gate would spend seven seconds
on importing Great Expectations, a dbt stage one on what dbt loads and fills at its first invocation, every step some
tenths on its own modules. How to change: a package of steps is added to STEPS, a library that steps import only when
they run to LIBRARIES.

Not here: polars, whose threads do not come along in a fork.
"""

from __future__ import annotations

import importlib
import logging
import pkgutil

log = logging.getLogger(__name__)

STEPS = ("contracts", "exchange", "ingest", "orchestration", "outbound", "quality", "reporting", "warehouse")
LIBRARIES = (
    "airflow.providers.standard.operators.empty", "altair", "cosmos.operators.local", "dbt.cli.main", "dbt.task.build",
    "great_expectations", "jinja2", "jsonschema", "openpyxl", "pandas", "phonenumbers", "psycopg2", "vl_convert",
)  # fmt: skip


def preload() -> None:
    """Import every step and library, read the contracts, and let dbt read its project."""
    # GX warns about its own documentation decorators at import
    logging.getLogger("great_expectations._docs_decorators").setLevel(logging.ERROR)
    for library in LIBRARIES:
        importlib.import_module(library)
    for package in STEPS:
        folder = importlib.import_module(f"include.{package}")
        for module in pkgutil.walk_packages(folder.__path__, f"{folder.__name__}."):
            importlib.import_module(module.name)
    _read_contracts()
    _warm_dbt()


def _read_contracts() -> None:
    """A contract that has changed since is read again, by whoever needs it; a broken one is told by the steps."""
    from include.contracts.checking import broken_contracts

    broken_contracts()


def _warm_dbt() -> None:
    """A project that cannot be read stops the stages, which say why; it does not stop the scheduler."""
    from include.orchestration.dbt_stage import warm_target
    from include.settings import SettingMissing
    from include.warehouse.dbt import read_project

    try:
        unread = read_project(warm_target("preload"))
    except SettingMissing as missing:
        unread = str(missing)
    if unread:
        log.warning("dbt's project was not read beforehand; every stage reads it itself: %s", unread)
