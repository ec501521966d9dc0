"""Which rows differ: narrowed down by hashes in both engines, so that only a few thousand rows are
ever fetched.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakebook.reconcile.canonical_sql import hash_sum, row_hash, row_text

if TYPE_CHECKING:
    from lakebook.source.model import Table
    from lakebook.source.relation import Relation

FETCHED_ROWS = 5_000  # about as many rows are fetched from each side at the end
FOLLOWED = 4  # differing buckets that are looked into
SHOWN = 20


@dataclass(frozen=True)
class Keys:
    """Up to 20 keys of each kind; for a table without a key, hashes of whole rows with how many are
    missing or extra.
    """

    missing: list[str]
    extra: list[str]
    changed: list[str]

    def __str__(self) -> str:
        """`missing: 17, 18; changed: 3`."""
        kinds = {"missing": self.missing, "extra": self.extra, "changed": self.changed}
        return (
            "; ".join(f"{kind}: {', '.join(keys)}" for kind, keys in kinds.items() if keys)
            or "no differing key found"
        )


def differing_keys(
    expected: Relation, measured: Relation, table: Table, lob_max_kilobytes: int
) -> Keys:
    """The keys that are missing, extra or have other values in `measured`.

    Rows are grouped by the first two hexadecimal digits of their key's md5; a few groups that
    differ are split by two more digits until they are small, and only then fetched.
    """
    sides = [_Side(each, table, lob_max_kilobytes) for each in (expected, measured)]
    prefixes, digits = [""], 0
    while True:
        digits += 2
        left, right = (side.buckets(digits, prefixes) for side in sides)
        differing = [
            prefix for prefix in sorted({*left, *right}) if left.get(prefix) != right.get(prefix)
        ]
        prefixes = differing[:FOLLOWED]
        size = max(
            sum(int(side[prefix][0]) for prefix in prefixes if prefix in side)
            for side in (left, right)
        )
        if size <= FETCHED_ROWS or digits >= 8:
            break
    if not prefixes:
        return Keys([], [], [])
    left_rows, right_rows = (side.rows(prefixes) for side in sides)
    return _difference(left_rows, right_rows, keyed=bool(table.primary_key))


class _Side:
    """One table in one engine as pairs of key and row hash."""

    def __init__(self, relation: Relation, table: Table, lob_max_kilobytes: int) -> None:
        self.relation, dialect = relation, relation.dialect
        self.text = row_text(dialect, table.columns, relation.names, lob_max_kilobytes)
        pairs = [
            pair
            for pair in zip(table.columns, relation.names, strict=True)
            if pair[0].name in table.primary_key
        ]
        columns, names = [column for column, _ in pairs], [name for _, name in pairs]
        key = row_text(dialect, columns, names, lob_max_kilobytes) if pairs else self.text
        self.digest = dialect.md5.format(c=key)
        self.shown = [dialect.text.format(c=name) for name in names] or [self.digest]

    def buckets(self, digits: int, prefixes: list[str]) -> dict[str, list[Any]]:
        """Number of rows and sum of hashes by the first digits of the key's md5, below the
        prefixes.
        """
        bucket = self._start_of_digest(digits)
        count = self.relation.dialect.text.format(c="count(*)")
        wanted = [bucket, count, hash_sum(self.relation.dialect, self.text)]
        rows = self.relation.select(
            wanted, self.relation.names, f"{self._below(prefixes)} group by {bucket}"
        )
        return {row[0]: row[1:] for row in rows}

    def rows(self, prefixes: list[str]) -> dict[str, tuple[str, Counter[str]]]:
        """By the key's md5: the key for people, and the rows' hashes."""
        dialect = self.relation.dialect
        wanted = [self.digest, dialect.text.format(c=row_hash(dialect, self.text)), *self.shown]
        found: dict[str, tuple[str, Counter[str]]] = defaultdict(lambda: ("", Counter()))
        for digest, hashed, *key in self.relation.select(
            wanted, self.relation.names, self._below(prefixes)
        ):
            hashes = found[digest][1]
            hashes[hashed] += 1
            found[digest] = (", ".join(map(str, key)), hashes)
        return found

    def _below(self, prefixes: list[str]) -> str:
        if not prefixes[0]:
            return ""
        some = ", ".join(f"'{prefix}'" for prefix in prefixes)
        return f"where {self._start_of_digest(len(prefixes[0]))} in ({some})"

    def _start_of_digest(self, digits: int) -> str:
        return self.relation.dialect.start.format(c=self.digest, length=digits)


def _difference(
    left: dict[str, tuple[str, Counter[str]]],
    right: dict[str, tuple[str, Counter[str]]],
    *,
    keyed: bool,
) -> Keys:
    missing: list[str] = []
    extra: list[str] = []
    changed: list[str] = []
    for digest in sorted({*left, *right}):
        key = (left if digest in left else right)[digest][0]
        lost = left.get(digest, ("", Counter()))[1]
        found = right.get(digest, ("", Counter()))[1]
        fewer, more = (lost - found).total(), (found - lost).total()
        if fewer and more:
            changed.append(key)
        elif fewer or more:
            times = "" if keyed and fewer + more == 1 else f" ({fewer or more} times)"
            (missing if fewer else extra).append(key + times)
    return Keys(missing[:SHOWN], extra[:SHOWN], changed[:SHOWN])
