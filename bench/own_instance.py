"""A platform of a bench's own: PostgreSQL with the warehouse's tables and code lists, in a temporary folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from include.local.instance import Instance


@contextmanager
def own_instance() -> Iterator[Instance]:
    """Started, with the foundation built; this process is told where it is. Stopped and gone afterwards."""
    from include.warehouse.dbt import build_stage

    with tempfile.TemporaryDirectory(prefix="vs-bench-") as folder:
        instance = Instance(Path(folder) / "home")
        instance.create()
        instance.start_warehouse()
        os.environ.update(instance.platform_environment())
        try:
            build_stage("foundation")
            yield instance
        finally:
            instance.postgres.stop()
