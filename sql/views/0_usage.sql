-- What an object says of its usage, typed: a struct of tokens and cost. Null is what it does not say, and
-- never 0, and so is a trillion tokens, which nobody uses and which could not be added up. Amounts come in the smallest unit of their currency: a hundredth, but for those named here
-- (ISO 4217) and for units that are no money; credits come as they are.
CREATE OR REPLACE MACRO read_tokens(value) AS
CASE WHEN regexp_full_match(value, '\d{1,12}') THEN value::VARCHAR::BIGINT END;

CREATE OR REPLACE MACRO read_amount(value) AS
CASE
    WHEN regexp_matches(value, '^[-"0-9]')
        THEN try_cast(json_extract_string(value, '$') AS DECIMAL(27, 6))
END;

CREATE OR REPLACE MACRO minor_unit(currency) AS
CASE
    WHEN list_contains(
        ['BIF', 'CLP', 'JPY', 'KRW', 'PYG', 'UGX', 'VND', 'XAF', 'XOF', 'XPF', 'POINT'], currency
    )
        THEN 1::DECIMAL(4, 3)
    WHEN list_contains(['BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND'], currency) THEN 0.001::DECIMAL(4, 3)
    ELSE 0.010::DECIMAL(4, 3)
END;

CREATE OR REPLACE MACRO read_cost(amount, currency, credits) AS
CASE
    WHEN amount >= 0 AND currency IS NOT NULL
        THEN {'cost_amount': (amount * minor_unit(upper(currency)))::DECIMAL(38, 9), 'cost_currency': upper(currency)}
    WHEN credits >= 0
        THEN {'cost_amount': credits::DECIMAL(38, 9), 'cost_currency': 'credits'}
    ELSE {'cost_amount': NULL::DECIMAL(38, 9), 'cost_currency': NULL::VARCHAR}
END;

CREATE OR REPLACE MACRO read_usage_values(found) AS
struct_concat(
    {
        'input_tokens': read_tokens(found[1]),
        'output_tokens': read_tokens(found[2]),
        'cache_read_tokens': read_tokens(found[3]),
        'cache_write_tokens': coalesce(
            read_tokens(found[4]),
            read_tokens(found[5]) + read_tokens(found[6]),
            read_tokens(found[5]),
            read_tokens(found[6])
        )
    },
    read_cost(
        read_amount(found[7]),
        nullif(json_extract_string(found[8], '$'), ''),
        coalesce(read_amount(found[9]), read_amount(found[10]))
    )
);

-- The JSON is parsed once for all of them.
CREATE OR REPLACE MACRO read_usage(usage) AS
read_usage_values(json_extract(usage, [
    '$.input_tokens',
    '$.output_tokens',
    '$.cache_read_input_tokens',
    '$.cache_creation_input_tokens',
    '$.cache_creation.ephemeral_5m_input_tokens',
    '$.cache_creation.ephemeral_1h_input_tokens',
    '$.list_cost.amount',
    '$.list_cost.currency',
    '$.total_credits',
    '$.credits'
]));
