-- When something happened that nobody saw. Of one thread the middle of what is possible is as good as
-- any time; of many threads it would be a pulse in the middle between any two polls, so that curves
-- were flat between. In a curve each has its own place between the bounds, all equally probable: by its
-- id, so that it is the same again tomorrow.
CREATE OR REPLACE MACRO spread_between(low, high, id) AS
low + (high - low) * ((md5_number_lower(id) >> 12)::DOUBLE + 0.5) / 4_503_599_627_370_496;
