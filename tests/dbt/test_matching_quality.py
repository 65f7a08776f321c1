"""The matching stays as good as it was measured: five thousand signals of a default sandbox against its truth.

`make bench-matching` measures with fresh seeds, other sizes and dirt, and beside Splink; this is its short form, with a
seed of its own so that a failure is a change of ours.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import psycopg
import pytest

from bench.matching import DIRT, QUALITY_SIGNALS, QUARTER, TRUTHS
from bench.matching_baselines import exact
from bench.matching_scores import score
from bench.matching_signals import DataSet, signals_with_truth
from bench.matching_warehouse import Warehouse
from include.local.instance import Instance
from include.settings import Settings

SEED = 1207


@pytest.fixture(scope="module")
def signals() -> pd.DataFrame:
    return signals_with_truth(DataSet(QUALITY_SIGNALS, QUARTER, DIRT["default"], SEED))


@pytest.fixture(scope="module")
def built(server: Instance, warehouse: Path, signals: pd.DataFrame) -> Warehouse:
    here = Settings.from_environment().environment
    built = Warehouse(server.postgres.superuser_dsn, here["VS_WAREHOUSE_DATABASE"], here["DBT_TARGET_PATH"])
    built.build(signals, QUARTER)
    return built


def test_links_between_signals_are_right_and_complete(built: Warehouse, signals: pd.DataFrame) -> None:
    persons = signals.merge(built.linked_persons(), on="signal_id", validate="one_to_one")
    found = score(persons, *TRUTHS["person"])
    assert found["all"].true > 1_000
    assert found["within"].true > 200
    assert found["all"].precision >= 0.995
    assert found["all"].f1 >= 0.985
    at_address = score(persons, *TRUTHS["at_address"])
    assert at_address["all"].precision >= 0.995
    assert found["all"].f1 > exact(signals, TRUTHS["person"][0]).scores["all"].f1 + 0.1


def test_every_link_says_why_and_every_doubt_is_a_question(built: Warehouse, signals: pd.DataFrame) -> None:
    with psycopg.connect(built.dsn) as connection:
        [(resolved, unexplained)] = connection.execute(
            "select count(*), count(*) filter (where match_tier is null or match_evidence is null"
            " or (match_score is null) <> (match_tier = 'new')) from intermediate.int_persons__resolved"
        ).fetchall()
        [(asked, kept)] = connection.execute(
            "select count(*), count(*) filter (where kept.review_id is not null)"
            " from intermediate.int_match_reviews as asked left join ops.match_reviews as kept using (review_id)"
        ).fetchall()
    assert (resolved, unexplained) == (len(signals), 0)
    assert 0 < asked == kept
    assert asked < resolved / 50


def test_all_months_built_again_from_landing_are_the_same(built: Warehouse) -> None:
    before = built.fingerprint()
    built.forget_what_was_built()
    for month in QUARTER:
        built.build_again(month)
    assert built.fingerprint() == before
