"""Where a request is taken in part, no user's transition overtakes another of the same user."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from connectors.destinations.blocking import Item
from connectors.destinations.destination import Outcome, Verdict
from connectors.destinations.rounds import in_rounds
from tests.destinations.messages import message

VERDICTS = st.sampled_from(list(Verdict))


@given(st.lists(st.tuples(st.sampled_from("abc"), VERDICTS), max_size=12))
def test_nothing_follows_what_was_not_taken(plan: list[tuple[str, Verdict]]) -> None:
    items = [Item(message(user, number), b"{}") for number, (user, _) in enumerate(plan, 1)]
    planned = {one.message.id: verdict for one, (_, verdict) in zip(items, plan, strict=True)}
    asked: list[Item] = []

    def deliver(some: Sequence[Item]) -> list[Outcome]:
        assert some
        users = [one.message.user_id for one in some]
        assert len(set(users)) == len(users)
        asked.extend(some)
        return [Outcome(planned[one.message.id]) for one in some]

    outcomes = in_rounds(items, deliver)
    for user in "abc":
        own = [
            (planned[item.message.id], outcome.verdict, item in asked)
            for item, outcome in zip(items, outcomes, strict=True)
            if item.message.user_id == user
        ]
        open_ = True
        for wanted, verdict, was_asked in own:
            assert was_asked is open_
            assert verdict is (wanted if open_ else Verdict.RETRY)
            open_ = open_ and wanted in {Verdict.ACCEPTED, Verdict.REJECTED}
