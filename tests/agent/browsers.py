"""Real browsers that see an agent's root laid over the machine's own files, in a mount namespace of their own."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.requirements import find


def over_the_system(root: Path, program: str, work: Path) -> Path:
    """A script that runs the program where /etc and /usr show the files of ``root`` on top: the host stays as it is."""
    lines = ["#!/bin/sh", "set -e"]
    for folder in ("etc", "usr"):
        (root / folder).mkdir(exist_ok=True)
        (work / folder).mkdir(parents=True)
        layers = f"lowerdir=/{folder},upperdir={root / folder},workdir={work / folder}"
        lines.append(f"mount -t overlay overlay -o '{layers}' /{folder}")
    lines.append(f'exec "{find(program)}" "$@"')
    inside = work / f"{program}-inside"
    inside.write_text("\n".join(lines) + "\n")
    wrapper = work / program
    wrapper.write_text(f'#!/bin/sh\nexec unshare --mount --propagation private /bin/sh "{inside}" "$@"\n')
    wrapper.chmod(0o755)
    return wrapper


class Marionette:
    """Firefox's own remote control: JSON over TCP, each message behind its length."""

    def __init__(self, port: int) -> None:
        self.connection = connect(port)
        self.number = 0
        self.receive()  # the greeting

    def command(self, name: str, parameters: dict[str, object]) -> object:
        self.number += 1
        content = json.dumps([0, self.number, name, parameters]).encode()
        self.connection.sendall(str(len(content)).encode() + b":" + content)
        _, number, error, result = self.receive()
        assert number == self.number
        assert error is None, error
        return result

    def receive(self) -> list[object]:
        length = b""
        while (character := self.connection.recv(1)) != b":":
            assert character, "Firefox hung up"
            length += character
        content = b""
        while len(content) < int(length):
            content += self.connection.recv(int(length) - len(content))
        message: list[object] = json.loads(content)
        return message

    def run_as_browser(self, script: str) -> object:
        """Run a script with the browser's own rights; what it returns."""
        self.command("Marionette:SetContext", {"value": "chrome"})
        result = self.command("WebDriver:ExecuteScript", {"script": script, "args": [], "newSandbox": True})
        assert isinstance(result, dict)
        return result["value"]


def connect(port: int) -> socket.socket:
    """Firefox opens its port when it is ready; until then nobody is there."""
    deadline = time.monotonic() + 90
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=60)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "Firefox did not open its port"
            time.sleep(0.1)


@contextmanager
def firefox(program: Path, profile: Path, port: int) -> Iterator[Marionette]:
    """Firefox without a screen, controlled over a free port."""
    profile.mkdir()
    (profile / "user.js").write_text(
        f'user_pref("marionette.port", {port});\n'
        'user_pref("datareporting.policy.dataSubmissionEnabled", false);\n'
        'user_pref("app.update.enabled", false);\n'
    )
    line = [str(program), "--headless", "--marionette", "--remote-allow-system-access", "--profile", str(profile)]
    line.append("about:blank")  # the home page is on no network here, and would be waited for
    environment = {"HOME": str(profile), "PATH": "/usr/bin:/bin", "MOZ_CRASHREPORTER_DISABLE": "1"}
    with (profile / "log").open("wb") as log:
        process = subprocess.Popen(line, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        marionette = Marionette(port)
        marionette.command("WebDriver:NewSession", {"capabilities": {"alwaysMatch": {"acceptInsecureCerts": False}}})
        yield marionette
        marionette.command("Marionette:Quit", {"flags": ["eForceQuit"]})
        process.wait(timeout=60)
    finally:
        process.kill()
        process.wait(timeout=10)
