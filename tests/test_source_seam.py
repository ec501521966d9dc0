"""No module above the source knows an engine: neither its package nor its types' names."""

import re
from pathlib import Path

import pytest

LIB = Path("lib/lakebook")
WITHIN = LIB / "source" / "postgresql"
KNOW_ENGINES = {  # the one that picks an engine, and the one that reads what catalogs hold
    LIB / "source" / "engines.py",
    LIB / "source" / "table_json.py",
}
TYPES = "int[248]|float[48]|bpchar|bytea|timestamptz|timetz|jsonb|hstore|typname|pg_type"
ABOVE = sorted(each for each in LIB.rglob("*.py") if WITHIN not in each.parents)


@pytest.mark.parametrize("module", ABOVE, ids=str)
def test_no_module_knows_an_engine(module):
    text = module.read_text()
    assert not re.findall(rf"""["'](?:{TYPES})["']""", text)
    if module not in KNOW_ENGINES:
        assert not re.findall(r"^ *(?:from|import) .*\bpostgresql\b.*", text, re.MULTILINE)


def test_the_search_finds_what_it_looks_for():
    inside = "".join(each.read_text() for each in WITHIN.glob("*.py"))
    assert len(set(re.findall(rf'"({TYPES})"', inside))) > 8
