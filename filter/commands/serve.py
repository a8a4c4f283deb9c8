"""`preau-filter serve`: answer queries until told to stop."""

import argparse
import asyncio
import os
import signal
import sys

from filter import log
from filter.binding import Bound, bind_all
from filter.cli import path_option
from filter.config import ConfigInvalid, FilterConfig, Given, check
from filter.listening import ListeningGiven
from filter.processes.forking import Forked
from filter.processes.supervisor import WorkersFailed
from filter.service import FilterService
from filter.serving.privileges import UserInvalid
from filter.serving.sockets import PortTaken, has_passed
from filter.serving.streams.tls import CertificateInvalid

PROBLEMS = (ConfigInvalid, PortTaken, CertificateInvalid, UserInvalid, WorkersFailed)
SWITCH_SECONDS = 0.0005
"""How long a thread that opens files may keep queries waiting: Python's own 5 ms would show in every swap."""


def run(args: argparse.Namespace) -> int:
    config = check(
        Given(
            listen=args.listen,
            upstream=args.upstream,
            forward=args.forward,
            upstream_ca=path_option(args.upstream_ca),
            random_case=args.random_case,
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
            listening=listening(args),
            has_sockets=has_passed(os.environ),
        )
    )
    log.set_up(config.log_format)
    sys.setswitchinterval(SWITCH_SECONDS)
    bound = bind_all(config, os.environ)
    forked = Forked() if config.workers else None  # now, as there is no thread yet
    asyncio.run(serve(config, bound, forked))
    return 0


def listening(args: argparse.Namespace) -> ListeningGiven:
    return ListeningGiven(
        listen_tls=args.listen_tls,
        listen_https=args.listen_https,
        certificate=path_option(args.certificate),
        certificate_key=path_option(args.certificate_key),
        public_name=args.public_name,
        user=args.user,
        max_connections=args.max_connections,
        max_connections_per_client=args.max_connections_per_client,
        workers=args.workers,
        rate_limit=args.rate_limit,
        plane=args.plane,
    )


async def serve(config: FilterConfig, bound: Bound, forked: Forked | None) -> None:
    """Run one filter; SIGTERM and SIGINT stop it, SIGHUP reads its files anew."""
    service = FilterService(config, bound, forked)
    service.open_files()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    reloading: set[asyncio.Task[object]] = set()
    loop.add_signal_handler(signal.SIGHUP, lambda: reloading.add(asyncio.create_task(service.reload_files())))
    await service.run(stop)
