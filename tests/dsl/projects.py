"""Small projects that the tests of the language start from."""

from __future__ import annotations

from collections.abc import Mapping

from audience_dsl import Compilation, compile_project
from audience_dsl.definitions import ColumnType, ParentPlan, Settings
from audience_dsl.models import Model
from connectors.destinations.registry import OPTIONS

USERS_PROPERTIES = """\
    properties: {plan: string, ltv: number, tags: array, vip: boolean, joined: timestamp}
"""
SCHEMA = f"""\
warehouse: {{type: duckdb, path: shop.duckdb}}
sources: {{web: {{type: file, format: segment, path: events/*.jsonl}}}}
parent_models:
  users:
    from: {{table: users}}
    primary_key: user_id
{USERS_PROPERTIES}\
  shops: {{from: {{table: shops}}, primary_key: id, properties: {{size: number}}}}
events:
  viewed:
    source: web
    type: page
    parent_model: users
    properties:
      path: properties.path
      n: properties.n
      amount: {{column: properties.amount, type: number}}
      title: {{column: properties.title, type: string}}
      at: {{column: properties.at, type: timestamp}}
      tags: {{column: properties.tags, type: array}}
  ordered: {{source: web, type: Order Completed, parent_model: users}}
"""


def compiled(
    files: str | Mapping[str, str],
    environment: Mapping[str, str] | None = None,
    columns: Mapping[str, ColumnType] | None = None,
) -> Compilation:
    texts = {"project.yml": files} if isinstance(files, str) else files

    def ask(_: Settings | None, __: Model) -> Mapping[str, ColumnType] | None:
        return columns

    return compile_project(texts, environment or {}, ask, OPTIONS)


def plan_of(audiences: str, schema: str = SCHEMA) -> ParentPlan:
    """The plan of users for audiences that have no mistake."""
    compilation = compiled({"schema.yml": schema, "audiences.yml": audiences})
    errors = [one.to_text() for one in compilation.diagnostics if one.severity == "error"]
    assert compilation.project is not None, "\n".join(errors)
    return compilation.project.plans["users"]


def where(condition: str) -> str:
    """One audience of users with that condition, in flow style."""
    return f"audiences: {{a: {{parent_model: users, where: {condition}}}}}"


def messages(audiences: str, schema: str = SCHEMA) -> list[str]:
    compilation = compiled({"schema.yml": schema, "audiences.yml": audiences})
    return [one.message for one in compilation.diagnostics]
