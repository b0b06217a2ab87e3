"""The fast path: prompts computed once, nothing padded, equal to the padded path. Knows no data and no losses."""
