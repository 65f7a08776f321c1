"""The embedded server's own system user, on a machine that is new."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Iterator

import pytest

PROBE = "vs_test_probe"
MAKE = f"""
import pwd
from include.local.postgres import make_system_user
input()
make_system_user("{PROBE}")
print(pwd.getpwnam("{PROBE}").pw_uid)
"""


@pytest.fixture
def no_probe() -> Iterator[None]:
    remove = ["userdel", PROBE]
    subprocess.run(remove, check=False, capture_output=True)
    yield
    subprocess.run(remove, check=True, capture_output=True)


# CI runs as root, so there it always runs. As anybody else `_system_user` answers None and no user is ever made:
# there is nothing to be made twice, and no right to try.
@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes users; PostgreSQL runs as anybody else without one")
def test_processes_that_begin_together_get_one_and_the_same_user(no_probe: None):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", MAKE],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        for _ in range(4)
    ]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    told = [process.communicate(timeout=60) for process in processes]
    assert {output.strip() for output, _ in told} == {str(pwd.getpwnam(PROBE).pw_uid)}, told
