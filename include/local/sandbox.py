"""The synthetic municipality as a process of its own: it knows the exchange folders and its RIS port, nothing else.

`vs up --sandbox` starts it; `vs demo` lets it write the partner files of each month. It has no warehouse password.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from dataclasses import dataclass

from include.local.instance import Instance
from include.local.processes import Processes, Service, inherited_environment, wait_until
from include.months import Month
from include.settings import PROJECT_ROOT

NAME = "sandbox"


class SandboxFailed(RuntimeError):
    """The sandbox did not start or did not deliver; the message has its last words or its log."""


@dataclass(frozen=True)
class LocalSandbox:
    """The sandbox of one instance."""

    instance: Instance

    @property
    def processes(self) -> Processes:
        return Processes(self.instance.home)

    def start(self) -> bool:
        return self.processes.start(self._service())

    def stop(self) -> None:
        self.processes.stop([NAME])

    def wait_until_serving(self, seconds: float = 60) -> None:
        """Return when its RIS server accepts connections."""
        wait_until(lambda: self.is_serving() or not self.processes.is_running(NAME), seconds)
        if not self.is_serving():
            raise SandboxFailed(
                f"The sandbox does not serve RIS on {self.instance.ris_url}; see {self.processes.log(NAME)}"
            )

    def is_serving(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.instance.port("ris"))) == 0

    def deliver(self, month: Month) -> str:
        """Let the partners write their files of `month`; returns what the sandbox said."""
        done = subprocess.run(
            [sys.executable, "-m", "include.sandbox", "deliver", str(month)],
            env=self._environment(), cwd=PROJECT_ROOT, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SandboxFailed(f"The sandbox did not deliver {month}:\n{(done.stderr or done.stdout)[-1500:]}")
        return done.stdout.strip()

    def _environment(self) -> dict[str, str]:
        return inherited_environment() | self.instance.sandbox_environment() | {"PYTHONPATH": str(PROJECT_ROOT)}

    def _service(self) -> Service:
        command = (sys.executable, "-m", "include.sandbox", "serve")
        return Service(NAME, command, self._environment(), self.instance.home / "sandbox")
