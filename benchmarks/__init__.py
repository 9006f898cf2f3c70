"""How fast Usher is and what memory it takes, on a workload that anyone can make again.

`python -m benchmarks` makes the recording and the audiences from a seed, measures, compares each
result with its target and writes everything to `benchmarks/results/`.  Speed is CPU time as a
ratio to a yardstick taken in the same run, since seconds say more about the machine than about
the program.
"""
