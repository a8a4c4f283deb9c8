"""Workers that are killed, hang, or die again and again while clients ask, and a supervisor that is killed."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.filter.conftest import LISTS, SCHOOL, compile_pair, make_list
from tests.filter.crowd import BATCH, NEWS, Client, Crowd, InForce
from tests.filter.load import Figures, children_of, memory_of
from tests.filter.prompt import PromptUpstream
from tests.filter.running import RunningFilter
from tests.filter.standing import wait_until
from tests.filter.workforce import health_of, workers_of

DIED = "a worker died, another takes its place"
CLIENTS = 8
PAUSE = 0.01
KILLS = 3
Record = Callable[[str, object], None]


@pytest.fixture
def upstream() -> Iterator[PromptUpstream]:
    with PromptUpstream() as prompt:
        yield prompt


@pytest.fixture
def served(upstream: PromptUpstream, bundle_file: Path) -> Iterator[RunningFilter]:
    options = ("--bundle", str(bundle_file), "--upstream", upstream.address, "--rate-limit", "0")
    with RunningFilter(*options, "--workers", "2") as running:
        yield running


def crowd_of(running: RunningFilter, in_force: InForce | None = None) -> Crowd:
    """Clients over UDP. Each batch is asked from a new port, and meets one worker or the other."""
    force = in_force or InForce()
    return Crowd([Client(running, "udp", number, force, batches=1, pause=PAUSE) for number in range(CLIENTS)])


def wait_for_both(running: RunningFilter) -> None:
    wait_until(lambda: len(workers_of(running)) == 2, lambda: str(running.lines[-5:]))


def tell(name: str, running: RunningFilter, figures: Figures, record: Record) -> None:
    figures.memory = memory_of(running.process.pid)
    record(name, str(figures))
    sys.stderr.write(f"{name}: {figures}\n")


def is_gone(process: int) -> bool:
    try:
        return ") Z " in Path(f"/proc/{process}/stat").read_text("ascii")
    except FileNotFoundError:
        return True


def test_killed_workers_take_nothing_but_what_they_were_at(served: RunningFilter, record_property: Record) -> None:
    with crowd_of(served) as crowd:
        for kill in range(1, KILLS + 1):
            crowd.wait_for_rounds(5, wait_until)
            os.kill(workers_of(served)[kill % 2], signal.SIGKILL)
            served.wait_for(DIED, times=kill)
            wait_for_both(served)
        crowd.wait_for_rounds(2, wait_until)
    figures = crowd.figures
    tell(f"{KILLS} workers killed", served, figures, record_property)

    assert (figures.unfiltered, figures.wrong, figures.failed) == (0, 0, 0)
    assert figures.lost <= KILLS * CLIENTS * BATCH
    assert figures.right + figures.lost == figures.sent
    assert health_of(served).restarts == KILLS


def test_a_worker_that_hangs_is_replaced_and_others_answer_meanwhile(
    served: RunningFilter, record_property: Record
) -> None:
    with crowd_of(served) as crowd:
        crowd.wait_for_rounds(5, wait_until)
        victim = workers_of(served)[0]
        os.kill(victim, signal.SIGSTOP)
        served.wait_for("a worker says nothing any more, it is ended")
        served.wait_for(DIED)
        wait_for_both(served)
        crowd.wait_for_rounds(2, wait_until)
    figures = crowd.figures
    tell("a worker stopped", served, figures, record_property)

    assert (figures.unfiltered, figures.wrong, figures.failed) == (0, 0, 0)
    assert figures.lost <= CLIENTS * BATCH
    assert figures.right + figures.lost == figures.sent
    assert is_gone(victim)


def test_others_answer_for_a_worker_that_hangs_before_it_is_ended(served: RunningFilter) -> None:
    os.kill(workers_of(served)[0], signal.SIGSTOP)

    assert {served.ask("www.jeu.example").rcode() for _ in range(10)} == {3}  # half of them come to its socket

    assert not served.logged(DIED)


def test_a_new_filter_starts_at_once_where_the_supervisor_was_killed(
    served: RunningFilter, upstream: PromptUpstream, bundle_file: Path
) -> None:
    processes = children_of(served.process.pid)
    os.kill(workers_of(served)[0], signal.SIGSTOP)  # nor does one that hangs keep a port
    served.process.kill()
    served.process.wait()

    options = ("--bundle", str(bundle_file), "--upstream", upstream.address, "--workers", "2")
    with RunningFilter(*options, port=served.port) as again:
        assert again.ask("www.jeu.example").rcode() == 3
        wait_until(lambda: all(is_gone(each) for each in processes), lambda: str(processes))


def test_workers_that_die_at_once_are_waited_for_ever_longer_while_the_others_answer(
    served: RunningFilter, record_property: Record
) -> None:
    deaths = 3
    lasting, dying = workers_of(served)
    with crowd_of(served) as crowd:
        for death in range(1, deaths + 1):
            os.kill(dying, signal.SIGKILL)
            pause = served.wait_for(DIED, times=death)["pause"]
            assert pause == (0.0, 0.5, 1.0)[death - 1]
            assert health_of(served).is_ready
            wait_for_both(served)
            (dying,) = set(workers_of(served)) - {lasting}
        crowd.wait_for_rounds(2, wait_until)
    figures = crowd.figures
    tell(f"one worker died {deaths} times", served, figures, record_property)

    assert (figures.unfiltered, figures.wrong, figures.failed) == (0, 0, 0)
    assert figures.lost <= deaths * CLIENTS * BATCH
    assert workers_of(served)[0] == lasting


def test_a_filter_whose_workers_cannot_open_the_pair_is_not_ready(served: RunningFilter, bundle_file: Path) -> None:
    bundle_file.write_bytes(b"nothing of the kind")
    assert health_of(served).status == 200
    for each in workers_of(served):
        os.kill(each, signal.SIGKILL)
    served.wait_for("a worker cannot open the pair", times=4)

    told = health_of(served)

    assert (told.status, told.is_ready, told.workers) == (503, False, ())
    assert served.logged(DIED)[-1]["status"] == 1
    compile_pair(LISTS, SCHOOL, bundle_file, serial=8)
    served.process.send_signal(signal.SIGHUP)  # workers have what was verified, or nothing
    wait_for_both(served)
    assert served.ask("www.jeu.example").rcode() == 3
    assert health_of(served).status == 200


def test_workers_go_on_without_the_process_that_forks_them_and_another_is_made(served: RunningFilter) -> None:
    nursery = next(each for each in children_of(served.process.pid) if each not in workers_of(served))
    before = workers_of(served)
    os.kill(nursery, signal.SIGKILL)
    served.wait_for("the process that starts workers is gone, another will be made")
    assert served.ask("www.jeu.example").rcode() == 3
    assert workers_of(served) == before

    os.kill(before[0], signal.SIGKILL)
    served.wait_for(DIED)
    wait_for_both(served)
    assert {served.ask("www.jeu.example").rcode() for _ in range(20)} == {3}


def test_workers_replaced_in_the_middle_of_a_swap_judge_by_the_newest_pair(
    served: RunningFilter, bundle_file: Path, record_property: Record
) -> None:
    """NEWS is blocked by every second publication; whoever asks after the swap is judged by the new one."""
    in_force = InForce()
    with crowd_of(served, in_force) as crowd:
        for swap in range(1, 5):
            blocked = bool(swap % 2)
            in_force.blocked = None
            news = [make_list("jeux2", NEWS, category="jeux")] if blocked else []
            compile_pair([*LISTS, *news], SCHOOL, bundle_file, serial=7 + swap)
            served.process.send_signal(signal.SIGHUP)
            for each in workers_of(served)[swap % 2 :]:
                os.kill(each, signal.SIGKILL)
            served.wait_for("bundle reloaded", times=swap)
            in_force.blocked = blocked
            crowd.wait_for_rounds(2, wait_until)
            wait_for_both(served)
    figures = crowd.figures
    tell("4 swaps, workers killed in each", served, figures, record_property)

    assert (figures.unfiltered, figures.wrong, figures.failed) == (0, 0, 0)
    assert figures.right + figures.lost == figures.sent
