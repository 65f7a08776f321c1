"""What people in the sandbox are called: Faker's Dutch names, names of other origins, and composed Dutch surnames.

Faker's nl_NL pool alone has about a thousand surnames, which would make far too many namesakes in a large sandbox;
composed surnames (Veldkamp, van der Molenaar, Hoekstra …) fill the tail. All names are fictitious combinations.
"""

from __future__ import annotations

import csv
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from faker.providers.person.nl_NL import Provider as DutchNames

from include.sandbox.addresses import DATA

# Tussenvoegsels, longest first, as far as the pool has them (BRP table 36 is longer).
PREFIXES = (
    "van der", "van den", "van de", "van 't", "in 't", "op den", "uit de", "de la", "van", "de", "den", "der", "die",
    "ter", "ten", "te", "le", "d'", "'s", "el", "ait", "ben", "al",
)  # fmt: skip
_STEMS = tuple(
    """
    Veld Hoek Molen Berg Bos Kamp Hof Dijk Brug Water Linden Eiken Els Wilg Beuk Hazel Heide Zand Klei Veen Broek
    Meers Rieten Schouw Stal Schuur Tuin Wijn Graan Koren Haver Boter Vlas Leer Zilver Koper IJzer Steen Hout Nieuw
    Oude Groot Klein Lang Noorder Zuider Ooster Wester Boven Neder Achter Hogen Lagen Witte Zwarte
    """.split()
)
_ENDINGS = tuple(
    """
    man stra sma inga huis dijk veld kamp horst berg brink beek meijer mans sen aar boer hof burg voort rijk eijk
    straat laar donk
    """.split()
)
_COMPOSED_PREFIXES = ("", "", "", "", "", "van", "van der", "van den", "van de", "ter")


@dataclass(frozen=True)
class Surname:
    """Tussenvoegsel and head word, in their official spelling."""

    prefix: str
    head: str


def split_prefix(name: str) -> Surname:
    lowered = name.lower()
    for prefix in PREFIXES:
        if lowered.startswith(f"{prefix} ") and len(name) > len(prefix) + 1:
            return Surname(prefix, name[len(prefix) + 1 :])
    return Surname("", name)


@lru_cache(maxsize=1)
def surname_pools() -> tuple[tuple[Surname, ...], tuple[Surname, ...], tuple[Surname, ...]]:
    """Faker's, composed, of other origins. Faker's historic persons ('Gepa van Bourgondië') are left out."""
    faker_names = [split_prefix(name) for name in sorted(set(DutchNames.last_names)) if "," not in name]
    dutch = [name for name in faker_names if " " not in name.head]
    known = {name.head for name in dutch}
    composed = [
        Surname(_COMPOSED_PREFIXES[(i * 7 + j) % len(_COMPOSED_PREFIXES)], stem + ending)
        for i, stem in enumerate(_STEMS)
        for j, ending in enumerate(_ENDINGS)
        if stem + ending not in known and not stem.lower().startswith(ending)
    ]
    with (DATA / "surnames_of_other_origins.csv").open(encoding="utf-8", newline="") as file:
        other = [split_prefix(row["surname"]) for row in csv.DictReader(file)]
    return tuple(dutch), tuple(composed), tuple(other)


SURNAME_POOL_WEIGHTS = (48, 34, 18)


@lru_cache(maxsize=1)
def given_names() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Men's and women's, Faker's nl_NL."""
    return tuple(DutchNames.first_names_male), tuple(DutchNames.first_names_female)


def without_diacritics(text: str) -> str:
    """`Şimşek` -> `Simsek`; letters that do not decompose are replaced by hand."""
    text = text.translate(str.maketrans({"ı": "i", "ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "ß": "ss"}))
    return "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))


def initial_of(name: str) -> str:
    return without_diacritics(name)[0].upper()


def zipf_weights(count: int) -> np.ndarray:
    """A few common names and a long tail."""
    return 1.0 / (np.arange(count) + 8.0)
