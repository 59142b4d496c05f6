-- Microseconds are exact; seconds as floating point are not.
CREATE OR REPLACE MACRO seconds_between(earlier, later) AS
(epoch_us(later) - epoch_us(earlier)) / 1e6;
