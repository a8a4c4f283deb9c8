"""Debian packages that some tests need: without one they skip and name it; under CI=true that is a failure."""

import os
import shutil

import pytest

PACKAGES = {
    "cc": "gcc",
    "chromium": "chromium",
    "firefox-esr": "firefox-esr",
    "kdig": "knot-dnsutils",
    "dnsperf": "dnsperf",
    "faketime": "faketime",
    "sshd": "openssh-server",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "nft": "nftables",
    "ip": "iproute2",
    "openssl": "openssl",
    "curl": "curl",
    "pgrep": "procps",
    "systemd-analyze": "systemd",
}
"""Program -> Debian package that brings it."""

PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


def find(program: str) -> str | None:
    """The program's path, also where ordinary users do not look (sbin)."""
    return shutil.which(program, path=PATH)


def needs(*programs: str, root: bool = False) -> pytest.MarkDecorator:
    """Skip unless every program is installed (and we are root, when that is needed); never skip under CI=true."""
    missing = sorted({PACKAGES[p] for p in programs if find(p) is None})
    reasons = [f"apt-get install {' '.join(missing)}"] if missing else []
    if root and os.geteuid() != 0:
        reasons.append("run as root: it makes network namespaces")
    reason = "; ".join(reasons)
    if reason and os.environ.get("CI") == "true":
        return pytest.mark.usefixtures("fail_for_missing_package")
    return pytest.mark.skipif(bool(reason), reason=reason)
