"""One process that runs months directly, each when its name comes in on a line: the other side of `make bench-month`.

For each it answers with one line of JSON: seconds, seconds of processor, and the seconds of each step.
"""

from __future__ import annotations

import json
import os
import sys
import time

from include.months import Month
from include.reporting.paper import print_report
from include.settings import Settings
from tests import month_in_process


def main() -> None:
    for line in sys.stdin:
        month, steps = Month.parse(line), {}
        used, began = _processor_seconds(), time.perf_counter()
        for step in month_in_process.STEPS:
            since = time.perf_counter()
            month_in_process.run_step(step, month)
            if step == "close":  # as its DAG does, where there is a Chromium
                print_report(Settings.from_environment().reports_folder / str(month) / "rapportage.html")
            steps[step] = time.perf_counter() - since
        answer = {
            "month": str(month),
            "seconds": time.perf_counter() - began,
            "processor_seconds": _processor_seconds() - used,
            "steps": steps,
        }
        print("month " + json.dumps(answer), flush=True)


def _processor_seconds() -> float:
    """Of this process and of what it started (the browser that prints)."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    main()
