"""YAML as people write it for Lakebook: no tag of Python's, no key twice in one mapping, and as the
file's schema says.
"""

from __future__ import annotations

from typing import Any

import jsonschema
import yaml

from lakebook.errors import LakebookError


def read(text: str) -> Any:
    """What a YAML text says; raises yaml.YAMLError where it is not YAML or names a key twice."""
    return yaml.load(text, _Once)  # noqa: S506 - a safe loader


def check(file: str, content: Any, schema: dict[str, Any]) -> None:
    """Raise LakebookError with one sentence where a file's content is not as a JSON schema says; a
    `description` in the schema says what its place must be.
    """
    error = jsonschema.exceptions.best_match(
        jsonschema.Draft202012Validator(schema).iter_errors(content)
    )
    if error is None:
        return
    where = ".".join(map(str, error.absolute_path)) or "the file"
    words = error.schema.get("description") if error.absolute_path else None
    found = " ".join(repr(error.instance).split())[:80]
    reason = f"{where} must be {words}, not {found}" if words else f"{where}: {error.message}"
    raise LakebookError(f"{file} is not as it must be: {' '.join(reason.split())}; correct it.")


class _Once(yaml.CSafeLoader):
    """YAML in which no mapping has a key twice: of two, the first would be lost in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping; raises ConstructorError at a key that was there before."""
        keys: list[Any] = []  # a list: what cannot be hashed is refused below, in YAML's words
        for key, _ in node.value:
            if key.value in keys:
                mark = key.start_mark
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value} is there twice under the same key", mark
                )
            keys.append(key.value)
        return super().construct_mapping(node, deep)
