"""What the project's matching is compared with: exact matching, and Splink at its best threshold.

Exact: equal normalised address, surname and birth date (the usual first idea). Splink: `matching_splink.py` in an
environment of its own; of all thresholds the one with the highest F1 counts, for single links and for clusters of them,
whichever is better for Splink.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from bench.matching_scores import Score, links_in, score

HERE = Path(__file__).parent
ENVIRONMENT = HERE.parent / "build" / "bench" / "splink"
REQUIREMENTS = HERE / "matching_splink.requirements.txt"
CLUSTER_WEIGHTS = (12.0, 10.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 0.0)


@dataclass(frozen=True)
class Best:
    """The best a method can do, and what it took."""

    scores: dict[str, Score]
    seconds: float
    weight: float | None = None
    processor: float | None = None


def exact(signals: pd.DataFrame, truth: list[str]) -> Best:
    started = time.perf_counter()
    found = pd.DataFrame(
        {
            "address": signals["postcode"].str.upper()
            + "|" + signals["house_number"].astype(str)
            + "|" + _plain(signals["house_letter"].fillna("") + signals["house_number_addition"].fillna("")),
            "surname": _plain(signals["surname"]),
            "birth_on": signals["birth_on"],
        }
    )  # fmt: skip
    seconds = time.perf_counter() - started
    return Best(score(pd.concat([signals, found.add_prefix("exact_")], axis=1), truth,
                      ["exact_address", "exact_surname", "exact_birth_on"]), seconds)  # fmt: skip


def _plain(texts: pd.Series) -> pd.Series:
    """Lower case letters and digits, without diacritics."""
    return (
        texts.str.normalize("NFKD").str.lower().str.replace(r"[^a-z0-9]", "", regex=True)
    )


def splink(signals: pd.DataFrame, truth: list[str], seed: int) -> Best:
    """Run Splink on the same signals and find its best threshold against the truth."""
    signals = signals.reset_index(drop=True)
    with tempfile.TemporaryDirectory(prefix="vs-splink-") as name:
        folder, python = Path(name), _environment()
        used = _children_processor_seconds()
        _for_splink(signals).to_csv(folder / "signals.csv", index=False)
        done = subprocess.run(
            [str(python), str(HERE / "matching_splink.py"), str(folder / "signals.csv"), name, str(seed)],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        seconds = json.loads(done.stdout.strip().splitlines()[-1])["seconds"]
        processor = _children_processor_seconds() - used
        links = pd.read_csv(folder / "links.csv").sort_values("match_weight", ascending=False)
    return replace(_best_threshold(signals, truth, links, seconds), processor=processor)


def _children_processor_seconds() -> float:
    ended = psutil.Process().cpu_times()
    return ended.children_user + ended.children_system


def _environment() -> Path:
    """Splink's Python; installed at the first use, because it shares nothing with the platform."""
    python = ENVIRONMENT / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    mark = ENVIRONMENT / "installed"
    if not mark.exists() or mark.read_text(encoding="utf-8") != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS)], check=True)
        mark.write_text(wanted, encoding="utf-8")
    return python


def _for_splink(signals: pd.DataFrame) -> pd.DataFrame:
    """Everything our own matching compares by, as landed."""
    return pd.DataFrame(
        {
            "row": signals.index,
            "surname": signals["surname"], "initials": signals["initials"], "birth_date": signals["birth_on"],
            "postcode": signals["postcode"], "house_number": signals["house_number"],
            "house_suffix": signals["house_letter"].fillna("") + signals["house_number_addition"].fillna(""),
            "street": signals["street"], "gender": signals["gender"],
            "phone": signals["phone_1"], "email": signals["email"], "bsn": signals["bsn_key"],
            "customer": signals["partner"] + "|" + signals["partner_reference"],
        }
    )  # fmt: skip


def _best_threshold(signals: pd.DataFrame, truth: list[str], links: pd.DataFrame, seconds: float) -> Best:
    left, right, weight = (links[name].to_numpy() for name in ("row_l", "row_r", "match_weight"))
    person = signals.groupby(truth, sort=False).ngroup().to_numpy()
    month = signals["signal_month"].to_numpy()
    is_right, is_within = person[left] == person[right], month[left] == month[right]
    true = {"all": links_in(signals, truth), "within": links_in(signals, [*truth, "signal_month"])}
    true["across"] = true["all"] - true["within"]
    f1 = 2 * np.cumsum(is_right) / (true["all"] + np.arange(1, len(weight) + 1))
    at = int(f1.argmax())
    kept = np.arange(len(weight)) <= at
    scores = {
        kind: Score(true[kind], int((kept & of_kind).sum()), int((kept & of_kind & is_right).sum()))
        for kind, of_kind in (("all", True), ("within", is_within), ("across", ~is_within))
    }
    best = Best(scores, seconds, float(weight[at]))
    for threshold in CLUSTER_WEIGHTS:
        signals = signals.assign(cluster=_clusters(len(signals), left[weight >= threshold], right[weight >= threshold]))
        clustered = score(signals, truth, ["cluster"])
        if clustered["all"].f1 > best.scores["all"].f1:
            best = Best(clustered, seconds, threshold)
    return best


def _clusters(size: int, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The lowest row each row is connected with; labels are passed on until nothing changes."""
    label = np.arange(size)
    while True:
        before = label.copy()
        lowest = np.minimum(label[left], label[right])
        np.minimum.at(label, left, lowest)
        np.minimum.at(label, right, lowest)
        label = label[label]
        if np.array_equal(before, label):
            return label
