"""Templates: structured values whose texts are filled in from variables.

A value of mappings, lists and scalars becomes another one of the same shape.  Each of its texts is
a template in Jinja's language; one that is a single `{{ expression }}` keeps the type of what it
stands for, so that nothing is ever pasted into JSON.  Of Jinja's language there are expressions,
filters and `{% if %}`: no calls, no loops, no assignments, no attributes of objects.  So a template
cannot reach anything but its variables, and takes time and room in proportion to its own length
and that of their values.

Most leaves are a plain `{{ properties.plan }}`, and are looked up without Jinja.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import TemplateError as JinjaError
from jinja2.exceptions import TemplateSyntaxError
from jinja2.runtime import Context

from audience_dsl.structures import Path
from audience_dsl.template_filters import MOST, Refused, plain
from audience_dsl.template_language import ENVIRONMENT, NotAllowed, check, name_of, names

Variables = Mapping[str, object]

_LEAF_MOST = 10_000


class _At(ValueError):
    """A problem somewhere inside a structured value; `path` leads there."""

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        self.what = what
        super().__init__(f"{place(path)}: {what}" if path else what)


class TemplateError(_At):
    """A text is no template; `what` says why, for people."""


class RenderError(_At):
    """A template has no value for these variables; `what` says why, for people."""


def place(path: Path) -> str:
    """`user.emails[0]`."""
    words = [f"[{one}]" if isinstance(one, int) else f".{one}" for one in path]
    return "".join(words).removeprefix(".")


@dataclass(frozen=True, slots=True)
class Use:
    """The leaf at `path` names a variable: `("properties", "plan")` for `properties.plan`."""

    path: Path
    name: tuple[str, ...]


class Template:
    """A compiled value; `compile_template` makes it.

    `uses` are the variables that it names, leaf by leaf, each as long as it is spelt out.
    """

    def __init__(self, render: _Render, uses: tuple[Use, ...]) -> None:
        self._render = render
        self.uses = uses

    @property
    def names(self) -> frozenset[str]:
        """The variables, with dots: `user_id`, `properties.plan`."""
        return frozenset(".".join(use.name) for use in self.uses)

    def render(self, variables: Variables) -> Any:
        """The value with its texts filled in: `dict`, `list`, `str`, numbers, truth and `None`.

        Raises:
            RenderError: a variable is not there, a filter cannot take its value, or what comes out
                is too large.
        """
        return self._render(_Scope(variables))


def compile_template(value: object) -> Template:
    """Compile a value of mappings with texts as keys, lists and scalars.

    Raises:
        TemplateError: one of its texts is no template.
    """
    uses: list[Use] = []
    return Template(_compiled(value, (), uses), tuple(uses))


class _Scope:
    """The variables of one rendering, and how much may still come of it."""

    __slots__ = ("_context", "left", "variables")

    def __init__(self, variables: Variables) -> None:
        self.variables = variables
        self.left = MOST
        self._context: Context | None = None

    @property
    def context(self) -> Context:
        if self._context is None:
            self._context = ENVIRONMENT.context_class(ENVIRONMENT, dict(self.variables), "leaf", {})
        return self._context

    def spend(self, length: int, path: Path) -> None:
        self.left -= length
        if self.left < 0:
            raise RenderError(path, f"what comes of it has more than {MOST:,} characters")


_Render = Callable[[_Scope], Any]


def _compiled(value: object, path: Path, uses: list[Use]) -> _Render:
    match value:
        case str() if any(mark in value for mark in ("{{", "{%", "{#")):
            return _leaf(value, path, uses)
        case Mapping():
            members = [(key, _compiled(one, (*path, key), uses)) for key, one in value.items()]
            return lambda scope: {key: render(scope) for key, render in members}
        case list() | tuple():
            items = [_compiled(one, (*path, i), uses) for i, one in enumerate(value)]
            return lambda scope: [render(scope) for render in items]
        case _:
            constant = plain(value)
            return lambda _scope: constant


def _leaf(text: str, path: Path, uses: list[Use]) -> _Render:
    if len(text) > _LEAF_MOST:
        raise TemplateError(path, f"the text is longer than {_LEAF_MOST:,} characters")
    try:
        parsed = ENVIRONMENT.parse(text)
        check(parsed)
        uses += [Use(path, name) for name in dict.fromkeys(names(parsed))]
        single = _single(parsed)
        if single is None:
            return _text(_code(parsed), path)
        name = name_of(single)
        if name is not None:
            return _getter(name, path)
        result = nodes.Name("result", "store", lineno=1)
        assigned = nodes.Assign(result, single, lineno=1)
        return _expression(_code(nodes.Template([assigned], lineno=1)), path)
    except NotAllowed as error:
        raise TemplateError(path, str(error)) from None
    except TemplateSyntaxError as error:
        raise TemplateError(path, f"{_quoted(text)} is no template: {error.message}") from None
    except (RecursionError, MemoryError, SyntaxError, ValueError, OverflowError):
        raise TemplateError(path, f"{_quoted(text)} is too deep or too large") from None


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def _code(template: nodes.Template) -> Callable[[Context], Iterator[Any]]:
    template.set_environment(ENVIRONMENT)
    return ENVIRONMENT.from_string(template).root_render_func


def _single(template: nodes.Template) -> nodes.Expr | None:
    """The expression of a text that is nothing but that."""
    match template.body:
        case [nodes.Output(nodes=[one])] if not isinstance(one, nodes.TemplateData):
            return one
        case _:
            return None


def _getter(name: tuple[str, ...], path: Path) -> _Render:
    def render(scope: _Scope) -> Any:
        value: Any = scope.variables
        try:
            for part in name:
                value = value[part]
        except (KeyError, TypeError, IndexError):
            if value is None:  # a part of what is missing
                return None
            raise RenderError(path, f"there is no {'.'.join(name)!r}") from None
        if value.__class__ is str:
            scope.spend(len(value), path)
            return value
        return _counted(value, scope, path)

    return render


def _expression(code: Callable[[Context], Iterator[Any]], path: Path) -> _Render:
    def render(scope: _Scope) -> Any:
        context = scope.context
        with _Explained(path):
            for _ in code(context):
                pass
            return _counted(context.vars.pop("result"), scope, path)

    return render


def _text(code: Callable[[Context], Iterator[Any]], path: Path) -> _Render:
    def render(scope: _Scope) -> str:
        pieces: list[str] = []
        with _Explained(path):
            for piece in code(scope.context):
                scope.spend(len(piece), path)
                pieces.append(piece)
        return "".join(pieces)

    return render


class _Explained:
    """What goes wrong in a template, as `RenderError`."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        match error:
            case RenderError() | None:
                return
            case Refused() | JinjaError():
                raise RenderError(self._path, str(error) or "it has no value") from None
            case ZeroDivisionError():
                raise RenderError(self._path, "it divides by zero") from None
            case ArithmeticError() | ValueError() | TypeError() | RecursionError():
                what = "these values do not go together"
                raise RenderError(self._path, what) from error


def _counted(value: Any, scope: _Scope, path: Path) -> Any:
    """The value as JSON can have it, and counted."""
    try:
        value = plain(value)
    except (Refused, OverflowError, RecursionError) as error:
        raise RenderError(path, str(error)) from None
    scope.spend(_length(value), path)
    return value


def _length(value: Any) -> int:
    match value:
        case str():
            return len(value)
        case dict():
            return sum(len(key) + _length(one) + 1 for key, one in value.items())
        case list():
            return sum(map(_length, value)) + len(value)
        case _:
            return 1
