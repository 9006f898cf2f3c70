"""What stands behind the `?` of a request: known names only, so that a mistyped one is noticed."""

from __future__ import annotations

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
    if not (given.isascii() and given.isdecimal() and 1 <= int(given[:9]) <= most):
        raise Problem(HTTPStatus.BAD_REQUEST, f"limit is a whole number from 1 to {most:,}")
    return int(given)
