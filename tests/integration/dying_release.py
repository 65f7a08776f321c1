"""Release the held rows of a delivery, in this process, and be killed at a given point (SIGKILL: nothing cleans up).

python -m tests.integration.dying_release dlv_… after_rows
"""

from __future__ import annotations

import sys

from include.ingest import landing, quarantine
from tests.integration.dying_ingest import die_after


def die_at(point: str) -> None:
    if point == "after_rows":
        landing.write_signals = die_after(landing.write_signals)
    elif point == "after_decision":
        quarantine._decide = die_after(quarantine._decide)
    elif point == "before_receipt":
        quarantine._judge_again = die_after(quarantine._judge_again)
    else:
        raise SystemExit(f"{point!r} is no point")


if __name__ == "__main__":
    die_at(sys.argv[2])
    quarantine.release(quarantine.Selection(delivery_id=sys.argv[1]), "somebody")
    raise SystemExit("the point was never reached")
