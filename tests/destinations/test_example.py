"""The destination that the guide for newcomers builds does what the guide says."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from audience_dsl import compile_project
from connectors.destinations import registry
from connectors.destinations.destination import Verdict
from connectors.destinations.errors import DestinationError
from connectors.destinations.place import Place
from tests.destinations.messages import message, verdicts

GUIDE = Path(__file__).parents[2] / "docs" / "connectors.md"
_MARK = f"<!-- test: tests/destinations/{Path(__file__).name} -->"


@pytest.fixture
def kinds(monkeypatch: pytest.MonkeyPatch) -> dict[str, registry.Kind]:
    """The kinds that there are, and the one of the guide."""
    text = GUIDE.read_text(encoding="utf-8")
    found = re.search(rf"{re.escape(_MARK)}\n```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert found is not None
    module = ModuleType("folder")
    monkeypatch.setitem(sys.modules, "folder", module)
    exec(found[1], module.__dict__)
    kinds = dict(registry.KINDS) | {"folder": registry.Kind(module.OPTIONS, module.Folder)}
    monkeypatch.setattr(registry, "KINDS", kinds)
    return kinds


def test_the_language_knows_it_and_it_delivers(
    kinds: dict[str, registry.Kind], tmp_path: Path
) -> None:
    text = "destinations: {inbox: {type: folder, path: inbox}}"
    options = {name: kind.options for name, kind in kinds.items()}
    compilation = compile_project({"p.yml": text}, {}, lambda _one, _two: None, options)
    assert compilation.project is not None
    settings = compilation.project.destinations["inbox"]

    async def through() -> None:
        one = registry.open_destination(settings, Place(tmp_path, lambda _: None))
        with pytest.raises(DestinationError, match=r"destination 'inbox': .*No such file"):
            await one.test()
        assert verdicts(await one.send([message("a", 1)])) == {Verdict.RETRY}
        (tmp_path / "inbox").mkdir()
        await one.test()
        for _ in range(2):
            answer = await one.send([message("a", 1), message("a", 2)])
            assert verdicts(answer) == {Verdict.ACCEPTED}
        await one.close()

    asyncio.run(through())
    names = {path.name for path in (tmp_path / "inbox").iterdir()}
    assert names == {f"{message('a', number).id}.json" for number in (1, 2)}
