"""What a person decides about an uncertain match is kept and respected: in the month, in later months, in a rebuild."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from include.months import Month
from include.outbound.match_reviews import NotAsked, Question, answer, questions
from include.settings import Role
from include.warehouse.connection import connect
from include.warehouse.dbt import build_stage
from tests.dbt.landed import Signal, land, rows

APRIL, MAY, JUNE = (Month(2024, number) for number in (4, 5, 6))
BORN = date(1980, 1, 2)

# one person who is called by another name, and twins: on paper the same question
CALLED_HANS = Signal("hans", "Smit", "zorgplus", initials="J.", birth_on=BORN, house_number=1)
HANS = Signal("hans2", "Smit", initials="H.", birth_on=BORN, house_number=1)
TWIN = Signal("twin", "Bakker", "zorgplus", initials="J.", birth_on=BORN, house_number=3)
OTHER_TWIN = Signal("twin2", "Bakker", initials="K.", birth_on=BORN, house_number=3)
MOVER = Signal("mover", "Visser", "zorgplus", initials="J.P.", birth_on=BORN, house_number=5)
MOVED = Signal("mover2", "Visser", initials="J.", birth_on=BORN, house_number=77)
NAMESAKE = Signal("namesake", "Mulder", "zorgplus", initials="J.P.", birth_on=BORN, house_number=7)
OTHER_NAMESAKE = Signal("namesake2", "Mulder", initials="J.", birth_on=BORN, house_number=79)
EVERYBODY = [CALLED_HANS, HANS, TWIN, OTHER_TWIN, MOVER, MOVED, NAMESAKE, OTHER_NAMESAKE]


def build(*months: Month) -> None:
    for month in months:
        build_stage("matched", month)


def person(signal: Signal, month: Month) -> tuple[str, str]:
    """Person and tier."""
    [found] = rows(
        "select person_id, match_tier from intermediate.int_signals__matched"
        " where partner_reference = %s and signal_month = %s",
        signal.reference, str(month),
    )  # fmt: skip
    return found


def question(left: Signal, right: Signal) -> Question:
    """The question asked about these two in April."""
    [(review_id,)] = rows(
        "select review_id from intermediate.int_match_reviews where signal_month = '2024-04'"
        " and array[left_person_id, right_person_id] <@ array[%s, %s]",
        person(left, APRIL)[0], person(right, APRIL)[0],
    )  # fmt: skip
    [found] = [one for one in questions(APRIL) if one.review_id == review_id]
    return found


def built() -> list[tuple]:
    return rows(
        "select signal_id, person_id, match_tier, match_evidence from intermediate.int_signals__matched order by 1"
    ) + rows("select * from intermediate.int_person_moves order by 1, 2, 3")


@pytest.fixture(scope="module")
def answered(warehouse: Path) -> dict[str, Question]:
    """April, its four questions, an answer to each, and April again; then May."""
    land(APRIL, EVERYBODY)
    build(APRIL)
    found = {
        "one_person": question(CALLED_HANS, HANS),
        "twins": question(TWIN, OTHER_TWIN),
        "moved": question(MOVER, MOVED),
        "namesakes": question(NAMESAKE, OTHER_NAMESAKE),
    }
    for name, is_same_person in (("one_person", True), ("twins", False), ("moved", True), ("namesakes", False)):
        answer(found[name].review_id, is_same_person=is_same_person, decided_by="medewerker", reason="nagevraagd")
    land(MAY, [signal.again(amount="300.00") for signal in EVERYBODY])
    build(APRIL, MAY)
    return found


def test_a_question_names_the_evidence_and_nobody(answered: dict[str, Question]) -> None:
    asked = answered["one_person"]
    assert (asked.place, asked.state, asked.decided_by) == ("address", "open", None)
    assert "birth=same" in asked.evidence
    assert "initials=differ" in asked.evidence
    assert "Smit" not in asked.evidence
    assert answered["moved"].place == "elsewhere"


def test_an_accepted_pair_is_one_person_from_then_on(answered: dict[str, Question]) -> None:
    assert {person(CALLED_HANS, month)[0] for month in (APRIL, MAY)} == {
        person(HANS, month)[0] for month in (APRIL, MAY)
    }
    assert "decided" in {person(CALLED_HANS, APRIL)[1], person(HANS, APRIL)[1]}
    [(persons,)] = rows(
        "select count(distinct person_id) from intermediate.int_signals__matched where house_number = 1"
    )
    assert persons == 1


def test_a_rejected_pair_stays_two_and_is_not_asked_again(answered: dict[str, Question]) -> None:
    for month in (APRIL, MAY):
        assert person(TWIN, month)[0] != person(OTHER_TWIN, month)[0]
    assert rows("select count(*) from intermediate.int_match_reviews") == [(0,)]
    assert questions() == []
    assert {one.state for one in questions(APRIL, with_answered=True)} == {"accepted", "rejected"}


def test_a_decision_about_two_addresses_serves_recurrence_only(answered: dict[str, Question]) -> None:
    assert person(MOVER, APRIL)[0] != person(MOVED, APRIL)[0]
    links = rows("select person_id, earlier_person_id, tier from intermediate.int_person_moves where signal_month = %s",
                 str(MAY))  # fmt: skip
    assert (person(MOVED, MAY)[0], person(MOVER, MAY)[0], "decided") in links
    namesakes = {person(NAMESAKE, MAY)[0], person(OTHER_NAMESAKE, MAY)[0]}
    assert not [link for link in links if namesakes & set(link)]


def test_who_decided_when_and_why_is_kept(answered: dict[str, Question]) -> None:
    [kept] = [one for one in questions(APRIL, with_answered=True) if one.review_id == answered["twins"].review_id]
    assert (kept.decided_by, kept.reason) == ("medewerker", "nagevraagd")
    assert kept.decided_at is not None
    with pytest.raises(NotAsked, match="vs review list"):
        answer("review_nobody", is_same_person=True, decided_by="medewerker", reason="x")


def test_a_rebuild_from_landing_respects_every_answer(answered: dict[str, Question]) -> None:
    before = built()
    with connect(Role.TRANSFORMER) as connection:
        tables = connection.execute("select tablename from pg_tables where schemaname = 'intermediate'").fetchall()
        for (table,) in tables:
            connection.execute(f'drop table intermediate."{table}" cascade')
    build_stage("foundation")
    build(APRIL, MAY)
    assert built() == before


def test_an_answer_given_after_its_month_counts_for_the_next(answered: dict[str, Question]) -> None:
    """Two persons known since April become one in June, when April is not built again."""
    one, other = person(TWIN, MAY)[0], person(OTHER_TWIN, MAY)[0]
    answer(answered["twins"].review_id, is_same_person=True, decided_by="medewerker", reason="toch dezelfde")
    land(JUNE, [TWIN.again(amount="400.00"), OTHER_TWIN.again(amount="400.00")])
    build(JUNE)
    assert person(TWIN, JUNE)[0] == person(OTHER_TWIN, JUNE)[0]
    assert person(TWIN, JUNE)[0] in {one, other}
    assert {one, other} - {person(TWIN, JUNE)[0]} <= {
        earlier for (earlier,) in rows(
            "select earlier_person_id from intermediate.int_person_moves where signal_month = %s and person_id = %s",
            str(JUNE), person(TWIN, JUNE)[0],
        )
    }  # fmt: skip
