"""The decorator that turns a plain function over arrays into native code.

`@kernel` functions are ordinary Python: with `NUMBA_DISABLE_JIT=1` the same lines run
interpreted, which is how they are debugged.  Compiled, they hold no lock (`nogil`) and are kept
on disk, so that only the very first start compiles.

Numba notices when a kernel's own file changes, but not when a kernel that it calls does, so a
cache beside the sources could run a mixture of old and new code.  The cache therefore lives in a
folder named after the content of all kernels; and after their places and dates, by which Numba
finds what it has compiled: so a folder is good for one installation, and good as a whole.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numba
import numpy as np
import numpy.typing as npt

_P = ParamSpec("_P")
_R = TypeVar("_R")


# The folders with kernels, and with the constants that these were compiled with.
_KERNELS_IN = ("engine", "connectors/sources")

# How the name of a folder begins in which kernels are kept.
KERNELS = "kernels-"


def cache_folder(root: Path) -> Path:
    """Where the kernels of an installation in the folder `root` are kept."""
    digest = hashlib.blake2b(digest_size=8)
    for source in sorted(one for folder in _KERNELS_IN for one in (root / folder).glob("*.py")):
        digest.update(f"{source} {source.stat().st_mtime_ns}\n".encode())
        digest.update(source.read_bytes())
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "usher" / f"{KERNELS}{digest.hexdigest()}"


CACHE_FOLDER = Path(os.environ.get("NUMBA_CACHE_DIR") or cache_folder(Path(__file__).parent.parent))
# Whether kernels run as plain Python.
INTERPRETED: bool = numba.config.DISABLE_JIT  # type: ignore[attr-defined]
numba.config.CACHE_DIR = str(CACHE_FOLDER)  # type: ignore[attr-defined]


def kernel(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Compile on first call, or load what an earlier process compiled.

    Kernels never allocate, so Numba's reference counting is off (`_nrt`): with state in a dozen
    arrays that travel from kernel to kernel, it cost five times what the kernels do.  Inlining
    spares copying these arrays' descriptions at every call.
    """
    options: Any = {"cache": True, "nogil": True, "forceinline": True, "_nrt": False}
    compiled: Callable[_P, _R] = numba.njit(**options)(function)
    return compiled


def with_fields(records: npt.NDArray[Any]) -> Any:
    """The same records with field access as in `users.clock[user]`.

    Compiled kernels have it on any array of records; interpreted ones, and other Python code, need
    this view, which is slow.
    """
    return records.view(np.recarray)


def for_kernels(records: npt.NDArray[Any]) -> Any:
    """Records as kernels take them, compiled or interpreted."""
    return with_fields(records) if INTERPRETED else records
