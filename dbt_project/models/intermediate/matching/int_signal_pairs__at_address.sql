-- Every two signals of one address, compared (compared_pairs): what makes persons, and what keeps them apart.
{{ config(
    tags=["matched"],
    indexes=[{"columns": ["signal_month"]}],
    sql_header=set_wise(),
) }}

{{ compared_pairs(
    [("'address'", "r.address_key = l.address_key", "true")],
    of_earlier="address_key in (select address_key from new_signals)",
) }}
