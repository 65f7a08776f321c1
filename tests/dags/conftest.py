"""Airflow imported by these tests finds a home of its own, never the user's."""

import atexit
import os
import shutil
import tempfile

if "AIRFLOW_HOME" not in os.environ:
    # before any test module imports Airflow, which makes its home at import
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="vs-airflow-")
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "false"
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)
