-- Student's t-test of many differences, each with few degrees of freedom, whose variances lend each
-- other strength (Smyth's moderated t). The design effect, by how much the variance is larger than it
-- would be if threads of a session were not alike, is drawn to the mean of all pairs, the more the less
-- these differ from each other. `differences` names what has the columns pair, measure, difference,
-- variance, independent (the variance if they were not alike), df, and of_one_thread: what a single
-- thread would add to the variance, which is the least that it can be.
CREATE OR REPLACE MACRO moderated_t(differences) AS TABLE (
    WITH designs AS (
        SELECT
            *,
            CASE WHEN variance > 0 THEN variance / independent END AS design_effect,
            count(design_effect) OVER pairs AS others,
            sum(design_effect::DECIMAL(38, 12)) OVER pairs ::DOUBLE / others AS usual,
            sum(df::DECIMAL(38, 12)) OVER pairs ::DOUBLE / others AS usual_df
        FROM query_table(differences)
        WINDOW pairs AS (PARTITION BY measure, variance > 0)
    ),

    -- How much design effects differ from each other beyond what their own uncertainty explains.
    spreads AS (
        SELECT
            *,
            sum(pow(design_effect / usual - 1, 2)::DECIMAL(38, 12)) OVER alike ::DOUBLE / (others - 1) AS spread,
            sum((2 / df)::DECIMAL(38, 12)) OVER alike ::DOUBLE / others AS by_chance,
            greatest(0, (spread - by_chance) / (1 + by_chance)) AS beyond,
            CASE WHEN others > 1 THEN least((others - 1) * usual_df, 4 + 2 / nullif(beyond, 0)) ELSE 0 END AS prior_df
        FROM designs
        WINDOW alike AS (PARTITION BY measure, variance > 0)
    )

    SELECT
        pair,
        measure,
        difference,
        CASE
            WHEN prior_df > 0 THEN (prior_df * usual * independent + df * variance) / (prior_df + df)
            ELSE variance
        END AS moderated_variance,
        CASE
            WHEN difference = 0 THEN 1
            ELSE student_t_p(
                difference / sqrt(greatest(moderated_variance, of_one_thread)),
                greatest(1, least(200, floor(coalesce(prior_df, 0) + df)))::INTEGER
            )
        END AS p
    FROM spreads
);
