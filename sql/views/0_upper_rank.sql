-- Which of n values, in order, is an upper bound of their distribution's quantile, with a confidence of
-- 95 %: a binomial quantile by Cornish and Fisher's expansion, in a hundredth of cases one too high.
CREATE OR REPLACE MACRO upper_rank(n, share) AS
least(
    n,
    ceil(
        n * share + 1.6448536269514722 * sqrt(n * share * (1 - share))
        + (1.6448536269514722 ** 2 - 1) * (1 - 2 * share) / 6 + 0.5
    )
);
