"""How many jobs are killed, and where: by default 50, one of five on Kafka."""

from __future__ import annotations

import os

# Killed jobs a story, and stories.
KILLS = 10
_STORIES = int(os.environ.get("USHER_FAULT_STORIES", "5"))
KAFKA_STORIES = _STORIES // 5
FILE_STORIES = _STORIES - KAFKA_STORIES

# Stories of a warehouse that breaks, in which no job is killed.
WAREHOUSE_STORIES = max(1, _STORIES // 4)
