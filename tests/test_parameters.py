"""The parameters file: what is refused, and with which sentence."""

import nbformat
import papermill
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from lakebook.errors import ParametersError
from lakebook.runner import parameters

CELL = """account: str = "123456789012"  # the account
prefix: str = "acme"  # first part of every name
source_secret: str = "a-name"  # a secret's name
workers: int = 2  # how many
ratio: float = 0.5  # a share
strict: bool = True  # stop early
source_schemas: list = ["a"]  # schemas
warehouse_keys: dict[str, str] = {}  # keys
retention_days: dict = {"logs": 400}  # numbers
apply: bool = False  # False lists the calls and makes none
"""


@pytest.fixture
def notebook(tmp_path):
    file = tmp_path / "05_glue.ipynb"
    cell = new_code_cell(CELL)
    cell.metadata.tags = ["parameters"]
    nbformat.write(
        new_notebook(cells=[new_code_cell("workers: str = 'not a parameter'"), cell]), file
    )
    return file


def read(notebook, text, *overrides):
    file = notebook.with_name("parameters.yaml")
    file.write_text(text)
    return parameters.read(file, overrides, [notebook])


def test_a_notebook_declares_the_annotated_assignments_of_its_tagged_cell(notebook):
    found = parameters.declared(notebook)
    assert found["account"] == ("str", "123456789012")
    assert found["warehouse_keys"] == ("dict", {})
    assert list(found)[-1] == "apply"


def test_the_declarations_are_those_that_papermill_sees(notebook):
    book = nbformat.read(notebook, 4)
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, notebook)
    seen = papermill.inspect_notebook(str(notebook))
    assert list(seen) == list(parameters.declared(notebook))


def test_values_are_read_with_their_types(notebook):
    text = (
        'account: "012345678901"\nworkers: 4\nratio: 1\nstrict: false\nsource_schemas: [a,'
        " b]\nwarehouse_keys: {a.b: c}\n"
    )
    assert read(notebook, text) == {
        "account": "012345678901",
        "workers": 4,
        "ratio": 1,
        "strict": False,
        "source_schemas": ["a", "b"],
        "warehouse_keys": {"a.b": "c"},
    }


def test_members_that_are_meant_as_numbers_are_taken(notebook):
    text = "retention_days: {logs: 3}\nsource_schemas: [{name: a, own: true, port: 5432, s: [b]}]\n"
    assert read(notebook, text)["retention_days"] == {"logs": 3}


def test_an_override_is_read_as_strictly_as_the_file(notebook):
    with pytest.raises(ParametersError, match="write it with quotes"):
        read(notebook, "", ("source_schemas", "[no, se]"))


def test_an_empty_file_leaves_every_default(notebook):
    assert read(notebook, "# nothing yet\n") == {}


def test_an_override_replaces_the_value_of_the_file_and_is_read_as_yaml(notebook):
    assert read(notebook, "workers: 4", ("workers", "8"), ("source_schemas", "[x]")) == {
        "workers": 8,
        "source_schemas": ["x"],
    }


