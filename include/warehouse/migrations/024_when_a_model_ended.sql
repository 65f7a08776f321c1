-- When dbt was done with a model; with execution_seconds also when it began. So which models of a stage ran side by side, and
-- which one the others waited for.
alter table ops.dbt_results add column if not exists ended_at timestamptz;
