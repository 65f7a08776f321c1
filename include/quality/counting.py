"""Great Expectations' rule over rows, asked for a number and nothing else.

Rule: a gate counts the rows that break a rule and never looks at one. GX's own expectation runs its query twice, once
to count and once for the rows, which it holds in memory; half of what a large month's gates took was the second time.
Importing this module is what makes GX take this class for `unexpected_rows_expectation` in a suite.
"""

from __future__ import annotations

from typing import Any, ClassVar

from great_expectations import expectations as gxe


class UnexpectedRowsExpectation(gxe.UnexpectedRowsExpectation):
    """Holds when its query finds no row; the observed value is how many it finds."""

    metric_dependencies: ClassVar[tuple[str, ...]] = ("unexpected_rows_query.row_count",)

    def _validate(
        self, metrics: dict[str, Any], runtime_configuration: Any = None, execution_engine: Any = None
    ) -> dict[str, Any]:
        found = metrics["unexpected_rows_query.row_count"]
        return {"success": found == 0, "result": {"observed_value": found}}
