"""`preau-filter serve`: answer queries until told to stop."""

import argparse
import asyncio
import signal
import sys

from filter import log
from filter.cli import path_option
from filter.config import ConfigInvalid, FilterConfig, Given, check
from filter.service import FilterService
from filter.serving.server import PortTaken

PROBLEMS = (ConfigInvalid, PortTaken)
SWITCH_SECONDS = 0.0005
"""How long a thread that opens files may keep queries waiting: Python's own 5 ms would show in every swap."""


def run(args: argparse.Namespace) -> int:
    config = check(
        Given(
            listen=args.listen,
            upstream=args.upstream,
            bundle=path_option(args.bundle),
            policy=path_option(args.policy),
            trusted_key=args.trusted_key,
            controller=args.controller,
            credential_file=path_option(args.credential_file),
            ca_file=path_option(args.ca_file),
            data_dir=path_option(args.data_dir),
            interval=args.interval,
            name_counts_days=args.name_counts_days,
            block_page=args.block_page,
            block_address=args.block_address,
            metrics=args.metrics,
            cache_mb=args.cache_mb,
            log_format=args.log_format,
        )
    )
    log.set_up(config.log_format)
    sys.setswitchinterval(SWITCH_SECONDS)
    asyncio.run(serve(config))
    return 0


async def serve(config: FilterConfig) -> None:
    """Run one filter; SIGTERM and SIGINT stop it, SIGHUP reads its files anew."""
    service = FilterService(config)
    service.open_files()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    reloading: set[asyncio.Task[object]] = set()
    loop.add_signal_handler(signal.SIGHUP, lambda: reloading.add(asyncio.create_task(service.reload_files())))
    await service.run(stop)
