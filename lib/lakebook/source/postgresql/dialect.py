"""PostgreSQL's SQL."""

from __future__ import annotations

from lakebook.source.dialect import Dialect

POSTGRESQL = Dialect(
    name="PostgreSQL",
    text="({c})::text",
    integer="cast({c} as bigint)",
    double="({c})::float8",
    md5="md5({c})",
    hash="('x' || left({c}, 15))::bit(60)::bigint",
    sum="sum({c})",
    join="function",
    days="({c}) - date '1970-01-01'",
    # exact for every timestamp, and much faster than extract(epoch from …), which is numeric
    milliseconds=(
        "(({c})::date - date '1970-01-01')::bigint * 86400000"
        " + ((date_part('epoch', ({c})::time) * 1000000)::bigint + 500) / 1000"
    ),
    hexadecimal="encode(substring({c} from {start} for {length}), 'hex')",
    bytes="octet_length({c})",
    ordered='({c}) collate "C"',
    longest_statement_bytes=100_000_000,
    # as a branch of a UNION its expressions are computed once a row, else once for each of their
    # uses; still in parallel
    subquery="{rows} union all {rows} where false",
    literal_mark=" E'",
    escapes_backslash=True,
)
quote, literal = POSTGRESQL.quote, POSTGRESQL.literal
