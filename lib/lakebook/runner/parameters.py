"""The parameters of a run: read from a flat YAML file, and refused unless a notebook declares each
with that type.
"""

from __future__ import annotations

import ast
import json
import re
import threading
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import yaml

from lakebook import yaml_text
from lakebook.errors import ParametersError
from lakebook.runner import source_parameters

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

# ast.parse in two threads of Python 3.11 can end in SystemError: its depth of recursion is one of
# all threads; https://github.com/python/cpython/issues/106905
ONE_AT_A_TIME = threading.Lock()
TYPES = {
    "str": (str, "text"),
    "bool": (bool, "true or false"),
    "int": (int, "a whole number"),
    "float": (float, "a number"),
    "list": (list, "a list, as in [a, b]"),
    "dict": (dict, "a mapping, as in {a: b}"),
}
INSTEAD = {  # what was a list once
    "trusted_principals": (
        ": write {analyst: [arn:…], data-scientist: [arn:…]}, and those who may become the operator"
        " under operator_principals"
    ),
    "dashboard_authors": ": write {ann@example.com: arn:…}, with the ARN of whom they sign in as",
    "dashboard_readers": ": write {ann@example.com: arn:…}, with the ARN of whom they sign in as",
}
SECRET_KEY = re.compile(
    r"passw|passphrase|secret_access|secret_key|access_key|private_key|api_key|token|credential",
    re.IGNORECASE,
)
SECRET_VALUE = re.compile(
    r"\w://[^\s/:@]*:[^\s/@]+@|\b(AKIA|ASIA)[A-Z0-9]{16}\b|-----BEGIN .*PRIVATE KEY"
)


def declared(notebook: Path) -> dict[str, tuple[str, Any]]:
    """What the notebook's cell tagged `parameters` declares: `{"prefix": ("str", "acme"), …}`, name
    to type and default.

    Only annotated assignments of constants count, as papermill lists them. Raises ParametersError
    on a broken notebook.
    """
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        tagged = [each for each in cells if "parameters" in each["metadata"].get("tags", [])]
        with ONE_AT_A_TIME:
            body = [line for cell in tagged for line in ast.parse("".join(cell["source"])).body]
        found = [line for line in body if isinstance(line, ast.AnnAssign) and line.value]
        return {
            ast.unparse(each.target): (_type(each), ast.literal_eval(each.value or ""))
            for each in found
        }
    except (ValueError, KeyError, TypeError, SyntaxError) as error:
        raise ParametersError(f"{notebook} has no readable parameters cell: {error}.") from error


def read(
    file: Path, overrides: Iterable[tuple[str, str]], notebooks: Iterable[Path]
) -> dict[str, Any]:
    """The file's parameters with the overrides (`NAME VALUE`, the value as YAML), each declared by
    one of the notebooks.

    Raises ParametersError with one sentence: no such file, not YAML, unknown key, wrong type, a
    secret, or `apply`.
    """
    known = [
        (notebook.name, name, kind, default)
        for notebook in notebooks
        for name, (kind, default) in declared(notebook).items()
    ]
    texts = {name for _, name, kind, _ in known if kind == "str"}
    given = _mapping(file) | {name: _override(name, text, texts) for name, text in overrides}
    names = {each for _, each, *_ in known}
    for name, value in given.items():
        if name == "sources" and name in names and isinstance(value, dict):
            continue
        _refuse(name, value, known)
    if isinstance(given.get("sources"), dict) and "sources" in names:
        _refuse_sources(given, known)
    return given


def _refuse(name: str, value: Any, known: list[tuple[str, str, str, Any]]) -> None:
    """Raise ParametersError unless one of the `known` (notebook, name, type, default) is meant,
    rightly.
    """
    _refuse_what_is_not_a_parameter(name, value, {each for _, each, *_ in known})
    for notebook, each, kind, default in known:
        if each == name:
            _refuse_another_type(name, value, kind, notebook)
            _refuse_other_members(name, value, default)


def _refuse_sources(given: dict[str, Any], known: list[tuple[str, str, str, Any]]) -> None:
    """Raise ParametersError where a source has what no phase that serves one takes."""
    serving = {notebook for notebook, name, *_ in known if name == "source"}
    known = [each for each in known if each[0] in serving]
    default: list[str] = next((each for _, name, _, each in known if name == "source_schemas"), [])
    has_default = bool(given.get("source_secret", True))
    schemas = given.get("source_schemas", default) if has_default else []
    source_parameters.check(
        given["sources"], map(str, schemas), lambda name, value: _refuse(name, value, known)
    )


