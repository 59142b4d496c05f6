-- Whether a number is as it was; of one that grows by itself, whether there is one as there was.
CREATE OR REPLACE MACRO is_same_or_grows(value, previous, grows) AS
if(coalesce(grows, FALSE), (previous IS NULL) = (value IS NULL), value IS NOT DISTINCT FROM previous);
