"""A file on its way from the controller: written aside, named by its ETag, resumed where a transfer was cut."""

import os
import re
from pathlib import Path

import httpx2

from filter.updates.controller import TalkFailed

LARGEST = 1 << 30
ETAG = re.compile(r'(?:W/)?"([0-9a-f]{64})\.(\d{1,19})"')
"""``"<digest>.<serial>"``: filter.bundle's etag; weak where the body is a compressed one of that file (RFC 9110)."""


def read_etag(response: httpx2.Response) -> str:
    """The bytes that the controller announces, without the quotes; raise TalkFailed."""
    found = ETAG.fullmatch(response.headers.get("ETag", ""))
    if found is None:
        raise TalkFailed("controller", "the controller announced no ETag of a digest and a serial")
    return f"{found[1]}.{found[2]}"


def serial_of(etag: str) -> int:
    """The serial that an ETag announces."""
    return int(etag.rpartition(".")[2])


class Download:
    """One file that a transfer fills, over several tries when need be."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.etag_path = path.with_name(f"{path.name}.etag")

    def find(self) -> tuple[str | None, int]:
        """The ETag of the file that a transfer was cut in, and how many of its bytes are here."""
        try:
            return self.etag_path.read_text("ascii"), self.path.stat().st_size
        except (OSError, UnicodeDecodeError):
            return None, 0

    def forget(self) -> None:
        self.etag_path.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def headers(self) -> dict[str, str]:
        """What asks for the rest of the file, if it is still the same one."""
        etag, received = self.find()
        return {} if etag is None else {"Range": f"bytes={received}-", "If-Range": f'"{etag}"'}

    async def receive(self, response: httpx2.Response, largest: int = LARGEST) -> bool:
        """Write the body behind what is already here (True), or anew when everything comes; raise TalkFailed."""
        announced = read_etag(response)
        etag, received = self.find()
        resumes = response.status_code == httpx2.codes.PARTIAL_CONTENT
        if resumes and (etag != announced or not is_from(response, received)):
            self.forget()
            raise TalkFailed("range", "the controller sent another range than the one asked for")
        if not resumes:
            received = 0
            self.etag_path.write_text(announced, "ascii")
        try:
            with self.path.open("ab" if resumes else "wb") as file:
                async for chunk in response.aiter_raw():  # as it comes: what a cut leaves is kept
                    received += len(chunk)
                    if received > largest:
                        self.forget()
                        raise TalkFailed("too_large", f"more than {largest} bytes")
                    file.write(chunk)
        except OSError:  # no room: what came so far must not keep it from others
            self.forget()
            raise
        return resumes


def is_from(response: httpx2.Response, first: int) -> bool:
    """Whether a partial answer begins at this byte."""
    return str(response.headers.get("Content-Range", "")).startswith(f"bytes {first}-")


def settle(path: Path, place: Path) -> None:
    """Put a complete file into its place for good: a power cut leaves the old one or the new one, never half."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
    path.replace(place)  # whoever maps the old one keeps it
    folder = os.open(place.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
