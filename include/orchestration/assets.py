"""The assets that link the DAGs: each is emitted by exactly one task of one DAG, for one month.

A DAG never waits for two assets at once: two events of one partition that arrive within milliseconds each make their
own pending run and neither completes (Airflow 3.3.2). Fan in inside a DAG, and emit one asset at its end.
"""

from airflow.sdk import Asset

SIGNALS_LANDED = Asset(name="signals_landed", uri="vroegsignalering://landing/signals")
CASES_CATEGORISED = Asset(name="cases_categorised", uri="vroegsignalering://intermediate/cases")
CALL_LISTS_DELIVERED = Asset(name="call_lists_delivered", uri="vroegsignalering://outbound/call_lists")
OUTCOMES_COLLECTED = Asset(name="outcomes_collected", uri="vroegsignalering://landing/outcomes")
MONTH_CLOSED = Asset(name="month_closed", uri="vroegsignalering://marts/closed_month")
