"""What a destination out of reach costs in memory: transitions pile up in the journal alone.

A process of its own delivers to two destinations, of which the second works, refuses connections,
or takes them and never answers; its peak of resident memory is compared.
"""

from __future__ import annotations

import resource
import subprocess
import sys

from benchmarks.deliveries import free_port, office, server, silence

_CASES = ("alive", "refused", "silent")

# Not all at once: else what waits for the destination that works would count as well.
_BEHIND = 4_000


def bytes_added(messages: int) -> int:
    """By a dead second destination, of either kind, to the peak with two that work."""
    alive, *dead = (_peak_bytes(case, messages) for case in _CASES)
    return max(dead) - alive


def _peak_bytes(case: str, messages: int) -> int:
    command = [sys.executable, "-m", "benchmarks.outage", case, str(messages)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _measured(case: str, messages: int) -> int:
    with server() as port, silence() as silent:
        second = {"alive": port, "refused": free_port(), "silent": silent}[case]
        with office({"live": port, "second": second}) as served:
            served.rate(messages, behind=_BEHIND)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    print(_measured(sys.argv[1], int(sys.argv[2])))
