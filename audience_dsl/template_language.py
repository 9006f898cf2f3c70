"""The part of Jinja's language that templates may use, and the sandbox that they run in.

Values are data.  A dot is a key of a mapping and never an attribute of an object, nothing can be
called, and whatever could repeat something (loops, powers, `"a" * 1000000`) is left out or bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jinja2 import Environment, StrictUndefined, Undefined, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from audience_dsl.suggestions import Suggestions
from audience_dsl.template_filters import FILTERS, arithmetic, shown

_NESTING_MOST = 50


class NotAllowed(ValueError):
    """A text uses what is not part of templates; the text of this says what, and what instead."""


class _Missing(StrictUndefined):
    """A variable that is not there; what is done with it tells its name."""

    @property
    def _undefined_message(self) -> str:
        return f"there is no {str(self._undefined_name)!r}"


class _Sandbox(ImmutableSandboxedEnvironment):
    """Values are data: a dot is a key of a mapping and never an attribute of an object."""

    intercepted_binops = frozenset(("+", "-", "*", "/", "//", "%"))

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if obj is None or isinstance(obj, Undefined):
            return obj
        try:
            if isinstance(obj, Mapping) or not isinstance(argument, str):
                return obj[argument]
        except (KeyError, IndexError, TypeError):
            pass
        return self.undefined(name=str(argument)[:100])

    def call_binop(self, _context: Context, operator: str, left: Any, right: Any) -> Any:
        return arithmetic(operator, left, right)

    def call(self, *_arguments: Any, **_named: Any) -> Any:
        raise SecurityError("nothing can be called")


def _environment() -> Environment:
    environment = _Sandbox(
        undefined=_Missing,
        finalize=shown,
        optimized=False,
        keep_trailing_newline=True,
        cache_size=0,
    )
    environment.globals.clear()
    environment.filters.clear()
    environment.filters.update(FILTERS)
    for name in set(environment.tests) - _TESTS:
        del environment.tests[name]
    return environment


_TESTS = {
    "defined", "undefined", "none", "string", "number", "boolean", "true", "false", "mapping",
    "in", "eq", "ne", "lt", "le", "gt", "ge", "==", "!=", "<", "<=", ">", ">=",
}  # fmt: skip
ENVIRONMENT = _environment()

_ALLOWED = (
    nodes.Output, nodes.TemplateData, nodes.If, nodes.Name, nodes.Const, nodes.Getattr,
    nodes.Getitem, nodes.Filter, nodes.Test, nodes.CondExpr, nodes.And, nodes.Or, nodes.Not,
    nodes.Compare, nodes.Operand, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv,
    nodes.Mod, nodes.Neg, nodes.Pos, nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.Keyword,
)  # fmt: skip
_INSTEAD: Mapping[type[nodes.Node], str] = {
    nodes.Call: "nothing can be called in a template; use a filter",
    nodes.For: "there are no loops in a template; a list has its items one by one, or use map",
    nodes.Concat: "'~' is not part of templates; write {{ a }}{{ b }}",
    nodes.Pow: "'**' is not part of templates",
    nodes.Slice: "slices are not part of templates",
}


def check(node: nodes.Node, depth: int = 0) -> None:
    """Look through all of a parsed text.

    Raises:
        NotAllowed: something in it is not part of templates.
    """
    if depth > _NESTING_MOST:
        raise NotAllowed(f"it is nested more than {_NESTING_MOST} deep")
    for child in node.iter_child_nodes():
        if not isinstance(child, _ALLOWED):
            kind = type(child).__name__.lower()
            raise NotAllowed(_INSTEAD.get(type(child), f"{kind!r} is not part of templates"))
        if isinstance(child, nodes.Filter):
            _check_known("filter", child.name, FILTERS)
        if isinstance(child, nodes.Test):
            _check_known("test", child.name, _TESTS)
        check(child, depth + 1)


def _check_known(kind: str, name: str, known: Iterable[str]) -> None:
    names = sorted(known)
    if name not in names:
        close = Suggestions().closest(name, names)
        listed = f"did you mean {close!r}?" if close else f"there are {', '.join(names)}"
        raise NotAllowed(f"unknown {kind} {name!r}; {listed}")


def names(node: nodes.Node) -> Iterator[tuple[str, ...]]:
    """Every variable inside, as long as it is spelt out."""
    name = name_of(node) if isinstance(node, nodes.Expr) else None
    if name is not None:
        yield name
        return
    for child in node.iter_child_nodes():
        yield from names(child)


def name_of(node: nodes.Expr) -> tuple[str, ...] | None:
    """`a.b["c"]` as its parts; `None` for all else."""
    match node:
        case nodes.Name(name=name):
            return (name,)
        case nodes.Getattr(node=of, attr=attribute):
            before = name_of(of)
            return None if before is None else (*before, attribute)
        case nodes.Getitem(node=of, arg=nodes.Const(value=str(key))):
            before = name_of(of)
            return None if before is None else (*before, key)
        case _:
            return None
