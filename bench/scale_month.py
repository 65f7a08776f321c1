"""The work of one month in the warehouse, step by step, for the scale bench.

Rule: what is timed are the real functions (ingest, build_stage, run_gate), as the DAGs call them. What others would
have brought in between (numbers found, calls, outcomes, RIS's yes) is written in one statement a table by a superuser
and never timed: it has the shape and the share of a normal month, and is the same in every database with the same ids.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg

from include.months import Month

#: In the order of a month: stages and gates are timed, `world` is not.
STEPS = (
    ("stage", "matched"), ("gate", "G2"), ("world", "enrichment"),
    ("stage", "enriched"), ("gate", "G3"), ("stage", "categorised"), ("gate", "G4"), ("gate", "G5"), ("world", "calls"),
    ("gate", "G6"), ("stage", "closure"), ("gate", "G7"), ("world", "closures"), ("stage", "marts"), ("gate", "G8"),
)  # fmt: skip
# a server process that has just ended is counted in time
SETTLED_SECONDS = 0.3


@dataclass
class Clock:
    """Seconds of the wall and of the processor (this process and the server together), by kind of work."""

    server: psutil.Process
    wall: dict[str, float] = field(default_factory=dict)
    processor: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, kind: str) -> Iterator[None]:
        used, began = self._used(), time.perf_counter()
        yield
        self.wall[kind] = self.wall.get(kind, 0) + time.perf_counter() - began
        self.processor[kind] = self.processor.get(kind, 0) + self._used() - used

    def _used(self) -> float:
        """Connections that have ended are counted with the server, those that are open by themselves."""
        time.sleep(SETTLED_SECONDS)
        times = []
        for process in self.server.children():
            with suppress(psutil.NoSuchProcess):  # it has just ended, and is counted with those
                times.append(process.cpu_times())
        ended = self.server.cpu_times()
        return (
            time.process_time()
            + ended.children_user + ended.children_system
            + sum(one.user + one.system for one in times)
        )  # fmt: skip

    @property
    def seconds(self) -> float:
        return sum(self.wall.values())

    @property
    def processor_seconds(self) -> float:
        return sum(self.processor.values())


def take_in(month: Month, clock: Clock) -> None:
    """The month's deliveries from the inbox into landing, and their gate."""
    from include.ingest.deliveries import find_deliveries, ingest_delivery, open_month, record_missing_partners
    from include.quality.gates import run_gate

    with clock.timed("ingest"):
        open_month(month)
        for path in find_deliveries(month):
            summary = ingest_delivery(path, month)
            if summary.status != "loaded":
                raise RuntimeError(f"{path} was not loaded: {summary}")
        record_missing_partners(month)
    with clock.timed("gates"):
        run_gate("G1", month)


def build(month: Month, clock: Clock, world: Callable[[str], None] | None = None) -> None:
    """Every stage and gate of the month; `world` answers between them, and is left out when it has answered before."""
    from include.quality.gates import run_gate
    from include.warehouse.dbt import build_stage

    for kind, name in STEPS:
        if kind == "world":
            if world is not None:
                world(name)
            continue
        with clock.timed("dbt" if kind == "stage" else "gates"):
            if kind == "stage":
                build_stage(name, month)
            else:
                run_gate(name, month)


def answer(dsn: str, month: Month, what: str) -> None:
    """What the world says at this point of the month; `dsn` is a superuser's."""
    with psycopg.connect(dsn) as connection:
        # the answers stand at fixed places of the order of ids, so that every database gets the same
        connection.execute(_ANSWERS[what].replace("{month}", f"'{month}'"))
    with psycopg.connect(dsn, autocommit=True) as connection:
        for table in _ANSWERED[what]:
            connection.execute(f"analyze {table}")


_ANSWERED = {
    "enrichment": ("ops.enrichment_requests", "landing.enrichment_results"),
    "calls": ("ops.call_records", "landing.ris_outcomes", "landing.ris_attempts", "landing.ris_followups"),
    "closures": ("ops.closure_batches", "ops.closure_items"),
}