def _type(line: ast.AnnAssign) -> str:
    return ast.unparse(line.annotation).partition("[")[0]


def _mapping(file: Path) -> dict[str, Any]:
    try:
        content = yaml_text.read(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParametersError(
            f"The parameters file {file} cannot be read: {error.strerror}."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParametersError(f"The parameters file {file} is not YAML{_where(error)}.") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ParametersError(
            f"The parameters file {file} must be a mapping, with one `name: value` a line."
        )
    return {str(name): value for name, value in content.items()}


def _where(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f": line {mark.line + 1}, {getattr(error, 'problem', '')}" if mark else ""


def _override(name: str, text: str, texts: set[str]) -> Any:
    try:
        value = yaml_text.read(text)
    except yaml.YAMLError as error:
        raise ParametersError(f"The value of -p {name} is not YAML: {text!r}.") from error
    # a shell has taken the quotes away: -p account 123456789012 is meant as text
    return text if name in texts and not isinstance(value, str | list | dict) else value


def _refuse_what_is_not_a_parameter(name: str, value: Any, known: set[str]) -> None:
    if name == "apply":
        raise ParametersError(
            "The parameters may not say apply: the commands `lakebook plan` and `lakebook"
            " apply` do."
        )
    if name == "source" and name in known:
        raise ParametersError(
            "The parameters may not say source: the command gives it to each phase, from `sources`."
        )
    if any(SECRET_KEY.search(each) for each in (name, *_keys(value))) or any(
        map(SECRET_VALUE.search, _texts(value))
    ):
        raise ParametersError(
            f"{name} looks like a secret, and parameters are kept in the evidence: put it into AWS"
            " Secrets Manager and pass the secret's name."
        )
    if name not in known:
        close = get_close_matches(name, known, 1)
        hint = (
            f"did you mean {close[0]}?"
            if close
            else f"there are {', '.join(sorted(known - {'apply'}))}."
        )
        raise ParametersError(f"No notebook declares a parameter {name}: {hint}")


def _refuse_another_type(name: str, value: Any, kind: str, notebook: str) -> None:
    python_type, words = TYPES.get(kind, (object, ""))
    if isinstance(value, python_type) and not (
        isinstance(value, bool) and kind in ("int", "float")
    ):
        return
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return
    if value is None:
        raise ParametersError(
            f"{name} has no value: it must be {words} ({notebook} declares it as {kind})."
        )
    if kind == "str" and not isinstance(value, list | dict):
        raise ParametersError(
            f'{name} must be text: write it with quotes, {name}: "…", or YAML reads something else.'
        )
    instead = INSTEAD.get(name, "")
    raise ParametersError(
        f"{name} must be {words} ({notebook} declares it as {kind}), not {value!r}{instead}."
    )


def _refuse_other_members(name: str, value: Any, default: Any) -> None:
    """Refuse what YAML takes for something else than the text that was meant: `no`, `2024`, `null`.

    Values of a mapping may be numbers where those of the default are, or where the mapping stands
    in a list.
    """
    numbers = isinstance(default, dict) and any(isinstance(x, int) for x in default.values())
    for member, may_be_number in _members(value, numbers=numbers):
        if not isinstance(member, str) and not (may_be_number and isinstance(member, int | float)):
            raise ParametersError(
                f'{name} holds {member!r}, which is no text: write it with quotes, as in "no",'
                ' "2024" or "null".'
            )


def _members(value: Any, *, numbers: bool) -> Iterator[tuple[Any, bool]]:
    """All that stands in lists and mappings, however deep, each with whether it may be a number."""
    if isinstance(value, dict):
        yield from ((key, False) for key in value)
        for each in value.values():
            yield from (
                _members(each, numbers=numbers)
                if isinstance(each, list | dict)
                else [(each, numbers)]
            )
    elif isinstance(value, list):
        for each in value:
            yield from (
                _members(each, numbers=True) if isinstance(each, dict | list) else [(each, False)]
            )


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from map(str, value)
        yield from (key for each in value.values() for key in _keys(each))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        yield from (
            text
            for each in (value.values() if isinstance(value, dict) else value)
            for text in _texts(each)
        )
