-- What an object says of its usage, typed: a struct of tokens and cost. Null is what it does not say, and
-- never 0, and so is a trillion tokens, which nobody uses and which could not be added up. Amounts come in the smallest unit of their currency: a hundredth, but for those named here
-- (ISO 4217) and for units that are no money; credits come as they are.
CREATE OR REPLACE MACRO read_tokens(value) AS
CASE
    WHEN json_type(value) = 'UBIGINT' AND try_cast(value AS UBIGINT) < 1_000_000_000_000
        THEN try_cast(value AS BIGINT)
END;

CREATE OR REPLACE MACRO read_amount(value) AS
CASE
    WHEN json_type(value) IN ('UBIGINT', 'DOUBLE', 'VARCHAR')
        THEN try_cast(json_extract_string(value, '$') AS DECIMAL(27, 6))
END;

CREATE OR REPLACE MACRO minor_unit(currency) AS
CASE
    WHEN currency IN ('BIF', 'CLP', 'JPY', 'KRW', 'PYG', 'UGX', 'VND', 'XAF', 'XOF', 'XPF', 'POINT')
        THEN 1::DECIMAL(4, 3)
    WHEN currency IN ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') THEN 0.001::DECIMAL(4, 3)
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

CREATE OR REPLACE MACRO read_usage(usage) AS
struct_concat(
    {
        'input_tokens': read_tokens(json_extract(usage, '$.input_tokens')),
        'output_tokens': read_tokens(json_extract(usage, '$.output_tokens')),
        'cache_read_tokens': read_tokens(json_extract(usage, '$.cache_read_input_tokens')),
        'cache_write_tokens': coalesce(
            read_tokens(json_extract(usage, '$.cache_creation_input_tokens')),
            read_tokens(json_extract(usage, '$.cache_creation.ephemeral_5m_input_tokens'))
            + read_tokens(json_extract(usage, '$.cache_creation.ephemeral_1h_input_tokens')),
            read_tokens(json_extract(usage, '$.cache_creation.ephemeral_5m_input_tokens')),
            read_tokens(json_extract(usage, '$.cache_creation.ephemeral_1h_input_tokens'))
        )
    },
    read_cost(
        read_amount(json_extract(usage, '$.list_cost.amount')),
        nullif(json_extract_string(usage, '$.list_cost.currency'), ''),
        coalesce(read_amount(json_extract(usage, '$.total_credits')), read_amount(json_extract(usage, '$.credits')))
    )
);