_ANSWERS = {
    # the provider finds every other number
    "enrichment": """
        insert into ops.enrichment_requests (request_id, signal_month, sequence)
        select request_id, signal_month, 1 from outbound.out_enrichment_requests where signal_month = {month};

        insert into ops.deliveries (delivery_id, contract, partner, file_name, sha256, signal_month, sequence, status,
            rows_in_file, rows_loaded, rows_quarantined, rows_duplicate)
        select 'dlv_enrichment_' || {month}, 'enrichment_result-v1', null,
            'enrichment_result_' || replace({month}, '-', '') || '_01.csv', 'enrichment ' || {month}, {month}, 1,
            'loaded', count(*), count(*), 0, 0
        from ops.enrichment_requests where signal_month = {month};

        insert into landing.enrichment_results (delivery_id, line_number, signal_month, request_id, phone, source,
            match_level, matched_on, confidence)
        select 'dlv_enrichment_' || {month}, number, {month}, request_id,
            case when number % 2 = 0 then '+316' || (20000000 + number)::text end, 'directory', 'person',
            to_date({month}, 'YYYY-MM') + 8, 0.9
        from (
            select request_id, row_number() over (order by request_id) as number
            from ops.enrichment_requests where signal_month = {month}
        ) as asked;
    """,
    # the list goes out; every record has an outcome, after seven attempts on working days unless somebody answered
    "calls": """
        insert into ops.call_records (call_record_id, case_id, signal_month, sequence, file_name, content_sha256,
            script_version)
        select call_record_id, case_id, signal_month, 1,
            'certin_call_list_' || replace({month}, '-', '') || '_01.csv', 'x', script_version
        from outbound.out_certin_call_list where signal_month = {month};

        create temp table called on commit drop as
        select
            call_record_id, case_id, number,
            (array['no_answer', 'needs_no_help', 'voicemail_only', 'help_accepted', 'already_paid', 'invalid_number',
                'no_answer', 'refuses_contact'])[1 + number % 8] as result_code,
            case when number % 8 in (0, 2, 6) then 7 when number % 8 = 5 then 1 else 1 + number % 4 end as attempts
        from (
            select call_record_id, case_id, row_number() over (order by call_record_id) as number
            from ops.call_records where signal_month = {month}
        ) as records;

        create temp table dialled on commit drop as
        select day::date as day_on, row_number() over (order by day)::integer as attempt_no
        from generate_series(to_date({month}, 'YYYY-MM') + 9, to_date({month}, 'YYYY-MM') + 27, interval '1 day') as day
        where extract(isodow from day) < 6
            and not exists (select from staging.public_holidays as days where days.holiday_on = day::date);

        insert into landing.ris_attempts (outcome_id, updated_at, attempt_id, attempt_no, direction, phone, started_at,
            ended_at, reached)
        select
            'out_' || called.call_record_id,
            (to_date({month}, 'YYYY-MM') + 27 + time '18:00') at time zone 'Europe/Amsterdam',
            'att_' || called.call_record_id || '_' || dialled.attempt_no, dialled.attempt_no, 'outbound', list.phone_1,
            moment.at, moment.at + interval '2 minutes',
            dialled.attempt_no = called.attempts and called.number % 8 in (1, 3, 4, 7)
        from called
        inner join outbound.out_certin_call_list as list
            on list.call_record_id = called.call_record_id and list.signal_month = {month}
        inner join dialled on dialled.attempt_no <= called.attempts
        cross join lateral (
            select (dialled.day_on + time '10:00' + make_interval(mins => (called.number % 300)::integer))
                at time zone 'Europe/Amsterdam' as at
        ) as moment;

        insert into landing.ris_outcomes (outcome_id, updated_at, call_record_id, case_id, result_code, result_at,
            script_version, source)
        select 'out_' || call_record_id,
            (to_date({month}, 'YYYY-MM') + 27 + time '18:00') at time zone 'Europe/Amsterdam', call_record_id, case_id,
            result_code, (dialled.day_on + time '17:00') at time zone 'Europe/Amsterdam', 'script-1', 'api'
        from called inner join dialled on dialled.attempt_no = called.attempts;

        insert into landing.ris_followups (followup_id, updated_at, case_id, kind, started_on, ended_on, source)
        select 'fol_' || case_id,
            (to_date({month}, 'YYYY-MM') + 27 + time '18:00') at time zone 'Europe/Amsterdam', case_id, 'quick_fix',
            to_date({month}, 'YYYY-MM') + 20,
            case when min(number) % 3 > 0 then to_date({month}, 'YYYY-MM') + 25 end, 'api'
        from called where result_code = 'help_accepted' group by case_id;
    """,
    # RIS accepts the batch
    "closures": """
        insert into ops.closure_batches (batch_id, signal_month, version, approved_by, items, state)
        select 'batch-' || {month}, {month}, 1, 'coordinator', count(*), 'acknowledged' from outbound.out_ris_closures
        where signal_month = {month};

        insert into ops.closure_items (batch_id, case_id, signal_month, ddas_result, reason, closed_on, state)
        select 'batch-' || {month}, case_id, signal_month, ddas_result, reason, closed_on, 'accepted'
        from outbound.out_ris_closures where signal_month = {month};
    """,
}


def partners_deliver(month: Month, exchange: Path, seed: int, households: int) -> None:
    """The sandbox's partners put their files of the month in the inbox; in this process."""
    from include.sandbox.partners import deliver
    from include.sandbox.settings import SandboxSettings

    deliver(month, exchange, SandboxSettings(seed=seed, households=households))
