-- Ages are compared in steps of one per cent: so curves are short, and a step is the logarithm of
-- an age, times 100. An age of less than a second counts as one.
CREATE OR REPLACE MACRO age_step(seconds) AS
round(100 * ln(greatest(seconds, 1)))::INTEGER;

CREATE OR REPLACE MACRO age_of_step(step) AS
exp(step / 100);
