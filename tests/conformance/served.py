"""The product as people run it: a process that serves, asked over UDP and TCP, in front of a case's own resolver."""

import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import dns.message
import dns.rcode

from filter.compiler import compile_names, compile_policy
from filter.serving import wire
from filter.serving.resolving.probing import ZONE
from filter.settings import PolicySettings
from tests.conformance.engine import NOON, ListText, Script, make_source, one_profile, pack
from tests.filter.running import ROOT, RunningFilter
from tests.filter.scripted import ScriptedUpstream, free_port

UDP_SIZE = 1232
CRASHES = 'filter_queries_total{action="failed",category="",rule="error"}'


class CaseUpstream(ScriptedUpstream):
    """Answers as a case's script says; SERVFAIL where it says nothing, or is of an unknown form."""

    def __init__(self, script: Script) -> None:
        super().__init__()
        self.script = script

    def respond(self, data: bytes, over_udp: bool) -> Sequence[bytes]:
        query = dns.message.from_wire(data)
        if query.question[0].name.to_text(omit_final_dot=True).endswith(ZONE):
            return [self.error(query, dns.rcode.NXDOMAIN)]
        try:
            reply = self.script(wire.read_query(data).question)
        except Exception:  # noqa: BLE001  # a case of an unknown form is that case's failure, not this thread's
            reply = None
        if reply is None:
            return [self.error(query, dns.rcode.SERVFAIL)]
        if over_udp and len(reply) > UDP_SIZE:
            cut = dns.message.make_response(query)
            return [data[:2] + wire.HEADER.pack(0, wire.QR | wire.TC, 1, 0, 0, 0)[2:] + cut.to_wire()[12:]]
        return [data[:2] + reply[2:]]

    def error(self, query: dns.message.Message, rcode: dns.rcode.Rcode) -> bytes:
        reply = dns.message.make_response(query)
        reply.set_rcode(rcode)
        return reply.to_wire()


class ClockedFilter(RunningFilter):
    """One process, whose cache goes by a clock that can be put forward (tests.conformance.clocked)."""

    def start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "tests.conformance.clocked", *self.options],
            cwd=ROOT, env={**self.environ, "PREAU_FILTER_WORKERS": "0", "PREAU_FILTER_PLANE": "python"}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()

    def advance(self, seconds: float) -> None:
        """Let so much time pass for the cache."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "ok\n"


class Served:
    """Started by ``with``."""

    def __init__(
        self,
        lists: Sequence[ListText] = (),
        settings: PolicySettings | None = None,
        script: Script = lambda _question: None,
        *,
        is_clocked: bool = False,
    ) -> None:
        self.folder = tempfile.TemporaryDirectory()
        folder = Path(self.folder.name)
        self.serial = 0
        self.compile(lists, folder / "names")
        compile_policy(settings or one_profile(lists), folder / "policy", serial=1, compiled_at=NOON)
        self.upstream = CaseUpstream(script)
        make = ClockedFilter if is_clocked else RunningFilter
        self.process = make(
            "--bundle", str(folder / "names"), "--policy", str(folder / "policy"), "--upstream", self.upstream.address,
            port=free_port(),
        )  # fmt: skip

    def __enter__(self) -> Self:
        self.upstream.__enter__()
        try:
            self.process.__enter__()
        except BaseException:
            self.upstream.close()
            self.folder.cleanup()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.__exit__(kind, error, trace)
        self.upstream.close()
        self.folder.cleanup()

    def compile(self, lists: Sequence[ListText], path: Path) -> None:
        self.serial += 1
        sources = [make_source(path.parent, number, each) for number, each in enumerate(lists)]
        compile_names(sources, path, serial=self.serial, compiled_at=NOON)

    def replace(self, lists: Sequence[ListText]) -> None:
        """Other lists, in service when this returns; the process goes on."""
        folder = Path(self.folder.name)
        self.compile(lists, folder / "names.new")
        (folder / "names.new").replace(folder / "names")
        self.process.process.send_signal(signal.SIGHUP)
        self.process.wait_for("bundle reloaded", self.serial - 1)

    def advance(self, seconds: float) -> None:
        assert isinstance(self.process, ClockedFilter)
        self.process.advance(seconds)

    def answer(self, data: bytes, *, tcp: bool = False) -> bytes:
        """One query's bytes in, one reply's bytes out; raise TimeoutError when none comes."""
        send = self.process.send_tcp if tcp else self.process.send
        return send([data])[0]

    def ask(
        self, name: str, qtype: str, _client: str | None = None, *, tcp: bool = False, flags: Iterable[str] = ("RD",)
    ) -> dns.message.Message:
        """A query and its reply, read by another library. Every client is the loopback."""
        return dns.message.from_wire(self.answer(pack(name, qtype, flags), tcp=tcp))

    @property
    def crashes(self) -> float:
        """Exceptions that the handler had to catch, as its own metrics tell."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.process.metrics}/metrics") as response:
            lines = response.read().decode().splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(CRASHES)), 0.0)
