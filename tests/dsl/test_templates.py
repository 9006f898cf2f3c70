"""Templates: what they make of values, and what nobody can make them do."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience_dsl.template_filters import FILTERS
from audience_dsl.templates import RenderError, TemplateError, Use, compile_template

VARIABLES: dict[str, Any] = {
    "user_id": "u1",
    "type": "entered",
    "entered": True,
    "effective_at": "2026-03-01T10:00:00.000000Z",
    "sequence": 7,
    "properties": {"plan": "free", "phone": None, "items": [1, 2], "e mail": " Ada@Example.org "},
    "records": [{"user_id": "u1", "mapping": {"a": 1}}, {"user_id": "u2", "mapping": {}}],
}


def rendered(value: object, **more: object) -> Any:
    return compile_template(value).render(VARIABLES | more)


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("plain text", "plain text"),
        ("{{ user_id }}", "u1"),
        ("{{ entered }}", True),
        ("{{ sequence }}", 7),
        ("{{ sequence + 1 }}", 8),
        ("{{ properties.items }}", [1, 2]),
        ("{{ properties.items[1] }}", 2),
        ("{{ properties }}", VARIABLES["properties"]),
        ("{{ properties.phone }}", None),
        ("tel: {{ properties.phone }}.", "tel: ."),
        ("{{ properties['e mail'] | trim | lower }}", "ada@example.org"),
        ("Audience {{ type }}", "Audience entered"),
        ("Audience {% if entered %}Entered{% else %}Exited{% endif %}", "Audience Entered"),
        ("{{ 'Audience Entered' if entered else 'Audience Exited' }}", "Audience Entered"),
        ("{{ user_id }}{{ user_id }}", "u1u1"),
        (" {{ entered }} ", " true "),
        ("{{ properties.items }}!", "[1,2]!"),
        ("{{ effective_at | epoch }}", 1_772_359_200),
        ("{{ effective_at | epoch_ms }}", 1_772_359_200_000),
        ("{{ properties.phone | default('none') }}", "none"),
        ("{{ nowhere | default(3) }}", 3),
        ("{{ properties.phone | sha256 }}", None),
        ("{{ '+49 (0)30/1234' | replace('(0)', '') | e164 }}", "+49301234"),
        ("{{ '030 123-4567' | e164('49') }}", "+49301234567"),
        ("{{ '0049 30 1234567' | e164 }}", "+49301234567"),
        ("{{ 'a b/ü' | urlencode }}", "a%20b%2F%C3%BC"),
        ("{{ records | map('mapping.a') }}", [1, None]),
        ("{{ records | map(attribute='user_id') | join(',') }}", "u1,u2"),
        ("{{ {'a': [sequence, none]} }}", {"a": [7, None]}),
        ("{{ {'a': sequence} | tojson }}", '{"a":7}'),
        ("{{ '12.6' | int }}", 12),
        ("{{ 2.345 | round(2) }}", 2.35),
        ("{# nothing #}", ""),
        ("a\n{{ user_id }}\n", "a\nu1\n"),
    ],
)
def test_leaves(template: str, value: object) -> None:
    result = rendered(template)

    assert (type(result), result) == (type(value), value)


def test_a_structure_keeps_its_shape() -> None:
    template = {
        "id": "{{ user_id }}",
        "list": ["{{ sequence }}", {"on": True, "none": None}],
        "n": 1,
    }

    assert rendered(template) == {"id": "u1", "list": [7, {"on": True, "none": None}], "n": 1}


def test_a_text_is_data_and_no_template() -> None:
    assert rendered("{{ properties.x }}", properties={"x": "{{ user_id }}"}) == "{{ user_id }}"


@pytest.mark.parametrize(
    ("value", "json"),
    [
        (Decimal("12.30"), 12.3),
        (Decimal(12), 12),
        (Decimal(10**30), 10**30),
        (Decimal("NaN"), None),
        (float("inf"), None),
        (datetime(2026, 3, 1, 10, tzinfo=UTC), "2026-03-01T10:00:00.000000Z"),
        (date(2026, 3, 1), "2026-03-01"),
        ((1, {"a": Decimal("0.5")}), [1, {"a": 0.5}]),
    ],
)
def test_values_that_json_does_not_have(value: object, json: object) -> None:
    assert rendered("{{ x }}", x=value) == json
    assert rendered(["{{ x if true }}"], x=value) == [json]


def test_the_page_about_syncs_has_all_filters() -> None:
    page = (Path(__file__).parents[2] / "docs" / "syncs.md").read_text()
    for name in FILTERS:
        assert re.search(rf"`{name}[`(]", page), name


def test_names() -> None:
    template = compile_template(
        {"a": "{{ properties.plan | lower }} {{ properties['e mail'] }}", "b": ["{{ user_id }}"]}
    )

    assert template.names == {"properties.plan", "properties.e mail", "user_id"}
    assert Use(("b", 0), ("user_id",)) in template.uses


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ nowhere }}", "there is no 'nowhere'"),
        ("x{{ nowhere }}", "there is no 'nowhere'"),
        ("{{ properties.nowhere }}", "there is no 'properties.nowhere'"),
        ("{{ properties.nowhere | lower }}", "nowhere"),
        ("{{ properties.nowhere.more }}x", "nowhere"),
        ("{{ 1 / (sequence - 7) }}", "divides by zero"),
        ("{{ sequence + user_id }}", "two numbers"),
        ("{{ sequence < user_id }}", "do not go together"),
        ("{{ user_id | epoch }}", "no instant"),
        ("{{ user_id | e164 }}", "telephone"),
        ("{{ user_id | lower(1, 2) }}", "do not go together"),
    ],
)
def test_what_has_no_value_tells_where(template: str, words: str) -> None:
    with pytest.raises(RenderError, match=words) as caught:
        rendered({"a": [1, template]})

    assert caught.value.path == ("a", 1)
    assert str(caught.value).startswith("a[1]: ")


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ }}", "no template"),
        ("{{ user_id", "no template"),
        ("{% if entered %}", "no template"),
        ("{% raw", "no template"),
        ("{{ user_id | sha265 }}", "did you mean 'sha256'"),
        ("{{ user_id is nonsense }}", "unknown test"),
        ("{% for a in records %}{{ a }}{% endfor %}", "loops"),
        ("{% set a = 1 %}", "not part"),
        ("{% include 'x' %}", "not part"),
        ("{% macro a() %}{% endmacro %}", "not part"),
        ("{{ range(10) }}", "called"),
        ("{{ 2 ** 9 }}", "not part"),
        ("{{ user_id ~ user_id }}", "not part"),
        ("{{ user_id[0:1] }}", "not part"),
        ("{{ " + "(" * 4000 + "1" + ")" * 4000 + " }}", "too deep|nested"),
        ("{{ " + "not " * 2000 + "1 }}", "too deep|nested"),
        ("{{ " + "[" * 60 + "]" * 60 + " }}", "too deep|nested"),
        ("{{ " + "9" * 9000 + " }}", "too deep|no template"),
        ("{{ 1 }}" * 2000, "longer"),
    ],
)
def test_what_is_no_template_is_refused(template: str, words: str) -> None:
    with pytest.raises(TemplateError, match=words) as caught:
        compile_template([template])

    assert caught.value.path == (0,)


ESCAPES = [
    "{{ user_id.__class__ }}",
    "{{ user_id['__class__'] }}",
    "{{ ''.__class__.__mro__ }}",
    "{{ user_id.__class__.__mro__[1].__subclasses__() }}",
    "{{ properties.items.append }}",
    "{{ properties.keys }}",
    "{{ self }}",
    "{{ self.__init__ }}",
    "{{ cycler }}",
    "{{ lipsum.__globals__ }}",
    "{{ config }}",
    "{{ 'x' | attr('__class__') }}",
    "{{ '%9999999999d' is odd }}",
    "{{ user_id.format }}",
    "{{ '{0.__class__}' % user_id }}",
    "{{ user_id | map('__class__') }}",
    "{{ joiner }}",
    "{{ true.real }}",
    "{{ caller }}",
    "{{ loop }}",
    "{{ varargs }}",
]


@pytest.mark.parametrize("template", ESCAPES)
@pytest.mark.parametrize("form", ["{}", "a{}"])
def test_nothing_but_the_variables_can_be_reached(template: str, form: str) -> None:
    with pytest.raises((TemplateError, RenderError)):
        rendered(form.format(template))


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'a' * 1000000000 }}",
        "{{ [1] * 1000000000 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ x * x * x * x }}",
        "{{ big | replace('a', big) }}",
        "{{ big + big + big }}",
        "{{ big }}{{ big }}{{ big }}",
        "{{ [big, big, big] }}",
        "{{ [big, big, big] | join }}",
        ["{{ big }}", "{{ big }}", "{{ big }}"],
    ],
)
def test_little_does_not_become_much(template: object) -> None:
    with pytest.raises(RenderError):
        rendered(template, big="a" * 400_000, x=10**600)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_a_single_expression_is_the_value_itself(value: object) -> None:
    assert rendered("{{ x }}", x=value) == value
    assert rendered("{{ x if true }}", x=value) == value


@given(st.text(alphabet="{}%#|ax.[]'( )*+1~", max_size=40))
def test_any_text_is_rendered_or_refused(text: str) -> None:
    with suppress(TemplateError, RenderError):
        compile_template({"a": text}).render({"a": "A", "x": {"a": 1}})
