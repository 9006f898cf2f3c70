"""Parts of paths that may be any text: users' ids, and values of indexes.

What stands in a path is decoded before it is routed, so a slash in a user's id is as good as
`%2F`, and a line break is a character like others.
"""

from __future__ import annotations

from starlette.convertors import Convertor, register_url_convertor
from typing_extensions import override


class _Text(Convertor[str]):
    regex = "(?s:.+)"

    @override
    def convert(self, value: str) -> str:
        return value

    @override
    def to_string(self, value: str) -> str:
        return value


register_url_convertor("text", _Text())
