-- A thread whose last turn ended so gives up: it does not go on by itself.
CREATE OR REPLACE MACRO gave_up(stop_reason_type) AS
coalesce(stop_reason_type IN ('retries_exhausted', 'budget_reached', 'refusal'), FALSE);
