"""What lineage costs: `make bench-lineage`.

Two ways to write OpenLineage events to a file, and none, turn by turn in one run:
  none      a DAG of small tasks, no lineage
  provider  the same DAG with Airflow's OpenLineage provider listening to every task (file transport, no source code)
  ours      the events of one dbt stage (include/warehouse/lineage.py), beside what an event a task would be
The tasks run by `dag.test()` in a process of their own, with a metadata database of the run's own: processor seconds of
that process and of all it forked, a task. The provider is imported before the clock starts, as the scheduler would have
it; it is installed for this bench only (bench/lineage.requirements.txt). What the machine does beside it (load) is
printed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.figures import RESULTS, tell
from include.settings import PROJECT_ROOT

PROVIDER = RESULTS / "openlineage"
MODELS = 40

TASKS = """
import json, os, resource, sys, time
from airflow.sdk import DAG, task
if sys.argv[2] == "provider":
    import airflow.providers.openlineage.plugins.listener, airflow.providers.openlineage.plugins.adapter
with DAG("small", schedule=None) as dag:
    @task
    def step(number):
        return number
    tasks = [step.override(task_id=f"step_{number}")(number) for number in range(int(sys.argv[1]))]
    for one, other in zip(tasks, tasks[1:]):
        one >> other
def used():
    both = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)
if __name__ == "__main__":
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.session import create_session
    with create_session() as session:
        session.merge(DagBundleModel(name="bench"))
    sync_bag_to_db(DagBag(__file__), "bench", None)
    begun, clock = used(), time.monotonic()
    run = dag.test()
    assert str(run.state) == "success", run.state
    print("FIGURES" + json.dumps([used() - begun, time.monotonic() - clock]))
"""

EVENTS = """
import json, sys, time
from datetime import UTC, datetime
from include.months import Month
from include.warehouse.lineage import Made, write_lineage
numbers = range(int(sys.argv[1]))
made = [Made(f"model.m{n}", f"intermediate.m{n}", (f"staging.a{n}", f"staging.b{n}"), n, True) for n in numbers]
begun = time.process_time()
assert write_lineage(made, "matched", Month(2024, 6), "run", datetime.now(UTC)) == len(made)
print("FIGURES" + json.dumps([time.process_time() - begun]))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=10)
    parser.add_argument("--turns", type=int, default=3)
    asked = parser.parse_args()
    _install_provider()
    seconds: dict[str, list[list[float]]] = {"none": [], "provider": [], "ours": []}
    with tempfile.TemporaryDirectory(prefix="vs-bench-") as folder:
        _airflow(Path(folder), "none", "-m", "airflow", "db", "migrate")
        script, events = Path(folder) / "dags" / "small.py", Path(folder) / "events.py"
        script.parent.mkdir()
        script.write_text(TASKS, encoding="utf-8")
        events.write_text(EVENTS, encoding="utf-8")
        for _ in range(asked.turns):
            for way in ("none", "provider"):
                seconds[way].append(_figures(_airflow(Path(folder), way, str(script), str(asked.tasks), way)))
            seconds["ours"].append(_figures(_airflow(Path(folder), "none", str(events), str(MODELS))))
        provider_events = (Path(folder) / "provider.jsonl").read_text(encoding="utf-8").count("\n")
    processor = {way: statistics.median(turn[0] for turn in turns) for way, turns in seconds.items()}
    figures: dict[str, float | int] = {
        "tasks": asked.tasks,
        "provider_events": provider_events,
        "none_processor_ms_a_task": round(1000 * processor["none"] / asked.tasks, 1),
        "provider_processor_ms_a_task": round(1000 * processor["provider"] / asked.tasks, 1),
        "provider_costs_ms_a_task": round(1000 * (processor["provider"] - processor["none"]) / asked.tasks, 1),
        "ours_costs_ms_a_stage_of_40_models": round(1000 * processor["ours"], 1),
        "load": round(os.getloadavg()[0], 1),
    }
    tell("lineage", figures)
    return 0


def _install_provider() -> None:
    if not PROVIDER.exists():
        wanted = str(Path(__file__).with_suffix(".requirements.txt"))
        install = ["-m", "uv", "pip", "install", "--quiet", "--no-deps", "--target", str(PROVIDER), "-r", wanted]
        subprocess.run([sys.executable, *install], check=True)


def _airflow(folder: Path, way: str, *arguments: str) -> str:
    """Run Python with an Airflow of this bench's own, the provider within reach or not; what it printed."""
    paths = [str(PROJECT_ROOT)] + ([str(PROVIDER)] if way == "provider" else [])
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(
            {"type": "file", "log_file_path": str(folder / "provider.jsonl"), "append": True}
        ),
        "AIRFLOW__OPENLINEAGE__NAMESPACE": "vroegsignalering",
        "AIRFLOW__OPENLINEAGE__DISABLE_SOURCE_CODE": "true",
        "VS_LINEAGE_FILE": str(folder / "ours.jsonl"),
        "VS_WAREHOUSE_HOST": "127.0.0.1",
        "VS_WAREHOUSE_PORT": "5432",
        "VS_WAREHOUSE_DATABASE": "vroegsignalering",
    }
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{arguments[0]} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done.stdout


def _figures(printed: str) -> list[float]:
    return json.loads(printed.rsplit("FIGURES", 1)[1].splitlines()[0])


if __name__ == "__main__":
    sys.exit(main())
