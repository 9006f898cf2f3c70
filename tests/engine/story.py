"""A long random story of one group, told as text: run it to hear it from this interpreter."""

from __future__ import annotations

from random import Random

from engine.group import KeyGroup
from engine.hashing import stable_hashes
from engine.texts import Texts
from tests.engine.columns import (
    SECOND,
    All,
    Any,
    MemberOf,
    Not,
    Performed,
    Predicate,
    Seen,
    inputs_of,
    plan_of,
    snapshot_of,
)


def tell() -> str:
    """Every transition, and now and then the hash of the state."""
    random = Random(2026)
    conditions = [(5, 1, None), (20, 3, None), (10, 0, 1), (30, 2, 4), (7, 0, 0), (60, 9, None)]
    plan = plan_of(
        {
            "once": Performed(0),
            "often": All((Performed(1), Not(Predicate(0)))),
            "seldom": Any((Performed(2), Predicate(64))),
            "band": All((Performed(3), Not(MemberOf("once")))),
            "gone": All((Performed(4), MemberOf("seldom"))),
            "crowd": Performed(5),
        },
        [(window * SECOND, minimum, maximum) for window, minimum, maximum in conditions],
        [random.random() < 0.3 for _ in range(65)],
    )
    users = [f"user {i} é" for i in range(12)]
    lines = [str(stable_hashes(Texts.of(users)).tolist())]
    group = KeyGroup(plan)
    now = 0
    snapshot = None
    for step in range(400):
        now += random.choice([0, 0, 1, 1, 2, 5]) * SECOND
        if step % 60 == 5:
            rows = {user: [random.random() < 0.5 for _ in range(65)] for user in users[:9]}
            snapshot = snapshot_of(plan, rows)
            found = group.take_force(snapshot, now)
        elif step % 10 == 9:
            found = group.advance(now)
        else:
            found = group.apply(
                inputs_of(
                    Seen(
                        random.choice(users),
                        now,
                        tuple(sorted(random.sample(range(6), random.randint(0, 4)))),
                        now + random.choice([0, 0, 0, -3, -8, -25, 4, 11]) * SECOND,
                        f"m{random.randrange(60)}",
                    )
                    for _ in range(random.randint(0, 5))
                )
            )
        lines += map(
            str,
            zip(
                found.users.tolist(),
                found.audiences.tolist(),
                found.effective_at.tolist(),
                found.sequences.tolist(),
                found.causes.tolist(),
                found.conditions.tolist(),
                found.message_ids.tolist(),
                strict=True,
            ),
        )
        if step % 50 == 49:
            dump = group.dump()
            lines.append(f"{len(dump)} {dump[8:24].hex()} {group.counts}")
            group = KeyGroup.load(plan, dump, snapshot=snapshot)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(tell(), end="")
