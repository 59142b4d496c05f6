-- What a test says, in a word.
CREATE OR REPLACE MACRO verdict(p_adjusted, difference, if_more, if_less) AS CASE
    WHEN p_adjusted IS NULL THEN 'too few'
    WHEN p_adjusted > 0.05 THEN 'unclear'
    WHEN difference > 0 THEN if_more
    ELSE if_less
END;
