"""What comes in before a month is closed, and what that means for months that are closed already.

Rule: RIS may say something about a closed month at any time. It is landed like everything else, and then it waits for a
person as a restatement; nothing here changes a closed month.
"""

from __future__ import annotations

from include.exchange.ris import RisClient
from include.months import Month
from include.outbound.ris_closures import collect_late_acknowledgements
from include.warehouse.closure_ledger import month_is_closed
from include.warehouse.restatements import Restatement, notice_late_answers, propose_restatement


def notice_what_came_late() -> list[Restatement]:
    """Answers of RIS that come after their month was closed, by file or in what was collected; returns what waits."""
    collect_late_acknowledgements()
    return notice_late_answers()


def prepare_closing(month: Month, client: RisClient | None = None) -> list[str]:
    """Take in what RIS says until now; a closed month's next version becomes a proposal. The months to refresh."""
    from include.ingest.ris import collect_outcomes

    touched = [str(one) for one in collect_outcomes(client).months]
    notice_what_came_late()
    if month_is_closed(month):
        propose_restatement(month)
    return touched
