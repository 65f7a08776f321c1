"""One fault at a time: back to just before a task, the fault, one rerun, and everything must be as if nothing happened.

What an undisturbed run leaves after a task is what a disturbed one must leave: from there the month is the same month.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from include.months import Month
from include.settings import PROJECT_ROOT
from tests.chaos.faults import KILLED, TO_BE_TRIED_AGAIN, Ended, Fault, Running, mount_again, run
from tests.chaos.house import VERDICTS, Disk, House
from tests.month_in_process import STEPS, with_deliveries

REPORT = PROJECT_ROOT / "build" / "bench" / "chaos.json"
MONTH = "whole.month"
#: what a disturbed process may end as: killed, told to try again, or done because the fault came after all its work
DISTURBED = {
    "kill": {KILLED},
    "kill at a moment": {KILLED, 0},
    "killed when done": {0},
    "power cut": {TO_BE_TRIED_AGAIN, 0},
    "exchange gone": {TO_BE_TRIED_AGAIN, 0},
    "disk full": {TO_BE_TRIED_AGAIN, 0},
    "two at once": {TO_BE_TRIED_AGAIN, 0},
}


@dataclass(frozen=True)
class Trial:
    """One fault that was tried."""

    kind: str
    task: str
    #: where it came, or when
    at: str
    #: how the disturbed process ended; 0 means that it lived through it
    ended: tuple[int, ...]
    #: what is not as it should be; empty when it was survived
    wrong: tuple[str, ...]
    seconds: float

    @property
    def survived(self) -> bool:
        return not self.wrong

    def __str__(self) -> str:
        verdict = "survived" if self.survived else f"NOT SURVIVED: {'; '.join(self.wrong[:6])}"
        return f"fault: {self.kind}, {self.task}, {self.at or 'after all its work'}: {verdict} ({self.seconds:.1f} s)"


@dataclass
class Trials:
    """The faults that were tried in one month of a house."""

    house: House
    month: Month
    seed: int
    dice: random.Random = field(init=False)
    tried: list[Trial] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        # the first process waits for the libraries to be imported
        self._run(".nothing")

    # -- the month -----------------------------------------------------------------------------------------------------

    def tasks(self) -> Iterator[str]:
        """The month's tasks, each with its step: `collect.build_marts`; files are looked for when their turn comes."""
        for step, names in STEPS.items():
            for name in names:
                yield from (f"{step}.{task}" for task in with_deliveries(name, self.month))

    def undisturbed(self, task: str) -> Ended:
        """The task, with nothing in its way."""
        ended = self._run(task)
        assert ended.code == 0, f"{task} failed undisturbed: {ended.at}"
        self.seconds[task] = ended.seconds
        return ended

    @contextmanager
    def before_and_after(self, task: str) -> Iterator[tuple[Mapping[str, str], Ended]]:
        """Run the task; in this block each fault begins just before it. Afterwards the house stands after it."""
        self.house.keep("before")
        ended = self.undisturbed(task)
        after = self.house.state(self.month)
        yield after, ended
        # what survived the last fault is the month that goes on; anything else is made once more
        if self.house.state(self.month) != after or self.house.is_on_small_disk:
            self.house.back_to("before")
            self.undisturbed(task)
        self.house.forget("before")

    # -- faults --------------------------------------------------------------------------------------------------------

    def kill(self, task: str, after: Mapping[str, str], places: int) -> None:
        """SIGKILL at one of its places."""
        self._at_place("kill", task, after, Fault("kill", self._place(places)))

    def kill_at_a_moment(self, task: str, after: Mapping[str, str]) -> None:
        """SIGKILL after a part of its time, in the middle of whatever it does there."""
        wait = self.dice.uniform(0.1, 0.9) * self.seconds[task]

        def disturb() -> tuple[list[Ended], str]:
            running = self._start(task)
            time.sleep(wait)
            running.kill()
            return [running.end()], f"after {wait:.2f} s"

        self._trial("kill at a moment", task, after, disturb)

    def kill_when_done(self, task: str, after: Mapping[str, str]) -> None:
        """The work is done and its worker dies before it can say so: the whole task runs once more."""
        self._trial("killed when done", task, after, lambda: ([self._run(task)], ""))

    def cut_power(self, task: str, after: Mapping[str, str], places: int) -> None:
        """SIGKILL of all of PostgreSQL; then it is started again."""
        data = str(self.house.instance.postgres.data)
        self._at_place(
            "power cut", task, after, Fault("power cut", self._place(places), data),
            restore=self.house.instance.postgres.start,
        )  # fmt: skip

    def lose_exchange(self, task: str, after: Mapping[str, str], places: int) -> None:
        """The exchange folders go as a network folder goes; later they are back."""
        root = str(self.house.exchange)

        def restore() -> list[str]:
            return [f"written beside the exchange: {path}" for path in mount_again(root)]

        self._at_place("exchange gone", task, after, Fault("exchange gone", self._place(places), root), restore=restore)

    def fill_exchange(self, task: str, after: Mapping[str, str], places: int, disk: Disk) -> None:
        """No space is left for the exchange folders: ENOSPC on a small file system, EFBIG where none may be mounted."""
        self._fill(task, after, places, disk.folder / ".ballast" if disk.is_real else None, "the exchange")

    def fill_tables(self, task: str, after: Mapping[str, str], places: int, disk: Disk, tablespace: str) -> None:
        """No space is left for the tables of the warehouse."""
        self._fill(task, after, places, disk.folder / ".ballast", "the tables", tablespace)

    def _fill(
        self, task: str, after: Mapping[str, str], places: int, ballast: Path | None, what: str,
        tablespace: str | None = None,
    ) -> None:  # fmt: skip
        def restore() -> None:
            if ballast:
                ballast.unlink(missing_ok=True)

        fault = Fault("disk full", self._place(places), str(ballast or ""))
        self._at_place("disk full", task, after, fault, restore=restore, tablespace=tablespace, note=f"disk of {what}")

    def two_at_once(self, task: str, after: Mapping[str, str], start: str = "before") -> None:
        """The same task twice, the second a part of its time later."""
        wait = self.dice.choice([0.0, self.dice.uniform(0.0, 0.9)]) * self.seconds.get(task, 0)

        def disturb() -> tuple[list[Ended], str]:
            first = self._start(task, "first")
            time.sleep(wait)
            second = self._start(task, "second")
            ends = [first.end(), second.end()]
            said = "; ".join(one.at for one in ends if one.code)
            return ends, f"the second {wait:.2f} s later{f' ({said})' if said else ''}"

        self._trial("two at once", task, after, disturb, start=start)

    def two_months_at_once(self, start: str) -> None:
        """Two runs of the whole month, the second a little later; the month must be what it is now.

        What gates found is left out: those of the second run look when the first is further.
        """
        after = {name: one for name, one in self.house.state(self.month).items() if name != VERDICTS}
        self.seconds[MONTH] = 10.0
        self.two_at_once(MONTH, after, start)

    def _at_place(
        self,
        kind: str,
        task: str,
        after: Mapping[str, str],
        fault: Fault,
        *,
        restore: Callable[[], list[str] | None] | None = None,
        tablespace: str | None = None,
        note: str = "",
    ) -> None:
        wrong: list[str] = []

        def disturb() -> tuple[list[Ended], str]:
            ended = self._run(task, fault)
            if restore:
                wrong.extend(restore() or [])
            return [ended], f"{f'{note}, ' if note else ''}place {fault.place}: {ended.at}"

        self._trial(kind, task, after, disturb, wrong, tablespace)

    def _trial(
        self,
        kind: str,
        task: str,
        after: Mapping[str, str],
        disturb: Callable[[], tuple[list[Ended], str]],
        wrong: list[str] | None = None,
        tablespace: str | None = None,
        start: str = "before",
    ) -> None:
        started = time.monotonic()
        wrong = [] if wrong is None else wrong
        self.house.back_to(start, tablespace)
        ends, at = disturb()
        unexpected = [end for end in ends if end.code not in DISTURBED[kind]]
        wrong += [f"ended as {end.code} ({end.at})" for end in unexpected]
        rerun = self._run(task)
        if rerun.code:
            wrong.append(f"the rerun ended as {rerun.code} ({rerun.at})")
        holds = self.house.state(self.month)
        if VERDICTS not in after:
            del holds[VERDICTS]
        wrong += differences(after, holds)
        trial = Trial(
            kind, task, at, tuple(end.code for end in ends), tuple(wrong), round(time.monotonic() - started, 1)
        )
        print(trial, flush=True)
        self.tried.append(trial)

    def _place(self, places: int) -> int:
        return self.dice.randint(1, max(places, 1))

    def _run(self, task: str, fault: Fault | None = None) -> Ended:
        return run(task.partition(".")[2], self.month, self.house.environment, self.house.home / "told", fault)

    def _start(self, task: str, name: str = "told") -> Running:
        environment = self.house.environment
        return Running(task.partition(".")[2], self.month, environment, Fault(), self.house.home / name)


