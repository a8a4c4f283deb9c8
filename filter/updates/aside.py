"""Work in a process of its own, that ends with the filter: here it would keep queries waiting, and hold its tables."""

import asyncio
import os
import resource
from collections.abc import Callable
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import ParamSpec

Arguments = ParamSpec("Arguments")

NICENESS = 10
MOST_MEMORY = 1 << 30
"""Bytes of address space of the other process, besides four times the names file: both files are mapped there."""


class CutOff(Exception):
    """The other process did not come to its end: killed, out of memory, or too slow."""


async def run_aside(
    seconds: float, work: Callable[Arguments, None], *arguments: Arguments.args, **more: Arguments.kwargs
) -> None:
    """Do it there, with less right to the processor than those who ask names; raise CutOff.

    What it has to say is in the files that it leaves.
    """
    process = get_context("spawn").Process(target=politely, args=(work, arguments, more), daemon=True)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    await asyncio.to_thread(process.start)  # a spawn: a fork would take the filter's sockets with it
    loop.add_reader(process.sentinel, ended.set)
    try:
        async with asyncio.timeout(seconds):
            await ended.wait()
    except TimeoutError as error:
        raise CutOff(f"pas fini après {seconds:.0f} s") from error
    finally:
        loop.remove_reader(process.sentinel)
        process.kill()
        process.join()
    if process.exitcode != 0:
        raise CutOff(f"le processus a été interrompu ({process.exitcode})")


def politely(work: Callable[..., None], arguments: tuple[object, ...], more: dict[str, object]) -> None:
    """In the other process."""
    Thread(target=end_with_parent, daemon=True).start()
    os.nice(NICENESS)
    work(*arguments, **more)


def end_with_parent() -> None:
    """Wait until the filter is gone, however it ended: nobody is left who would want the result."""
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)


def limit_memory(size: int) -> None:
    """Let this process take what names of so many bytes need, and no more."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = MOST_MEMORY + 4 * size
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
