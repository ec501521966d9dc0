"""YAML as people write it for Lakebook: no tag of Python's, and no key twice in one mapping."""

from __future__ import annotations

from typing import Any

import yaml


def read(text: str) -> Any:
    """What a YAML text says; raises yaml.YAMLError where it is not YAML or names a key twice."""
    return yaml.load(text, _Once)  # noqa: S506 - a safe loader


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
