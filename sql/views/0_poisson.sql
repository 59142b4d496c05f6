-- As many as are to be expected, and two standard deviations of chance (Poisson).
CREATE OR REPLACE MACRO poisson_upper(expected) AS
ceil(expected + 2 * sqrt(expected));
