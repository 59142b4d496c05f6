-- What may be concluded from a poll. Only a complete one says which threads there are.
CREATE OR REPLACE MACRO is_complete_poll(outcome, status_filter) AS
outcome = 'complete' AND status_filter IS NULL;

-- Pages came, and no later poll was loaded before them.
CREATE OR REPLACE MACRO is_loaded_poll(outcome, pages) AS
outcome <> 'overtaken' AND pages > 0;
