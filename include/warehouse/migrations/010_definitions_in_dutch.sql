-- The definitions of the KPIs say in Dutch what they count: the seed got columns; dbt makes it again with the foundation
-- stage.
drop table if exists staging.kpi_definitions;
