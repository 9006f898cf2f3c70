"""Parent models and plans for the warehouse's tests."""

from collections.abc import Mapping

from audience_dsl.definitions import (
    ColumnType,
    Comparison,
    ModelSource,
    ParentModel,
    ParentPlan,
    PullSchedule,
)
from engine.plan import Audience, Plan, Predicate

# 2026-03-01T00:00:00Z
AT = 1_772_323_200_000_000
DAY = 86_400_000_000


def model(
    source: ModelSource,
    properties: Mapping[str, ColumnType] | None = None,
    primary_key: str = "user_id",
) -> ParentModel:
    return ParentModel("users", source, primary_key, PullSchedule(every=DAY), properties or {})


def plan(parent_model: ParentModel, *predicates: Comparison) -> ParentPlan:
    compiled = Plan.build(
        parent_model.key,
        [],
        [one.operator == "exists" and not one.operand for one in predicates],
        [Audience(f"a{i}", "v1", Predicate(i)) for i in range(len(predicates))],
    )
    return ParentPlan(parent_model, compiled, (), predicates)
