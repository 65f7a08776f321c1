-- Follow-ups are looked up by case (sheet Warm, closures); without this every case would read all there are.
create index if not exists ris_followups_case_id_idx on landing.ris_followups (case_id);
