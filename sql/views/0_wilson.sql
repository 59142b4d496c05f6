-- Wilson's 95 % interval of a share of n: a struct of low and high.
CREATE OR REPLACE MACRO wilson_interval(share, n) AS {
    'low': (
        share + 3.841458820694124 / n / 2
        - sqrt(3.841458820694124 / n * (share * (1 - share) + 3.841458820694124 / n / 4))
    ) / (1 + 3.841458820694124 / n),
    'high': (
        share + 3.841458820694124 / n / 2
        + sqrt(3.841458820694124 / n * (share * (1 - share) + 3.841458820694124 / n / 4))
    ) / (1 + 3.841458820694124 / n)
};
