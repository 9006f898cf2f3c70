"""The language: YAML text in, definitions and engine plans out, or diagnostics.

`compile_project` is the whole of it; `definitions` are the values that the rest of the product
works on.
"""

from audience_dsl.compiler import Compilation, compile_project
from audience_dsl.diagnostics import Diagnostic, Kind, Severity
from audience_dsl.models import Unreachable

__all__ = ["Compilation", "Diagnostic", "Kind", "Severity", "Unreachable", "compile_project"]
