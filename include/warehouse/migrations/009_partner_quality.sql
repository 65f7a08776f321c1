-- What the score of a partner is made of: the day a file lay in the inbox (the file's own time, whenever we looked), the
-- day it was due, and which fields its contract offers. A contract changes; what a delivery was judged by does not.
alter table ops.deliveries add column if not exists delivered_on date;
alter table ops.deliveries add column if not exists due_on date;
alter table ops.deliveries add column if not exists offered_fields text[];
