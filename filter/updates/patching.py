"""A delta applied in a process of its own: here its arithmetic would keep queries waiting, and its tables in memory."""

import asyncio
import os
import resource
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

from filter.bundle import BundleRefused
from filter.layout.delta import DeltaRefused, apply_delta

NICENESS = 10
LONGEST_SECONDS = 300.0
"""A slow machine takes a minute; beyond this the whole file is fetched."""
MOST_MEMORY = 1 << 30
"""Bytes of address space of the other process, besides four times the old file: both files are mapped there."""


async def apply_aside(old: Path, delta: Path, out: Path) -> None:
    """Write the file that a delta makes of an old one; raise DeltaRefused."""
    pool = ProcessPoolExecutor(1, get_context("spawn"))  # a fork would take the filter's sockets with it
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            refused = await asyncio.get_running_loop().run_in_executor(pool, apply_politely, old, delta, out)
    except (BrokenProcessPool, TimeoutError) as error:
        raise DeltaRefused("le processus qui l’appliquait a été interrompu") from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    if refused is not None:
        raise DeltaRefused(refused)


def apply_politely(old: Path, delta: Path, out: Path) -> str | None:
    """In the other process: why it is refused, or None. Those who ask names go first."""
    os.nice(NICENESS)
    try:
        limit_memory(old.stat().st_size)
        apply_delta(old, delta, out)
    except (DeltaRefused, BundleRefused, OSError) as error:
        return str(error)
    except MemoryError:
        return "trop de mémoire demandée"
    return None


def limit_memory(size: int) -> None:
    """Let this process take what a file of so many bytes needs, and no more."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = MOST_MEMORY + 4 * size
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
