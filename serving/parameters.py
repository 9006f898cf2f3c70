"""Parameters behind the ?: known names only, so that a mistyped one is noticed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from http import HTTPStatus

from starlette.requests import Request

from serving.problems import Problem


def read_parameters(request: Request, *names: str) -> dict[str, str]:
    """Those that are given, each at most once.

    Raises:
        Problem: there are others, or one twice.
    """
    given = request.query_params.multi_items()
    found = dict(given)
    if set(found) - set(names):
        known = f"only {', '.join(names)}" if names else "no parameter"
        raise Problem(HTTPStatus.BAD_REQUEST, f"behind the ? this path takes {known}")
    if len(found) < len(given):
        raise Problem(HTTPStatus.BAD_REQUEST, "a parameter behind the ? is given twice")
    return found


def read_limit(parameters: dict[str, str], usual: int, most: int) -> int:
    """How many are wanted at most.

    Raises:
        Problem: it is no such number.
    """
    given = parameters.get("limit", str(usual))
    if not (_is_number(given) and 1 <= int(given) <= most):
        raise Problem(HTTPStatus.BAD_REQUEST, f"limit is a whole number from 1 to {most:,}")
    return int(given)


def read_cursor(given: str, name: str) -> int:
    """A position in the journal, 0 before the first.

    Raises:
        Problem: it is none.
    """
    if not _is_number(given):
        raise Problem(HTTPStatus.BAD_REQUEST, f"{name} is a cursor that an answer has given")
    return int(given)


def _is_number(given: str) -> bool:
    return given.isascii() and given.isdecimal() and len(given) <= _DIGITS


_DIGITS = 18  # a store's numbers have as many


def read_list(parameters: dict[str, str], name: str) -> list[str]:
    """What has commas between; nothing if the parameter is not given."""
    return parameters[name].split(",") if name in parameters else []


def check_known(given: Sequence[str], name: str, known: Collection[str]) -> None:
    """Raises Problem: there is another than the known ones."""
    if set(given) - set(known):
        raise Problem(HTTPStatus.BAD_REQUEST, f"{name} takes {', '.join(sorted(known))}")
