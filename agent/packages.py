"""Which browsers are installed, from dpkg's database: running each with --version would cost seconds."""

from functools import lru_cache
from pathlib import Path

STATUS = Path("var/lib/dpkg/status")
BROWSERS = {"chromium", "chromium-browser", "firefox", "firefox-esr", "google-chrome-stable", "microsoft-edge-stable"}


def browsers(host: Path) -> tuple[str, ...]:
    """``("chromium 156.0.8078.79", …)``; empty on a system without dpkg."""
    path = host / STATUS
    try:
        status = path.stat()
    except OSError:
        return ()
    return read_status(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=1)
def read_status(path: Path, _modified: int, _size: int) -> tuple[str, ...]:
    """Read once for each version of the file: it has megabytes, and facts are asked for at every check-in."""
    found = []
    name = installed = ""
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            key, _, value = line.partition(": ")
            if key == "Package":
                name, installed = value.strip(), ""
            elif key == "Status":
                installed = value.strip()
            elif key == "Version" and name in BROWSERS and installed.endswith(" installed"):
                found.append(f"{name} {upstream(value.strip())}")
    return tuple(sorted(found))


def upstream(version: str) -> str:
    """Debian's ``[epoch:]upstream[-revision]`` without what is Debian's."""
    without_epoch = version.rpartition(":")[2]
    return without_epoch.rpartition("-")[0] or without_epoch
