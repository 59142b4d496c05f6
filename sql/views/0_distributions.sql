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

-- How probable a t so far from 0 is by chance, either way: Student's distribution with df degrees of
-- freedom, whole and positive (the finite series of Abramowitz and Stegun, 26.7.3 and 26.7.4).
CREATE OR REPLACE MACRO student_t_p(t, df) AS
greatest(
    0,
    1 - CASE
        WHEN df % 2 = 0
            THEN sin(atan(abs(t) / sqrt(df))) * list_sum([
                exp(lgamma(k + 0.5) - lgamma(0.5) - lgamma(k + 1)) * pow(cos(atan(abs(t) / sqrt(df))), 2 * k)
                FOR k IN range(df // 2)
            ])
        ELSE 2 / pi() * (
            atan(abs(t) / sqrt(df))
            + sin(atan(abs(t) / sqrt(df))) * coalesce(list_sum([
                exp(lgamma(k + 1) + lgamma(1.5) - lgamma(k + 1.5))
                * pow(cos(atan(abs(t) / sqrt(df))), 2 * k + 1)
                FOR k IN range((df - 1) // 2)
            ]), 0)
        )
    END
);

-- How many standard errors a 95 % interval reaches either way: Fisher's expansion of Student's quantile,
-- to 1 % from two degrees of freedom on.
CREATE OR REPLACE MACRO student_t_95(df) AS
1.959963984540054 + 2.372271230298562 / df + 2.82249861573964 / pow(df, 2)
+ 2.555849679507722 / pow(df, 3) + 1.589534053393823 / pow(df, 4);
