"""The ids of signals: the same partner, reference and month give the same id, today and after a rebuild.

Rule: an id is the beginning of a hash of the partner's own reference, keyed with what `ops.signal_key` gives for the
partner's month. The key that is made from stays in the warehouse.
Reason: docs/adr/0002-keyed-identifiers.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg

from include.months import Month
from include.settings import Role
from include.warehouse.connection import connect

if TYPE_CHECKING:
    import polars as pl

PREFIX, DIGITS = "signal_", 20
WIDTH = len(PREFIX) + DIGITS


@dataclass(frozen=True)
class SignalIds:
    """Makes the ids of one partner's signals of one month; without a key they are asked for, the way of before it."""

    partner: str
    month: Month
    key: bytes | None = field(repr=False)

    @classmethod
    def asked(cls, connection: psycopg.Connection, partner: str, month: Month) -> SignalIds:
        """With the key the warehouse gives; it has none for a month that was there before (`ops.short_ids_since`)."""
        row = connection.execute("select ops.signal_key(%s, %s)", (partner, str(month)), binary=True).fetchone()
        assert row is not None
        return cls(partner, month, row[0])

    def of(self, references: pl.Series) -> pl.Series:
        """The id of each reference, in their order."""
        import polars as pl
        import polars_hash

        if self.key is None:
            return self._of_before(references)
        keyed = pl.lit(self.key) + pl.col("reference").cast(pl.Binary)
        hashes = polars_hash.col("reference").chash.sha2_256()
        frame = references.cast(pl.String).to_frame("reference").select(reference=keyed)
        return frame.select(reference=pl.lit(PREFIX) + hashes.str.slice(0, DIGITS)).to_series()

    def _of_before(self, references: pl.Series) -> pl.Series:
        import polars as pl

        with connect(Role.LOADER) as connection:
            found = connection.execute(
                "select ops.keyed_id('signal', %s || '|' || reference || '|' || %s)"
                " from unnest(%s::text[]) with ordinality as of_signal (reference, place) order by place",
                (self.partner, str(self.month), references.to_list()),
            ).fetchall()
        return pl.Series([one for (one,) in found], dtype=pl.String)
