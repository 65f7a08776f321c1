"""What the sandbox knows and the platform must find out: which signal belongs to which person and address.

For evaluating the matching only; nothing of the platform reads this. `person_key` is the same person in every month and
at every partner; `address_key` is the address the partner meant (after a move some still mean the old one), whatever
the spelling in the file.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from include.months import Month
from include.sandbox.administration import Administration
from include.sandbox.partners import PARTNERS
from include.sandbox.population import Population
from include.sandbox.settings import SandboxSettings

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("partner", "partner_reference", "signal_month", "person_key", "address_key", "is_accident")


def true_signals(months: Iterable[Month], settings: SandboxSettings) -> pd.DataFrame:
    """One row per delivered reference. `is_accident`: the row is unusable and belongs in quarantine."""
    import pandas as pd

    administration = Administration(Population(settings))
    rows = [
        (
            partner.name,
            entry.reference,
            str(month),
            entry.person.key,
            f"A{entry.address_index:08d}",
            entry.accident is not None,
        )
        for month in months
        for partner in PARTNERS
        for entry in administration.entries(month, partner.sector)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))
