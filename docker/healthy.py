"""Is this service healthy? `python docker/healthy.py scheduler`; the health checks of docker-compose.yml use it.

Airflow's components are asked of its monitor, as it sees them; a worker, of Celery; the others, at their own door.
Where that is, the service's own settings say. Standard library only, but for the worker.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from urllib.parse import urljoin
from urllib.request import ProxyHandler, build_opener

SECONDS = 10
CELERY_APP = "airflow.providers.celery.executors.celery_executor.app"


def main(service: str) -> int:
    return 0 if CHECKS.get(service, _in_airflow)(service) else 1


def _in_airflow(component: str) -> bool:
    monitor = urljoin(os.environ["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"], "/api/v2/monitor/health")
    with build_opener(ProxyHandler({})).open(monitor, timeout=SECONDS) as answer:
        return json.load(answer)[component]["status"] == "healthy"


def _worker(_: str) -> bool:
    name = f"celery@{socket.gethostname()}"
    ping = [sys.executable, "-m", "celery", "--app", CELERY_APP, "inspect", "ping", "--destination", name]
    return subprocess.run(ping, stdout=subprocess.DEVNULL, check=False).returncode == 0


def _sftp(_: str) -> bool:
    with socket.create_connection(("127.0.0.1", int(os.environ["VS_SFTP_PORT"])), SECONDS) as door:
        return door.recv(8).startswith(b"SSH-2.0")


def _sandbox(_: str) -> bool:
    socket.create_connection(("127.0.0.1", int(os.environ["VS_RIS_PORT"])), SECONDS).close()
    return True


def _superset(_: str) -> bool:
    door = f"http://127.0.0.1:{os.environ['VS_SUPERSET_PORT']}/health"
    with build_opener(ProxyHandler({})).open(door, timeout=SECONDS) as answer:
        return answer.read() == b"OK"


CHECKS = {"worker": _worker, "sftp": _sftp, "sandbox": _sandbox, "superset": _superset}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
