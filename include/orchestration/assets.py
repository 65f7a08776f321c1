"""The assets that link the DAGs: each is emitted by exactly one task of one DAG, for one month.

A DAG never waits for two assets at once: two events of one partition that arrive within milliseconds each make their
own pending run and neither completes (Airflow 3.3.2). Fan in inside a DAG, and emit one asset at its end.
"""

from airflow.sdk import Asset

SIGNALS_LANDED = Asset("vroegsignalering://landing/signals", name="signals_landed")
CASES_CATEGORISED = Asset("vroegsignalering://intermediate/cases", name="cases_categorised")
CALL_LISTS_DELIVERED = Asset("vroegsignalering://outbound/call_lists", name="call_lists_delivered")
OUTCOMES_COLLECTED = Asset("vroegsignalering://landing/outcomes", name="outcomes_collected")
MONTH_CLOSED = Asset("vroegsignalering://marts/closed_month", name="month_closed")
