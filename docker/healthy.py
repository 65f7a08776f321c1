"""Is this service healthy? `python docker/healthy.py scheduler` asks Airflow's monitor; the health checks use it."""

from __future__ import annotations

import json
import sys
from urllib.request import urlopen

MONITOR = "http://api-server:8080/api/v2/monitor/health"


def main(component: str) -> int:
    with urlopen(MONITOR, timeout=10) as answer:
        health = json.load(answer)
    return 0 if health[component]["status"] == "healthy" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
