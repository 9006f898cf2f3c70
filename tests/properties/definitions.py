"""Hypothesis strategies for audiences, one for each kind of condition.

Windows are a few seconds and thresholds a few events, so that in a history of some forty seconds
everything meets: windows end where events arrive, and bounds are crossed in both directions.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

Tree = dict[str, Any]

WINDOWS = st.sampled_from([1, 2, 3, 5, 8, 10, 20]).map(lambda seconds: f"{seconds}s")

NO_PATH = {"property": "path", "exists": False}

# What an event can be counted by: a model, perhaps with a filter.
COUNTED = st.sampled_from(
    [
        ("page_viewed", None),
        ("page_viewed", None),
        ("order_completed", None),
        ("page_viewed", {"path": "/a"}),
        ("page_viewed", {"path": {"not_equals": "/a"}}),
        ("page_viewed", {"path": {"in": ["/a", "/b"]}, "seconds": {"at_least": 2}}),
        ("page_viewed", [{"property": "seconds", "between": [1, 2]}]),
        ("page_viewed", {"any": [NO_PATH, {"property": "seconds", "less_than": 1}]}),
        ("order_completed", {"amount": {"greater_than": 1}}),
        ("order_completed", {"not": {"property": "amount", "greater_than": 1}}),
        ("order_completed", {"none": [{"property": "coupon", "exists": True}]}),
    ]
)

COUNTS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "at_least": st.integers(1, 4).map(lambda n: {"at_least": n}),
    "at_most": st.integers(0, 3).map(lambda n: {"at_most": n}),
    "exactly": st.integers(0, 3).map(lambda n: {"exactly": n}),
    "more_than": st.integers(0, 3).map(lambda n: {"more_than": n}),
    "less_than": st.integers(1, 4).map(lambda n: {"less_than": n}),
    "between": st.tuples(st.integers(0, 3), st.integers(0, 2)).map(
        lambda pair: {"between": [pair[0], pair[0] + pair[1]]}
    ),
}

WAREHOUSE: st.SearchStrategy[Tree] = st.sampled_from(
    [
        {"property": "plan", "equals": "free"},
        {"property": "plan", "not_equals": "free"},
        {"property": "plan", "exists": False},
        {"property": "plan", "in": ["free", "pro"]},
        {"property": "ltv", "greater_than": 2},
        {"property": "ltv", "not_between": [1, 2]},
        {"property": "vip", "is": True},
    ]
)


def _event_condition(verb: str, counted: Any, count: Tree, window: str) -> Tree:
    model, where = counted
    return {verb: model, **({} if where is None else {"where": where}), **count, "within": window}


PERFORMED = {
    kind: st.builds(_event_condition, st.just("performed"), COUNTED, count, WINDOWS)
    for kind, count in COUNTS.items()
}
ABSENT = st.builds(_event_condition, st.just("did_not_perform"), COUNTED, st.just({}), WINDOWS)
ANY_EVENT: st.SearchStrategy[Tree] = st.one_of(*PERFORMED.values(), ABSENT)
ANY_LEAF: st.SearchStrategy[Tree] = st.one_of(ANY_EVENT, WAREHOUSE)


def _group(leaves: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    lists = st.lists(leaves, min_size=1, max_size=3)
    return st.one_of(
        st.builds(lambda name, of: {name: of}, st.sampled_from(["all", "any", "none"]), lists),
        leaves.map(lambda one: {"not": one}),
    )


def _with(leaf: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    """The leaf alone, negated, or together with another condition."""
    pair = st.builds(
        lambda name, one, other: {name: [one, other]},
        st.sampled_from(["all", "any", "none"]),
        leaf,
        ANY_LEAF,
    )
    return st.one_of(leaf, leaf, pair, leaf.map(lambda one: {"not": one}))


def _audience(where: Tree, members: str = "all") -> dict[str, Any]:
    return {"parent_model": "users", "members": members, "where": where}


def _audiences(*trees: st.SearchStrategy[Tree]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(*trees).map(
        lambda wheres: {f"a{number}": _audience(where) for number, where in enumerate(wheres)}
    )


def _in_audiences(trees: tuple[Tree, Tree, Tree], verbs: tuple[str, str], swap: bool) -> Tree:
    """A chain: the second looks at the first, the third at the second; names in either order."""
    first, second, third = ("a2", "a1", "a0") if swap else ("a0", "a1", "a2")
    return {
        first: _audience(trees[0]),
        second: _audience(
            {"any" if verbs[0] == "in_audience" else "all": [{verbs[0]: first}, trees[1]]}
        ),
        third: _audience({"all": [{verbs[1]: second}, {"not": trees[2]}]}),
    }


VERBS = st.sampled_from(["in_audience", "not_in_audience"])
NESTED: st.SearchStrategy[Tree] = st.recursive(ANY_LEAF, _group, max_leaves=6)

KINDS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    **{kind: _audiences(_with(leaf), _with(leaf)) for kind, leaf in PERFORMED.items()},
    "did_not_perform": _audiences(_with(ABSENT), _with(ABSENT)),
    "property": _audiences(_with(WAREHOUSE), _group(ANY_LEAF)),
    "in_audience": st.builds(
        _in_audiences,
        st.tuples(ANY_LEAF, ANY_LEAF, ANY_LEAF),
        st.tuples(VERBS, VERBS),
        st.booleans(),
    ),
    "nested": _audiences(_group(NESTED), _group(NESTED)),
    "seen": st.builds(
        lambda event, other, plain: {
            "a0": _audience({"all": [event, {"not": other}]}, "seen"),
            "a1": _audience(event, "seen"),
            "a2": _audience(plain),
        },
        ANY_EVENT,
        ANY_LEAF,
        _with(ANY_EVENT),
    ),
}
