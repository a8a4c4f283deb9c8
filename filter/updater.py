"""Fetch, verify, swap: the controller's bundle comes here; the last good one stays on disk and keeps serving."""

import asyncio
import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

import httpx2

from filter.bundle import Bundle, BundleRefused
from filter.policy import Policy

log = logging.getLogger("filter")

BUNDLE = "bundle.preau"
PARTIAL = "bundle.part"
PARTIAL_DIGEST = "bundle.part.etag"
LARGEST = 1 << 30
PATH = "/filter/v1/bundle"

Install = Callable[[Policy, str], None]
"""Takes the policy of a new bundle and the digest of its file."""


class UpdateFailed(Exception):
    """The controller could not be asked, or what came is not used. ``outcome`` is stable: a metric's label."""

    def __init__(self, outcome: str, detail: str) -> None:
        super().__init__(detail)
        self.outcome = outcome


def open_policy(path: Path) -> tuple[Policy, str]:
    """A bundle's policy and the digest of its file; raise BundleRefused or OSError. Reads the file once or twice."""
    bundle = Bundle.open(path)
    return Policy(bundle), bundle.digest()


class Updater:
    """Keeps one bundle in a folder as new as the controller's."""

    def __init__(self, client: httpx2.AsyncClient, data_dir: Path, install: Install) -> None:
        """``client`` has the controller as its base URL and carries the filter's credential."""
        self.client = client
        self.data_dir = data_dir
        self.install = install
        self.serial = 0
        self.digest: str | None = None
        self.refused: str | None = None
        """Digest of a bundle that was refused: it is not fetched again and again."""

    async def start(self) -> bool:
        """Serve the last good bundle; False when there is none that can be used."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        path = self.data_dir / BUNDLE
        try:
            policy, digest = await asyncio.to_thread(open_policy, path)
        except FileNotFoundError:
            log.warning("no bundle yet: queries fail until the controller sends one")
            return False
        except (BundleRefused, OSError) as error:
            log.warning(
                "the bundle kept here cannot be used: queries fail until a new one comes", extra={"error": str(error)}
            )
            return False
        self.adopt(policy, digest)
        return True

    def adopt(self, policy: Policy, digest: str) -> None:
        self.serial, self.digest = policy.bundle.serial, digest
        self.install(policy, digest)
        log.info("bundle in use", extra={"serial": self.serial, "names": policy.bundle.names, "digest": digest[:16]})

    async def poll(self) -> str:
        """Ask once; return ``unchanged``, ``none_published`` or ``installed``, or raise UpdateFailed."""
        try:
            return await self.fetch()
        except httpx2.HTTPError as error:
            raise UpdateFailed("unreachable", f"{type(error).__name__}: {error}") from error
        except BundleRefused as error:
            raise UpdateFailed(error.reason, str(error)) from error
        except OSError as error:
            raise UpdateFailed("disk", str(error)) from error

    async def fetch(self) -> str:
        """One conditional request, resumed where the last one was cut."""
        headers = {"If-None-Match": f'"{self.digest}"'} if self.digest else {}
        partial, received = self.find_partial()
        if partial is not None:
            headers |= {"Range": f"bytes={received}-", "If-Range": f'"{partial}"'}
        async with self.client.stream("GET", PATH, headers=headers) as response:
            if response.status_code == httpx2.codes.NOT_MODIFIED:
                return "unchanged"
            if response.status_code == httpx2.codes.NOT_FOUND:
                return "none_published"
            if response.status_code == httpx2.codes.RANGE_NOT_SATISFIABLE:
                self.forget_partial()
                raise UpdateFailed("range", "the part kept is longer than the bundle; starting over")
            digest = read_etag(response)
            if digest in {self.refused, self.digest}:
                return "unchanged"
            resumed = await self.download(response, digest, received if digest == partial else 0)
        await self.verify_and_swap(digest, resumed=resumed)
        return "installed"

    def find_partial(self) -> tuple[str | None, int]:
        """Digest of the bundle that a download was cut in, and how many bytes are here."""
        try:
            digest = (self.data_dir / PARTIAL_DIGEST).read_text("ascii")
            return digest, (self.data_dir / PARTIAL).stat().st_size
        except (OSError, UnicodeDecodeError):
            return None, 0

    def forget_partial(self) -> None:
        for name in (PARTIAL_DIGEST, PARTIAL):
            (self.data_dir / name).unlink(missing_ok=True)

    async def download(self, response: httpx2.Response, digest: str, received: int) -> bool:
        """Write the body behind what is already here (True), or anew when the controller sends everything."""
        resumes = response.status_code == httpx2.codes.PARTIAL_CONTENT
        if resumes and not response.headers.get("Content-Range", "").startswith(f"bytes {received}-"):
            raise UpdateFailed("range", "the controller sent another range than the one asked for")
        if not resumes:
            received = 0
            (self.data_dir / PARTIAL_DIGEST).write_text(digest, "ascii")
        with (self.data_dir / PARTIAL).open("ab" if resumes else "wb") as file:
            async for chunk in response.aiter_raw():  # as it comes: what a cut leaves is kept
                received += len(chunk)
                if received > LARGEST:
                    self.forget_partial()
                    raise UpdateFailed("too_large", f"more than {LARGEST} bytes")
                file.write(chunk)
        return resumes

    async def verify_and_swap(self, digest: str, *, resumed: bool) -> None:
        """Use a complete download if it is what was announced, whole, and not older; raise BundleRefused otherwise."""
        path = self.data_dir / PARTIAL
        try:
            policy = await asyncio.to_thread(verify, path, digest, self.serial)  # hashing must not delay queries
        except BundleRefused as error:
            # What a resumed download got wrong may be the part that was here before: then the whole is asked for once.
            if error.reason != "wrong_digest" or not resumed:
                self.refused = digest
            self.forget_partial()
            raise
        path.replace(self.data_dir / BUNDLE)  # the open map stays on the same file
        self.forget_partial()
        self.adopt(policy, digest)


def read_etag(response: httpx2.Response) -> str:
    """The digest that the controller announces; raise UpdateFailed for a refusal or a missing digest."""
    if response.status_code in {httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN}:
        raise UpdateFailed("credential", f"the controller refuses this filter's credential ({response.status_code})")
    if response.status_code not in {httpx2.codes.OK, httpx2.codes.PARTIAL_CONTENT}:
        raise UpdateFailed("controller", f"the controller answered {response.status_code}")
    etag: str = response.headers.get("ETag", "").strip('"').lower()
    if len(etag) != 64 or not set(etag) <= set("0123456789abcdef"):
        raise UpdateFailed("controller", "the controller announced no SHA-256 ETag")
    return etag


def verify(path: Path, digest: str, serial: int) -> Policy:
    """The policy of a bundle that has this digest and is newer than this serial; raise BundleRefused."""
    with path.open("rb") as file:
        os.fsync(file.fileno())  # before it takes the place of the last good one
        received = hashlib.file_digest(file, "sha256").hexdigest()
    if received != digest:
        raise BundleRefused("wrong_digest", "le fichier reçu n’est pas celui que le contrôleur a annoncé")
    bundle = Bundle.open(path)
    if bundle.serial <= serial:
        raise BundleRefused(
            "older_serial", f"numéro {bundle.serial}, pas plus récent que {serial} : retour en arrière refusé"
        )
    return Policy(bundle)
