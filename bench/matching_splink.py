"""Splink on the same signals, in an environment of its own; `make bench-matching` runs it.

Rule: the documented recipe (the prior from deterministic rules, u by random sampling, m by expectation maximisation
over two blockings, predict, cluster), on cleaned columns: everything our own matching may see, Splink sees.
Usage: python matching_splink.py signals.csv folder seed. Writes links.csv (two row numbers and a match weight a line)
and prints one JSON line with the seconds; finding the best threshold is not part of the time.
"""

from __future__ import annotations

import json
import re
import sys
import time
import unicodedata
import warnings
from pathlib import Path

import duckdb
import splink.comparison_level_library as levels
import splink.comparison_library as comparisons
from splink import DuckDBAPI, Linker, SettingsCreator, block_on
from splink.internals.splink_dataframe import SplinkDataFrame

LEAST_WEIGHT = -8.0  # links under this are never the best threshold; leaving them out keeps the file small
CLUSTER_WEIGHT = 5.0


# evidence beside names, dates and addresses. On a small and clean set a level of it may not occur among matches at all,
# and then Splink refuses the model (a probability of 0): it is tried again with less of it
EXTRA = (
    ("gender", "phone", "email", "bsn", "customer"),
    ("phone", "email", "bsn", "customer"),
    ("bsn", "customer"),
    (),
)


def settings(extra: tuple[str, ...]) -> SettingsCreator:
    initials = comparisons.CustomComparison(
        output_column_name="initials",
        comparison_levels=[
            levels.NullLevel("initials"),
            levels.ExactMatchLevel("initials"),
            levels.CustomLevel(
                "starts_with(initials_l, initials_r) or starts_with(initials_r, initials_l)", label_for_charts="prefix"
            ),
            levels.ElseLevel(),
        ],
    )
    address = comparisons.CustomComparison(
        output_column_name="address",
        comparison_levels=[
            levels.NullLevel("postcode"),
            levels.CustomLevel(
                "postcode_l = postcode_r and house_number_l = house_number_r and house_suffix_l = house_suffix_r",
                label_for_charts="address",
            ),
            levels.CustomLevel(
                "postcode_l = postcode_r and house_number_l = house_number_r", label_for_charts="house number"
            ),
            levels.CustomLevel("postcode_l = postcode_r or (street_l = street_r and house_number_l = house_number_r)",
                               label_for_charts="postcode"),
            levels.ElseLevel(),
        ],
    )  # fmt: skip
    return SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="row",
        comparisons=[
            comparisons.JaroWinklerAtThresholds("surname", [0.92, 0.8]).configure(term_frequency_adjustments=True),
            initials,
            comparisons.DateOfBirthComparison("birth_date", input_is_string=True),
            address,
            *[comparisons.ExactMatch(column) for column in extra],
        ],
        blocking_rules_to_generate_predictions=[
            block_on("postcode", "house_number"),
            block_on("birth_date", "surname"),
            block_on("bsn"),
            block_on("phone"),
            block_on("email"),
        ],
    )


def cleaned(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """The usual cleaning: lower case, no diacritics or points, prefixes in front of the surname left out."""
    particles = "van|von|vom|de|der|den|des|het|t|te|ter|ten|tot|in|op|aan|bij|onder|over|uit|voor|d|du|la|le|les|el|al"
    rows = connection.execute("select * from read_csv(?, all_varchar = true, header = true)", [str(path)])
    table = rows.to_arrow_table().to_pylist()
    for row in table:
        row["row"] = int(row["row"])
        letters = re.sub(r"[^a-z-]+", " ", _plain(row["surname"]))
        short = re.sub(r"\s+", " ", re.sub(rf"\b({particles})\b", " ", letters)).strip(" -")
        row["surname"] = short or letters.strip()
        row["initials"] = re.sub(r"[^a-z]", "", _plain(row["initials"] or "")) or None
        row["house_suffix"] = re.sub(r"[^a-z0-9]", "", _plain(row["house_suffix"] or ""))
    import pyarrow

    connection.register("cleaned", pyarrow.Table.from_pylist(table))
    connection.execute("create table signals as select * from cleaned")


def _plain(text: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(char))


def trained(database: DuckDBAPI, signals: SplinkDataFrame, extra: tuple[str, ...], seed: int) -> Linker:
    linker = Linker(signals, settings(extra), log_level="ERROR")
    training = linker.training
    training.estimate_probability_two_random_records_match(
        [block_on("bsn"), block_on("birth_date", "surname", "postcode"), block_on("customer")], recall=0.8
    )
    training.estimate_u_using_random_sampling(max_pairs=5e6, seed=seed)
    training.estimate_parameters_using_expectation_maximisation(block_on("postcode", "house_number"))
    training.estimate_parameters_using_expectation_maximisation(block_on("birth_date", "initials"))
    return linker


def main(path: Path, folder: Path, seed: int) -> None:
    warnings.filterwarnings("ignore")
    started = time.perf_counter()
    connection = duckdb.connect()
    cleaned(connection, path)
    database = DuckDBAPI(connection)
    signals = database.register("signals")
    for extra in EXTRA:
        started_training = time.perf_counter()
        try:
            linker = trained(database, signals, extra, seed)
            break
        except ValueError:
            started += time.perf_counter() - started_training  # what failed is not counted
    else:
        raise SystemExit("Splink could not be trained on these signals")
    predicted = linker.inference.predict(threshold_match_weight=LEAST_WEIGHT)
    linker.clustering.cluster_pairwise_predictions_at_threshold(predicted, threshold_match_weight=CLUSTER_WEIGHT)
    seconds = time.perf_counter() - started
    connection.execute(
        f"copy (select row_l, row_r, match_weight from {predicted.physical_name}) to '{folder / 'links.csv'}' (header)"
    )
    print(json.dumps({"seconds": round(seconds, 2), "extra": extra}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