def differences(should: Mapping[str, str], holds: Mapping[str, str]) -> list[str]:
    """Which tables and files are not what they should be."""
    return [
        f"{name} {'is missing' if name not in holds else 'is too much' if name not in should else 'differs'}"
        for name in sorted({*should, *holds})
        if should.get(name) != holds.get(name)
    ]


def told(tried: list[Trial], **more: object) -> dict[str, object]:
    """Print how many faults were tried and survived, by kind; returns the same with every fault."""
    kinds = sorted({trial.kind for trial in tried})
    figures: dict[str, object] = dict(more) | {
        "faults_tried": len(tried),
        "faults_survived": sum(trial.survived for trial in tried),
    }
    for kind in kinds:
        of_kind = [trial for trial in tried if trial.kind == kind]
        name = kind.replace(" ", "_")
        figures[f"{name}_tried"] = len(of_kind)
        figures[f"{name}_survived"] = sum(trial.survived for trial in of_kind)
    print()
    for name, value in figures.items():
        print(f"{name}: {value}")
    return figures | {"faults": [asdict(trial) for trial in tried]}


def write_report(name: str, figures: Mapping[str, object]) -> None:
    """The figures of one part of `make test-chaos`, in build/bench/chaos.json beside those of the other."""
    before = json.loads(REPORT.read_text(encoding="utf-8")) if REPORT.exists() else {}
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(before | {name: figures}, indent=2), encoding="utf-8")
