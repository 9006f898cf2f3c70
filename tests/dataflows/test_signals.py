"""Signals that come at the worst moment."""

from __future__ import annotations

import os
import signal
import threading
import time

from dataflows.signals import handled


def test_a_signal_may_come_while_the_main_thread_waits_for_what_it_sets() -> None:
    """A thousand signals meet every instruction of a wait; one that sets the event itself hangs."""
    seen, rounds = threading.Event(), 0
    over = time.monotonic() + 0.5
    with handled({signal.SIGALRM: seen.set}):
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        try:
            while time.monotonic() < over:
                rounds += seen.wait(0.0001)
                seen.clear()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    assert rounds > 10


def test_a_signal_may_come_to_another_thread_while_the_main_thread_waits() -> None:
    """The system chooses who is interrupted; nothing wakes the main thread then."""
    seen = threading.Event()

    def interrupted() -> None:
        time.sleep(0.1)
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)

    with handled({signal.SIGUSR1: seen.set}):
        thread = threading.Thread(target=interrupted)
        thread.start()
        assert seen.wait(10)
    thread.join()


def test_each_signal_has_its_action_and_the_handlers_before_come_back() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    done: list[str] = []
    with handled(
        {signal.SIGUSR1: lambda: done.append("one"), signal.SIGUSR2: lambda: done.append("two")}
    ):
        for number in (signal.SIGUSR2, signal.SIGUSR1):
            os.kill(os.getpid(), number)
    assert sorted(done) == ["one", "two"]  # leaving waits for what was asked for
    assert signal.getsignal(signal.SIGUSR1) is before
