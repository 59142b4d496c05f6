-- Of none missed in n, with a confidence of 95 %: the share s at which (1 - s) to the n is 5 % (about 3 / n).
CREATE OR REPLACE MACRO missed_share_upper(n) AS
CASE WHEN n > 0 THEN 1 - pow(0.05, 1.0 / n) ELSE 1 END;