def test_an_account_number_given_as_an_override_needs_no_quotes(notebook):
    assert read(notebook, "", ("account", "012345678901")) == {"account": "012345678901"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("prefx: acme", "did you mean prefix?"),
        ("zzz: 1", "there are account, prefix"),
        ("account: 123456789012", "with quotes"),
        ("prefix: no", "with quotes"),
        ("prefix: [a]", "prefix must be text"),
        ("prefix:", "prefix has no value"),
        (
            "workers: '2'",
            "workers must be a whole number (05_glue.ipynb declares it as int), not '2'",
        ),
        ("workers: 2.5", "a whole number"),
        ("workers: true", "a whole number"),
        ("ratio: true", "ratio must be a number"),
        ("strict: 1", "true or false"),
        ("source_schemas: a", "a list, as in [a, b]"),
        ("warehouse_keys: [a]", "a mapping"),
        ("source_schemas: [no, se]", "source_schemas holds False, which is no text: write it with"),
        ("source_schemas: [se, 2024]", "source_schemas holds 2024, which is no text"),
        ("source_schemas: [se, null]", "source_schemas holds None, which is no text"),
        ("source_schemas: [se, ~]", "source_schemas holds None"),
        ("source_schemas: [2024-02-29]", "source_schemas holds datetime.date"),
        ("source_schemas: [1.5]", "source_schemas holds 1.5"),
        ("source_schemas: [[on]]", "source_schemas holds True"),
        ("source_schemas: [{name: a, null: b}]", "source_schemas holds None"),
        ("source_schemas: [{name: null}]", "source_schemas holds None"),
        ("source_schemas: [{name: a, schemas: [no]}]", "source_schemas holds False"),
        ("warehouse_keys: {yes: a}", "warehouse_keys holds True"),
        ("warehouse_keys: {2024: a}", "warehouse_keys holds 2024"),
        ("warehouse_keys: {a.b: no}", "warehouse_keys holds False"),
        ("warehouse_keys: {a.b: 1}", "warehouse_keys holds 1"),
        ("warehouse_keys: {a.b: [no]}", "warehouse_keys holds False"),
        ("warehouse_keys: {a.b: null}", "warehouse_keys holds None"),
        ("retention_days: {2024: 3}", "retention_days holds 2024"),
        ("retention_days: {logs: null}", "retention_days holds None"),
        ("apply: true", "may not say apply"),
        ("password: hunter2", "pass the secret's name"),
        ("aws_secret_access_key: abc", "pass the secret's name"),
        ("warehouse_keys: {db_password: hunter2}", "pass the secret's name"),
        ("source_secret: postgresql://me:hunter2@host/db", "pass the secret's name"),
        ("source_schemas: [AKIAABCDEFGHIJKLMNOP]", "pass the secret's name"),
        ("prefix: [a", "is not YAML: line"),
        ("prefix: a\nworkers: 3\nprefix: b", "prefix is there twice"),
        ("- prefix", "must be a mapping"),
        ("just text", "must be a mapping"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(notebook, text, sentence):
    with pytest.raises(ParametersError) as refused:
        read(notebook, text)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_missing_file_is_named(notebook):
    with pytest.raises(ParametersError, match=r"nowhere\.yaml cannot be read: No such file"):
        parameters.read(notebook.with_name("nowhere.yaml"), [], [notebook])


def test_the_name_of_a_secret_is_no_secret(notebook):
    assert read(notebook, "source_secret: acme-production-source") == {
        "source_secret": "acme-production-source"
    }


def test_a_broken_parameters_cell_names_its_notebook(tmp_path):
    cell = new_code_cell("account: str =")
    cell.metadata.tags = ["parameters"]
    nbformat.write(new_notebook(cells=[cell]), tmp_path / "01_broken.ipynb")
    with pytest.raises(ParametersError, match=r"01_broken\.ipynb"):
        parameters.declared(tmp_path / "01_broken.ipynb")


def test_what_was_a_list_once_is_refused_with_what_to_write_instead(notebook):
    book = nbformat.read(notebook, 4)
    book.cells[1].source += "\ntrusted_principals: dict = {}  # persona: ARNs"
    nbformat.write(book, notebook)
    with pytest.raises(ParametersError, match=r"write \{analyst: \[arn:…\].*operator_principals"):
        read(notebook, "trusted_principals: [arn:aws:iam::123456789012:role/people]")


SERVING = """account: str = "123456789012"  # the account
source: str = ""  # the source's name
source_secret: str = "a-name"  # a secret's name
source_schemas: list = ["a"]  # schemas
tables_at_once: int = 8  # how many
replication_instance_class: str = "small"  # of the instance
own_replication_instance: bool = False  # not the shared one
vpc_id: str = ""  # of the lake
"""
OVER_THE_LAKE = """account: str = "123456789012"  # the account
sources: dict = {}  # by name
workers: int = 2  # how many
"""


@pytest.fixture
def two_notebooks(tmp_path):
    files = []
    for name, cell in {"02_lake": OVER_THE_LAKE, "03_dms": SERVING}.items():
        tagged = new_code_cell(cell)
        tagged.metadata.tags = ["parameters"]
        files.append(tmp_path / f"{name}.ipynb")
        nbformat.write(new_notebook(cells=[tagged]), files[-1])
    return files


def read_sources(two_notebooks, text):
    file = two_notebooks[0].with_name("parameters.yaml")
    file.write_text(text)
    return parameters.read(file, [], two_notebooks)


def test_a_source_names_what_differs_for_it(two_notebooks):
    loyalty = "{source_secret: b, source_schemas: [a], tables_at_once: 2}"
    found = read_sources(two_notebooks, f"sources: {{loyalty_shop: {loyalty}, tokens: {loyalty}}}")
    assert found["sources"]["tokens"]["tables_at_once"] == 2


@pytest.mark.parametrize(
    ("sources", "sentence"),
    [
        ("[a]", "sources must be a mapping"),
        ("{Loyalty: {}}", "'Loyalty' cannot be a source's name: take up to 31 small letters"),
        ("{a__b: {}}", "'a__b' cannot be a source's name"),
        ("{default: {}}", "'default' cannot be a source's name: .* not default or landing"),
        ("{landing: {}}", "'landing' cannot be"),
        ("{7: {}}", "7 cannot be"),
        ("{a: {}}", "a is a schema of the default source, too"),
        ("{b: secret}", "sources.b must be a mapping"),
        ("{b: }", "sources.b must be a mapping"),
        ("{b: {source_secret: x}}", "sources.b has no source_schemas: no source takes another's"),
        ("{b: {sauce_schemas: [a]}}", "sources.b: No notebook declares a parameter sauce_schemas"),
        ("{b: {workers: 3}}", "sources.b: No notebook declares a parameter workers"),
        ("{b: {tables_at_once: many}}", "sources.b: tables_at_once must be a whole number"),
        ("{b: {source_schemas: a}}", "sources.b: source_schemas must be a list"),
        ("{b: {vpc_id: vpc-1}}", "sources.b: vpc_id is the same for all sources"),
        ("{b: {source: c}}", "sources.b: source is the same for all sources"),
        ("{b: {password: x}}", "sources.b: password looks like a secret"),
        (
            "{b: {source_secret: x, source_schemas: [a], replication_instance_class: big}}",
            "sources.b: replication_instance_class is that of the instance which all sources share",
        ),
    ],
)
def test_a_source_that_cannot_be_meant_is_refused_in_one_sentence(two_notebooks, sources, sentence):
    with pytest.raises(ParametersError, match=sentence):
        read_sources(two_notebooks, f"sources: {sources}")


def test_a_schema_is_no_hindrance_where_there_is_no_default_source(two_notebooks):
    given = "sources: {a: {source_secret: x, source_schemas: [a]}}"
    assert read_sources(two_notebooks, f'source_secret: ""\n{given}')["sources"]["a"]


def test_a_file_says_no_source(two_notebooks):
    with pytest.raises(ParametersError, match="may not say source: the command gives it"):
        read_sources(two_notebooks, "source: loyalty")
