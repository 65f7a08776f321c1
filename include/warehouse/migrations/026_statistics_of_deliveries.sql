-- A handful of deliveries a month never make autovacuum look at them, and without statistics the planner takes a month of
-- signals for a few hundred. The stage that reads them next has them looked at (int_signals__keyed).
grant maintain on ops.deliveries to vs_transformer;
