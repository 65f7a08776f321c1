"""One way to break every rule of every gate: what is done to the month of gates_month.py, and which rule sees it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Break:
    """Statements that break exactly what `rule` watches; `tables` are put back afterwards."""

    gate: str
    rule: str
    tables: tuple[str, ...]
    statements: tuple[str, ...]
    severity: str = "critical"
    also: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.gate}-{self.rule}"


def one(table: str, change: str, where: str = "true") -> str:
    """Change one row of `table`."""
    return f"update {table} set {change} where ctid = (select ctid from {table} where {where} limit 1)"


def twice(table: str, where: str = "true") -> str:
    """One row of `table` a second time."""
    return f"insert into {table} select * from {table} where {where} limit 1"


def without(table: str, where: str = "true") -> str:
    """One row of `table` less."""
    return f"delete from {table} where ctid = (select ctid from {table} where {where} limit 1)"


LANDED, DELIVERIES, QUARANTINED = "landing.signals", "ops.deliveries", "landing.quarantined_rows"
SIGNALS, CASES, PERSONS = "intermediate.int_signals__matched", "intermediate.int_cases", "intermediate.int_case_persons"
PHONES, ROUTES, LIST = "intermediate.int_phones", "intermediate.int_routes", "outbound.out_certin_call_list"
OUTCOMES, ATTEMPTS, FOLLOWUPS = "landing.ris_outcomes", "landing.ris_attempts", "landing.ris_followups"
REJECTED, RECORDS, ANSWERS = "landing.ris_rejected_items", "ops.call_records", "landing.enrichment_results"
PROPOSED, KPIS, BOOKS = "intermediate.int_closures__proposed", "marts.kpi_monthly", "marts.rpt_closure_accounting"
FACTS = "marts.fct_outcomes"
ALONE_IN_CASE = f"case_id in (select case_id from {CASES} where signals = 1)"

BREAKS = (
    # G1
    Break(
        "G1",
        "books_balance",
        (DELIVERIES,),
        (
            "alter table ops.deliveries drop constraint if exists deliveries_check",
            one(DELIVERIES, "rows_in_file = rows_in_file + 1", "partner = 'zorgplus'"),
        ),
    ),
    Break("G1", "loaded_rows_are_in_landing", (LANDED,), (without(LANDED),)),
    Break("G1", "quarantined_rows_are_kept", (QUARANTINED,), (without(QUARANTINED),)),
    Break("G1", "decisions_are_booked", (QUARANTINED,), (one(QUARANTINED, "status = 'discarded'"),)),
    Break(
        "G1",
        "no_delivery_half_loaded",
        (DELIVERIES,),
        (one(DELIVERIES, "status = 'loading'", "partner = 'zorgplus'"),),
        also=("signal_has_its_delivery",),
    ),
    Break("G1", "month_has_signals", (LANDED,), (f"delete from {LANDED}",), also=("loaded_rows_are_in_landing",)),
    Break(
        "G1",
        "signal_has_its_delivery",
        (LANDED,),
        (
            f"insert into {LANDED} (delivery_id, line_number, contract_version, signal_id, partner, sector,"
            " partner_reference, signal_month, signal_on, arrears_since_on, arrears_eur, surname, postcode,"
            " house_number) values ('dlv_nowhere', 2, '1.0.0', 'signal_x', 'zorgplus', 'Zorg', 'x', '2024-06',"
            " '2024-06-01', '2024-04-01', 100, 'X', '2712AB', 1)",
        ),
    ),
    Break(
        "G1",
        "no_delivery_rejected",
        (DELIVERIES,),
        (
            f"insert into {DELIVERIES} (delivery_id, contract, partner, file_name, sha256, signal_month, status)"
            " values ('dlv_bad', 'zorgplus', 'zorgplus', 'zorgplus_202406_02.csv', 'b', '2024-06', 'rejected')",
        ),
        severity="warning",
    ),
    Break(
        "G1",
        "few_rows_quarantined",
        (DELIVERIES, QUARANTINED),
        (
            one(DELIVERIES, "rows_quarantined = 11, rows_in_file = rows_in_file + 10", "partner = 'zorgplus'"),
            f"insert into {QUARANTINED} (delivery_id, line_number, partner, signal_month, contract_version, reasons,"
            " raw) select 'dlv_zorgplus', n, 'zorgplus', '2024-06', '1.0.0', '{postcode_invalid}', '{}'"
            " from generate_series(901, 910) as n",
        ),
        severity="warning",
    ),
    Break(
        "G1",
        "every_partner_delivered",
        ("ops.missing_deliveries",),
        (
            "insert into ops.missing_deliveries (signal_month, partner, due_on)"
            " values ('2024-06', 'drinkwater_zh', '2024-06-08')",
        ),
        severity="warning",
    ),
    Break(
        "G1",
        "every_contract_is_usable",
        ("ops.contract_problems",),
        (
            "insert into ops.contract_problems (signal_month, contract_file, partner, problems)"
            " values ('2024-06', 'zorgplus-v2.odcs.yaml', 'zorgplus', '{\"file: not YAML\"}')",
        ),
        severity="warning",
    ),
    # G2
    Break(
        "G2",
        "month_has_signals",
        (SIGNALS,),
        (f"delete from {SIGNALS}",),
        also=("no_signal_lost", "case_has_its_signals", "persons_are_those_of_the_signals", "multiple_is_consistent"),
    ),
    Break(
        "G2",
        "signal_once",
        (SIGNALS,),
        (f"insert into {SIGNALS} select * from {SIGNALS} where case_id is null limit 1",),
    ),
    Break("G2", "signal_has_person", (SIGNALS,), (one(SIGNALS, "person_id = null", "case_id is null"),)),
    Break("G2", "status_known_and_explained", (SIGNALS,), (one(SIGNALS, "status_rule_id = null"),)),
    Break(
        "G2",
        "eligible_signal_in_a_case",
        (SIGNALS,),
        (one(SIGNALS, "case_id = null", ALONE_IN_CASE),),
        also=("case_has_its_signals", "persons_are_those_of_the_signals"),
    ),
    Break(
        "G2",
        "case_of_signal_exists",
        (SIGNALS,),
        (one(SIGNALS, "case_id = 'case_x'", ALONE_IN_CASE),),
        also=("case_has_its_signals", "persons_are_those_of_the_signals"),
    ),
    Break(
        "G2",
        "case_only_for_residents",
        (SIGNALS,),
        (one(SIGNALS, "is_resident = false", "case_id is not null"),),
        also=("multiple_is_consistent",),
    ),
    Break("G2", "no_signal_lost", (SIGNALS,), (without(SIGNALS, "case_id is null"),)),
    Break("G2", "case_once", (CASES,), (twice(CASES),)),
    Break("G2", "case_has_its_signals", (CASES,), (one(CASES, "signals = signals + 1"),)),
    Break(
        "G2",
        "one_address_per_case",
        (SIGNALS,),
        (one(SIGNALS, "address_key = 'elsewhere'", f"case_id in (select case_id from {CASES} where signals = 2)"),),
        also=("multiple_is_consistent",),
    ),
    Break("G2", "case_sums_its_signals", (CASES,), (one(CASES, "arrears_eur = arrears_eur + 1"),)),
    Break("G2", "multiple_is_consistent", (CASES,), (one(CASES, "is_multiple = not is_multiple"),)),
    Break("G2", "consecutive_is_consistent", (CASES,), (one(CASES, "is_consecutive = true"),)),
    Break(
        "G2",
        "person_in_one_case",
        (PERSONS,),
        (
            f"insert into {PERSONS} select * from {PERSONS} limit 1",
            one(PERSONS, "case_id = 'case_x', call_record_id = 'call_x'"),
        ),
        also=("persons_are_those_of_the_signals",),
    ),
    Break(
        "G2",
        "call_record_once",
        (PERSONS,),
        (f"update {PERSONS} set call_record_id = 'call_x' where ctid in (select ctid from {PERSONS} limit 2)",),
    ),
    Break("G2", "persons_are_those_of_the_signals", (PERSONS,), (without(PERSONS),)),
    Break(
        "G2",
        "few_matches_to_review",
        ("intermediate.int_match_reviews",),
        (
            "insert into intermediate.int_match_reviews (signal_month, left_person_id, right_person_id, score)"
            " select '2024-06', 'person_' || n, 'person_x', 0.5 from generate_series(1, 20) as n",
        ),
        severity="warning",
    ),
    # G3
    Break("G3", "phone_is_e164", (PHONES,), (one(PHONES, "phone = '0612000001'", "not is_own"),)),
    Break("G3", "phone_is_callable", (PHONES,), (one(PHONES, "phone = '+31880000001'", "not is_own"),)),
    Break("G3", "added_number_is_explained", (PHONES,), (one(PHONES, "matched_on = null", "not is_own"),)),
    Break("G3", "confidence_is_a_share", (PHONES,), (one(PHONES, "confidence = 1.5", "not is_own"),)),
    Break("G3", "number_once_a_person", (PHONES,), (twice(PHONES),)),
    Break(
        "G3", "number_belongs_to_a_person_in_a_case", (PHONES,), (one(PHONES, "person_id = 'person_x'", "not is_own"),)
    ),
    Break(
        "G3",
        "partner_number_keeps_its_source",
        (PHONES,),
        (
            one(
                PHONES,
                "is_own = false, source = 'x', match_level = 'person', matched_on = '2024-06-09', confidence = 1",
                "is_own",
            ),
        ),
        also=("partner_number_not_replaced",),
    ),
    Break("G3", "partner_number_not_replaced", (PHONES,), (one(PHONES, "phone = '+31612999999'", "is_own"),)),
    Break(
        "G3",
        "number_not_shared_widely",
        (PHONES,),
        (
            f"update {PHONES} set phone = '+31793009999'"
            f" where ctid in (select ctid from {PHONES} where not is_own limit 4)",
        ),
        severity="warning",
    ),
    Break("G3", "every_request_answered", (ANSWERS,), (without(ANSWERS, "phone is null"),), severity="warning"),
    Break("G3", "hit_rate_in_band", (ANSWERS,), (f"update {ANSWERS} set phone = null",), severity="warning"),
    # G4
    Break("G4", "one_route_a_person", (ROUTES,), (twice(ROUTES),)),
    Break("G4", "route_is_known", (ROUTES,), (one(ROUTES, "route = 'fax'", "route = 'letter'"),)),
    Break("G4", "route_has_reason", (ROUTES,), (one(ROUTES, "reason = ''"),)),
    Break("G4", "not_picked_up_has_no_case", (ROUTES,), (one(ROUTES, "route = 'letter'", "route = 'not_picked_up'"),)),
    Break("G4", "number_decides_call_or_letter", (ROUTES,), (one(ROUTES, "phone_1 = null", "route = 'call'"),)),
    Break(
        "G4",
        "crisis_not_called",
        (ROUTES,),
        (one(ROUTES, "route = 'call', phone_1 = '+31612000005'", "route = 'direct_crisis'"),),
    ),
    Break(
        "G4",
        "over_threshold_not_called",
        (ROUTES,),
        (one(ROUTES, "route = 'call', phone_1 = '+31612000007'", "route = 'direct_over_threshold'"),),
    ),
    Break("G4", "everybody_has_a_route", (ROUTES,), (without(ROUTES, "route = 'not_picked_up'"),)),
    Break("G4", "route_is_of_the_persons_case", (ROUTES,), (one(ROUTES, "case_id = 'case_x'", "case_id is not null"),)),
    Break(
        "G4",
        "called_share_in_band",
        (ROUTES,),
        (f"update {ROUTES} set route = 'letter', phone_1 = null where route = 'call'",),
        severity="warning",
    ),
    Break("G4", "escalation_candidates", (ROUTES,), (one(ROUTES, "is_escalation_candidate = true"),), severity="info"),
    # G5
    Break(
        "G5",
        "no_phone_twice",
        (LIST,),
        (
            f"update {LIST} set phone_2 = (select min(phone_1) from {LIST})"
            f" where ctid = (select ctid from {LIST} order by phone_1 desc limit 1)",
        ),
    ),
    Break("G5", "only_persons_to_call", (ROUTES,), (one(ROUTES, "route = 'letter'", "route = 'call'"),)),
    Break(
        "G5",
        "crisis_not_on_list",
        (CASES,),
        (one(CASES, "has_crisis = true", f"case_id in (select case_id from {LIST})"),),
    ),
    Break(
        "G5",
        "over_threshold_not_on_list",
        (CASES,),
        (one(CASES, "arrears_eur = 2000.01", f"case_id in (select case_id from {LIST})"),),
    ),
    Break(
        "G5",
        "suppressed_not_on_list",
        (SIGNALS,),
        (one(SIGNALS, "status = 'Inwoner is overleden'", f"case_id in (select case_id from {LIST})"),),
    ),
    Break(
        "G5",
        "suppressed_not_on_list",
        ("ops.suppressions",),
        (
            "insert into ops.suppressions (ground, person_ids, valid_from, recorded_by)"
            f" select 'objection', array[person_id], '2024-06-20', 'test' from {PERSONS}"
            f" where call_record_id in (select call_record_id from {LIST}) limit 1",
        ),
    ),
    Break("G5", "call_period_in_month", (LIST,), (one(LIST, "call_until = '2024-07-01'"),)),
    Break(
        "G5",
        "no_withdrawn_record_returns",
        (RECORDS,),
        (one(RECORDS, "withdrawn_in_sequence = 2"),),
        severity="warning",
    ),
    Break("G5", "everybody_to_call_is_on_list", (LIST,), (without(LIST),)),
    # G6
    Break("G6", "code_is_known", (OUTCOMES,), (one(OUTCOMES, "result_code = 'abducted'"),)),
    Break(
        "G6",
        "result_not_before_month",
        (OUTCOMES,),
        (one(OUTCOMES, "result_at = '2024-05-31 12:00+02'", "result_code = 'invalid_number'"),),
    ),
    Break("G6", "outcome_of_the_delivered_case", (OUTCOMES,), (one(OUTCOMES, "case_id = 'case_x'"),)),
    Break(
        "G6",
        "no_outcome_of_ours_set_aside",
        (REJECTED,),
        (
            f"insert into {REJECTED} select 'outcome', 'out-x', now(), 'result_at_invalid',"
            f" jsonb_build_object('call_record_id', call_record_id) from {RECORDS} limit 1",
        ),
    ),
    Break(
        "G6",
        "attempt_ends_after_it_starts",
        (ATTEMPTS,),
        (one(ATTEMPTS, "ended_at = started_at - interval '1 minute'"),),
    ),
    Break(
        "G6",
        "one_outcome_a_record",
        (OUTCOMES,),
        (
            f"insert into {OUTCOMES} (outcome_id, updated_at, call_record_id, case_id, result_code, result_at, source)"
            " select 'out-again', updated_at, call_record_id, case_id, result_code, result_at, source"
            f" from {OUTCOMES} limit 1",
        ),
        severity="warning",
    ),
    Break(
        "G6",
        "nothing_else_set_aside",
        (REJECTED,),
        (
            f"insert into {REJECTED} values ('outcome', 'out-x', now(), 'call_record_unknown',"
            " jsonb_build_object('call_record_id', 'no'))",
        ),
        severity="warning",
    ),
    Break(
        "G6",
        "no_call_after_the_result",
        (ATTEMPTS,),
        (one(ATTEMPTS, "started_at = '2024-06-28 12:00+02', ended_at = '2024-06-28 12:01+02'"),),
        severity="warning",
    ),
    Break(
        "G6",
        "at_most_seven_attempts",
        (ATTEMPTS,),
        (
            f"insert into {ATTEMPTS} (outcome_id, updated_at, attempt_id, attempt_no, direction, phone, started_at,"
            f" reached) select outcome_id, updated_at, attempt_id || 'x', 8, direction, phone, started_at, false"
            f" from {ATTEMPTS} where attempt_no = 7 limit 1",
        ),
        severity="warning",
    ),
    Break(
        "G6",
        "calls_inside_hours",
        (ATTEMPTS,),
        (one(ATTEMPTS, "started_at = '2024-06-09 11:00+02', ended_at = '2024-06-09 11:01+02'", "attempt_no = 1"),),
        severity="warning",
    ),
    # G7
    Break("G7", "month_was_built", (SIGNALS,), (f"delete from {SIGNALS}",), also=("every_landed_signal_built",)),
    Break("G7", "every_landed_signal_built", (LANDED,), (one(LANDED, "line_number = 999"),)),
    Break("G7", "opened_is_closed_open_excluded", (PROPOSED,), (without(PROPOSED),)),
    Break(
        "G7",
        "one_proposal_a_case",
        (PROPOSED,),
        (twice(PROPOSED, "state = 'closed'"),),
        also=("out_ris_closures.key_once",),
    ),
    Break("G7", "state_is_known", (PROPOSED,), (one(PROPOSED, "state = 'lost'", "state = 'open'"),)),
    Break("G7", "proposal_has_reason", (PROPOSED,), (one(PROPOSED, "reason = ''"),)),
    Break(
        "G7",
        "closed_has_result_and_day",
        (PROPOSED,),
        (one(PROPOSED, "closed_on = null", "state = 'closed'"),),
        also=("out_ris_closures.required_values",),
    ),
    Break(
        "G7", "closed_not_before_month", (PROPOSED,), (one(PROPOSED, "closed_on = '2024-05-31'", "state = 'closed'"),)
    ),
    Break(
        "G7",
        "no_threshold_or_crisis_closed",
        (PROPOSED,),
        (
            one(
                PROPOSED,
                "state = 'closed', ddas_result = 'Geen reactie na eerder contact', closed_on = '2024-07-01'",
                "reason = 'over_threshold'",
            ),
        ),
        also=("no_case_closed_without_outcome",),
    ),
    Break(
        "G7",
        "no_crisis_signal_closed",
        (CASES,),
        (one(CASES, "has_crisis = true", f"case_id in (select case_id from {PROPOSED} where state = 'closed')"),),
    ),
    Break(
        "G7",
        "no_case_closed_without_outcome",
        (OUTCOMES,),
        (without(OUTCOMES, f"case_id in (select case_id from {PROPOSED} where state = 'closed')"),),
    ),
    Break(
        "G7",
        "not_reached_only_after_seven_attempts",
        (ATTEMPTS,),
        (
            without(
                ATTEMPTS,
                f"attempt_no = 2 and outcome_id in (select outcome_id from {OUTCOMES} where result_code = 'no_answer')",
            ),
        ),
    ),
    Break("G7", "no_open_followup_closed", (FOLLOWUPS,), (one(FOLLOWUPS, "ended_on = null", "ended_on is not null"),)),
    Break(
        "G7",
        "every_called_case_has_outcome",
        (PROPOSED,),
        (one(PROPOSED, "reason = 'no_outcome'", "state = 'open'"),),
        severity="warning",
    ),
    # G8
    Break("G8", "no_signal_landed_since", (LANDED,), (one(LANDED, "line_number = 999"),)),
    Break("G8", "cases_balance", (BOOKS,), (one(BOOKS, "cases_open = cases_open + 1"),)),
    Break("G8", "euros_balance", (BOOKS,), (one(BOOKS, "arrears_open_eur = arrears_open_eur + 0.01"),)),
    Break("G8", "every_signal_published", ("marts.fct_signals",), (without("marts.fct_signals"),)),
    Break("G8", "every_case_published", ("marts.fct_cases",), (without("marts.fct_cases"),)),
    Break("G8", "groups_add_up", (FACTS,), (without(FACTS),)),
    Break("G8", "value_is_its_fraction", (KPIS,), (one(KPIS, "value = value + 0.01", "kpi = 'cases_multiple'"),)),
    Break(
        "G8",
        "share_is_a_share",
        (KPIS,),
        (one(KPIS, "numerator = 3, denominator = 2, value = 1.5", "kpi = 'cases_multiple'"),),
    ),
    Break(
        "G8",
        "budget_not_exceeded",
        (KPIS,),
        (one(KPIS, "numerator = 3, denominator = 2, value = 1.5", "kpi = 'budget_used'"),),
        severity="warning",
    ),
    Break(
        "G8",
        "reach_times_acceptance_is_yield",
        (KPIS,),
        (one(KPIS, "numerator = 1, denominator = 1, value = 1", "kpi = 'help_accepted_of_all' and segment = 'all'"),),
    ),
    Break(
        "G8",
        "records_add_up",
        (KPIS,),
        (one(KPIS, "numerator = 1, value = 1", "kpi = 'records_without_outcome' and segment = 'all'"),),
    ),
    Break("G8", "every_kpi_published", (KPIS,), (without(KPIS, "kpi = 'inbound_callbacks' and segment = 'all'"),)),
    Break(
        "G8",
        "no_delivered_row_lost",
        (KPIS,),
        (one(KPIS, "numerator = 0, value = 0", "kpi = 'signals_quarantined' and segment = 'all'"),),
    ),
    Break(
        "G8",
        "every_delivered_record_counted",
        (RECORDS,),
        (
            f"insert into {RECORDS} (call_record_id, case_id, signal_month, sequence, file_name, content_sha256,"
            " script_version) values ('call_x', 'case_x', '2024-06', 1, 'x', 'x', 'script-2')",
        ),
    ),
)
