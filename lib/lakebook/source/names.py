"""Names that Glue, Athena and Redshift all accept, made from whatever PostgreSQL allows."""

from __future__ import annotations

import re
import unicodedata

LONGEST_BYTES = 127  # Redshift's identifiers; Glue allows 255
# added by DMS, so no source column may take them
ADDED = ("Op", "dms_timestamp", "dms_change_seq")  # as the target and the mapping say
RAW_COLUMNS = tuple(each.lower() for each in ADDED)


def catalog_name(name: str) -> str:
    """The name in lower case with only a-z, 0-9 and _, at most 127 bytes, never empty, never
    starting with a digit.

    Letters lose their accents; any other character becomes `_`: `"Größe (cm)"` -> `grosse__cm_`.
    """
    plain = "".join(
        c for c in unicodedata.normalize("NFKD", name.casefold()) if not unicodedata.combining(c)
    )
    safe = re.sub(r"[^a-z0-9_]", "_", plain)[:LONGEST_BYTES]
    return safe if re.match(r"[a-z_]", safe) else f"c_{safe}"[:LONGEST_BYTES]


def catalog_names(names: list[str], taken: tuple[str, ...] = ()) -> list[str]:
    """A catalog name for each name, in order; one already given to an earlier name gets `_2`, `_3`,
    ...
    """
    given: list[str] = list(taken)
    for name in names:
        first = unique = catalog_name(name)
        number = 1
        while unique in given:
            number += 1
            suffix = f"_{number}"
            unique = first[: LONGEST_BYTES - len(suffix)] + suffix
        given.append(unique)
    return given[len(taken) :]
