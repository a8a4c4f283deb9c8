"""The pair's files as they pass from the supervisor to a worker: open, so that nobody reads a path again.

What lies at the paths may be another file by then, one that the supervisor refused or has not looked at.
"""

import os
import socket
from typing import TypeVar

import msgspec

from filter.bundle import BundleRefused, NamesFile, PolicyFile, Verify
from filter.config import FilterConfig
from filter.signing import trust
from filter.updates.pair import Pair, make_pair

File = TypeVar("File", NamesFile, PolicyFile)


class Files(msgspec.Struct):
    """Which files were handed over: those that the supervisor verified."""

    names_etag: str
    policy_etag: str


def hand_over(sock: socket.socket, pair: Pair) -> None:
    """Give both files to whoever has the other end; never waits; raise OSError."""
    socket.send_fds(sock, [b"pair"], [pair.names.descriptor, pair.settings.descriptor])


def take(sock: socket.socket) -> tuple[int, int]:
    """The descriptors of names and policy that were handed over last, the caller's to close; raise OSError."""
    _, found, _, _ = socket.recv_fds(sock, 16, 2)
    if len(found) != 2:
        for each in found:
            os.close(each)
        raise OSError("no room for the files' descriptors")
    return found[0], found[1]


def describe_files(pair: Pair) -> Files:
    """What a worker must find in the files it is given."""
    return Files(pair.names.etag, pair.settings.etag)


def open_files(config: FilterConfig, files: Files, descriptors: tuple[int, int], before: Pair | None) -> Pair:
    """The pair; names that are open already are not opened again. Raise BundleRefused or OSError.

    The descriptors are closed with what they become, or at once.
    """
    names_file, policy_file = descriptors
    verify = verify_of(config)
    try:
        if before is not None and before.names.etag == files.names_etag:
            os.close(names_file)
            names = before.names
        else:
            names = check(NamesFile.own(names_file, verify), files.names_etag)
    except (BundleRefused, OSError):
        os.close(policy_file)
        raise
    settings = check(PolicyFile.own(policy_file, verify), files.policy_etag)
    filter_id = "" if config.controller is None else config.controller.filter_id
    return make_pair(names, settings, filter_id, config.forwards, before=before)


def check(opened: File, etag: str) -> File:
    """Raise BundleRefused when it is no more what the supervisor verified: somebody wrote into the file."""
    if opened.etag != etag:
        raise BundleRefused("wrong_digest", "ce fichier n’est plus celui qui a été vérifié")
    return opened


def verify_of(config: FilterConfig) -> Verify | None:
    """Whose signatures are asked for; None: nobody's, the files are local and no keys were named."""
    told = config.controller or config.files
    return trust(told.trusted_keys) if told is not None and told.trusted_keys else None
