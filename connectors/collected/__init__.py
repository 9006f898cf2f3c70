"""The collector's log: what clients have sent, kept before it is acknowledged, read by the job.

`log` writes it; `source` follows it as it grows, and `history` reads it once more.
"""
