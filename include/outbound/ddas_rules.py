"""What a DDAS delivery must say beyond the published schema: no delivery contradicts itself.

Rule: each check has a name, says what must hold, and finds the places where it does not; an error keeps the delivery
inside, a warning is reported with it. Places are paths (`vroegsignaalzaken/3/datumOpgepakt`), never values.
To add a check, write a function that yields places and put it in CHECKS.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

ERROR, WARNING = "error", "warning"
PICKED_UP = "Opgepakt"
NOT_PICKED_UP = "Niet opgepakt"
NOT_REACHED = "Definitief geen contact kunnen krijgen"
# results somebody can only have given us in a conversation
SPOKEN = frozenset(
    {
        "(Budget)advies en/of quick fix",
        "Inwoner heeft zelf al betaald/betalingsregeling getroffen",
        "Inwoner regelt het zelf/hoeft geen hulp vanuit vroegsignalering",
        "Inwoner heeft al een ander lopend traject",
    }
)

Delivery = dict[str, Any]
Places = Iterator[str]


@dataclass(frozen=True)
class Check:
    """One rule of the delivery."""

    name: str
    severity: str
    says: str
    places: Callable[[Delivery, date, date], Places]


@dataclass(frozen=True)
class Finding:
    """A check that does not hold, and where."""

    check: Check
    places: tuple[str, ...]

    def __str__(self) -> str:
        more = f" and {len(self.places) - 3} more" if len(self.places) > 3 else ""
        return f"{self.check.name}: {self.check.says} Not at {', '.join(self.places[:3])}{more}."


def contradictions(document: dict[str, Any]) -> list[Finding]:
    """Every check that does not hold, errors first. The document is valid against the schema already."""
    starts_on, ends_on = (date.fromisoformat(document[name]) for name in ("startdatumLevering", "einddatumLevering"))
    found: list[Finding] = []
    for check in CHECKS:
        places = tuple(
            place for delivery in document.get("leveringen", []) for place in check.places(delivery, starts_on, ends_on)
        )
        if places:
            found.append(Finding(check, places))
    return sorted(found, key=lambda finding: finding.check.severity != ERROR)


def _signals(delivery: Delivery) -> Iterator[tuple[str, Delivery]]:
    for number, signal in enumerate(delivery.get("vroegsignalen", [])):
        yield f"vroegsignalen/{number}", signal


def _cases(delivery: Delivery) -> Iterator[tuple[str, Delivery]]:
    for number, case in enumerate(delivery.get("vroegsignaalzaken", [])):
        yield f"vroegsignaalzaken/{number}", case


def _in_order(*days: str | None) -> bool:
    """ISO dates sort as text; what is not told is in no order."""
    told = [day for day in days if day]
    return told == sorted(told)


def _period(delivery: Delivery, starts_on: date, ends_on: date) -> Places:
    if ends_on < starts_on:
        yield "einddatumLevering"


def _bsn_xor_address(delivery: Delivery, starts_on: date, ends_on: date) -> Places:
    for place, signal in _signals(delivery):
        client = signal["client"]
        has_address = "postcode" in client and "huisnummer" in client
        if ("burgerservicenummer" in client) == has_address:
            yield f"{place}/client"


def _bsn_passes_its_test(delivery: Delivery, starts_on: date, ends_on: date) -> Places:
    for place, signal in _signals(delivery):
        bsn = signal["client"].get("burgerservicenummer")
        if bsn is not None and not (bsn.isdigit() and _eleven(bsn) == 0):
            yield f"{place}/client/burgerservicenummer"


def _eleven(bsn: str) -> int:
    weights = (*range(len(bsn), 1, -1), -1)
    return sum(weight * int(digit) for weight, digit in zip(weights, bsn, strict=True)) % 11


def _one_id_a_signal(delivery: Delivery, starts_on: date, ends_on: date) -> Places:
    times = Counter(signal["ID"] for _, signal in _signals(delivery))
    for place, signal in _signals(delivery):
        if times[signal["ID"]] > 1:
            yield f"{place}/ID"


def _signals_of_cases_are_told(delivery: Delivery, starts_on: date, ends_on: date) -> Places:
    told = {signal["ID"] for _, signal in _signals(delivery)}
    for place, case in _cases(delivery):
        if any(one["ID"] not in told for one in case.get("vroegsignalen", [])):
            yield f"{place}/vroegsignalen"


def _a_signal_is_in_one_case(delivery: Delivery, starts_on: date, ends_on: date) -> Places:
    times = Counter(one["ID"] for _, case in _cases(delivery) for one in case.get("vroegsignalen", []))
    for place, case in _cases(delivery):
        if any(times[one["ID"]] > 1 for one in case.get("vroegsignalen", [])):
            yield f"{place}/vroegsignalen"


def _status_says_whether_there_is_a_case(delivery: Delivery, starts_on: date, ends_on: date) -> Places:
    in_case = {
        one["ID"]: case.get("resultaat") or "" for _, case in _cases(delivery) for one in case.get("vroegsignalen", [])
    }
    for place, signal in _signals(delivery):
        status, result = signal.get("status"), in_case.get(signal["ID"])
        if result is None:
            holds = status != PICKED_UP
        elif result.startswith(NOT_PICKED_UP):
            holds = status == result
        else:
            holds = status == PICKED_UP
        if not holds:
            yield f"{place}/status"


def _amounts_are_arrears(delivery: Delivery, starts_on: date, ends_on: date) -> Places:
    for place, signal in _signals(delivery):
        if signal.get("bedrag", 0) < 0:
            yield f"{place}/bedrag"


def _signal_dates_in_order(delivery: Delivery, starts_on: date, ends_on: date) -> Places:
    for place, signal in _signals(delivery):
        if not _in_order(signal.get("ontstaansdatum"), signal.get("signaaldatum"), ends_on.isoformat()):
            yield f"{place}/signaaldatum"


def _case_dates_in_order(delivery: Delivery, starts_on: date, ends_on: date) -> Places:
    signalled = {signal["ID"]: signal.get("signaaldatum") for _, signal in _signals(delivery)}
    for place, case in _cases(delivery):
        matched_on = case.get("matchingsdatum")
        in_period = _in_order(case.get("startdatumMatchingperiode"), matched_on, case.get("einddatumMatchingperiode"))
        first = [signalled.get(one["ID"]) for one in case.get("vroegsignalen", [])]
        if not in_period or not all(_in_order(day, matched_on, case.get("datumOpgepakt")) for day in first or [None]):
            yield f"{place}/matchingsdatum"


def _attempts_after_picking_up(delivery: Delivery, starts_on: date, ends_on: date) -> Places:
    for place, case in _cases(delivery):
        picked_up_on = case.get("datumOpgepakt") or case.get("matchingsdatum")
        for number, attempt in enumerate(case.get("contactpogingen", [])):
            if not _in_order(picked_up_on, attempt.get("datum")):
                yield f"{place}/contactpogingen/{number}/datum"


def _reached(case: Delivery) -> bool:
    return any(attempt.get("bereikt") for attempt in case.get("contactpogingen", []))


def _nobody_reached_means_nobody(delivery: Delivery, starts_on: date, ends_on: date) -> Places:
    for place, case in _cases(delivery):
        if case.get("resultaat") == NOT_REACHED and _reached(case):
            yield f"{place}/resultaat"


def _a_conversation_had_a_contact(delivery: Delivery, starts_on: date, ends_on: date) -> Places:
    for place, case in _cases(delivery):
        if case.get("resultaat") in SPOKEN and not _reached(case):
            yield f"{place}/resultaat"


CHECKS = (
    Check("period", ERROR, "A delivery ends after it starts.", _period),
    Check("bsn_xor_address", ERROR, "A client is told by BSN or by address, never by both.", _bsn_xor_address),
    Check("bsn_valid", ERROR, "A BSN passes the eleven-test.", _bsn_passes_its_test),
    Check("signal_once", ERROR, "An ID belongs to one signal.", _one_id_a_signal),
    Check("case_signals_told", ERROR, "The signals of a case are in the delivery.", _signals_of_cases_are_told),
    Check("signal_in_one_case", ERROR, "A signal is in one case.", _a_signal_is_in_one_case),
    Check(
        "status_and_result_agree",
        ERROR,
        "A signal in a case is picked up, one outside a case is not, and a case that was not picked up says so of its "
        "signals.",
        _status_says_whether_there_is_a_case,
    ),
    Check("amount_not_negative", ERROR, "Arrears are no less than nothing.", _amounts_are_arrears),
    Check("signal_dates_in_order", ERROR, "Arrears began, then were signalled, in the period.", _signal_dates_in_order),
    Check(
        "case_dates_in_order",
        ERROR,
        "A case is matched in its period, after its signals, and picked up then or later.",
        _case_dates_in_order,
    ),
    Check("attempts_after_picking_up", ERROR, "Contact follows the picking up.", _attempts_after_picking_up),
    Check("not_reached_had_no_contact", WARNING, "Who was not reached had no contact.", _nobody_reached_means_nobody),
    Check(
        "conversation_had_contact", WARNING, "A result of a conversation had a contact.", _a_conversation_had_a_contact
    ),
)
