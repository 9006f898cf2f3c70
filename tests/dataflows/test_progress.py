"""What a running job counts, for whoever looks on."""

from __future__ import annotations

from dataflows.progress import Progress


def test_what_cannot_be_read_is_counted_by_kind_and_never_by_more_than_a_few() -> None:
    progress = Progress()
    progress.count_source("web", 3, ["not JSON: byte 7", "not JSON: byte 9"])
    progress.count_source("web", 100, [f"{number} columns" for number in range(100)])
    progress.count_source("web", 1, ["not JSON: byte 1"])
    read, invalid = progress.sources["web"]
    assert (read, sum(invalid.values()), invalid["not JSON"]) == (104, 103, 3)
    assert len(invalid) == 31
    assert invalid["anything else"] == 71
