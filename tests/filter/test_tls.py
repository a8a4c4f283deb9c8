"""DNS over TLS (RFC 7858) of a real filter process: server names, padding, resumption, certificates that change."""

import contextlib
import os
import signal
import socket
import ssl
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dns.edns
import dns.message
import dns.rcode
import pytest

from filter.serving.streams.padding import pad
from filter.serving.streams.tls import CertificateFiles, CertificateInvalid, Certificates, label_of
from filter.settings import LabelSettings, hash_label
from tests.certificates import Authority
from tests.filter.conftest import LISTS, SCHOOL, compile_pair
from tests.filter.encrypted import NAME, EncryptedFilter, receive_exactly
from tests.filter.scripted import ScriptedUpstream
from tests.requirements import needs

LABELLED = replace(SCHOOL, labels=(LabelSettings(hash_label("tablette-7"), "maitres"),))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_pair(LISTS, LABELLED, tmp_path_factory.mktemp("tls") / "ecole.preau", serial=7)


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as scripted:
        scripted.add("journal.example. 300 IN A 93.184.216.34")
        scripted.add("jeu.example. 300 IN A 93.184.216.36")
        yield scripted


@pytest.fixture(scope="module")
def served(bundle: Path, upstream: ScriptedUpstream) -> Iterator[EncryptedFilter]:
    options = ("--bundle", str(bundle), "--upstream", upstream.address)
    with EncryptedFilter(Authority.make(bundle.parent), *options) as running:
        yield running


def packet(name: str = "journal.example", *, edns: bool = True) -> bytes:
    return dns.message.make_query(name, "A", use_edns=0 if edns else False).to_wire()


def test_queries_on_one_connection_are_all_answered(served: EncryptedFilter) -> None:
    packets = [packet() for _ in range(200)]
    replies = served.ask_tls(packets)

    assert {reply[:2] for reply in replies} == {each[:2] for each in packets}
    assert {dns.message.from_wire(reply).rcode() for reply in replies} == {dns.rcode.NOERROR}


def test_replies_are_padded_when_the_query_has_edns(served: EncryptedFilter) -> None:
    with_edns, blocked, without = served.ask_tls([packet(), packet("jeu.example"), packet(edns=False)])[:3]

    assert sorted(len(each) % 468 for each in (with_edns, blocked, without))[:2] == [0, 0]
    assert [dns.message.from_wire(each).edns for each in (with_edns, blocked, without)].count(-1) == 1


def test_the_label_in_the_server_name_tells_the_device(served: EncryptedFilter) -> None:
    (as_teacher,) = served.ask_tls([packet("jeu.example")], name=f"Tablette-7.{NAME}")
    (unknown,) = served.ask_tls([packet("jeu.example")], name=f"autre.{NAME}")

    assert dns.message.from_wire(as_teacher).rcode() == dns.rcode.NOERROR
    assert dns.message.from_wire(unknown).rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("tablette-7.dns.exemple.fr", "tablette-7"),
        ("TABLETTE-7.DNS.exemple.fr.", "tablette-7"),
        ("dns.exemple.fr", None),
        ("a.b.dns.exemple.fr", None),
        ("a.dns.autre.fr", None),
        (f"{'x' * 64}.dns.exemple.fr", None),
        (".dns.exemple.fr", None),
        (None, None),
    ],
)
def test_what_a_server_name_says_of_a_device(name: str | None, label: str | None) -> None:
    assert label_of(name, "dns.exemple.fr") == label
    assert label_of(name, None) is None


def test_sessions_are_resumed(served: EncryptedFilter) -> None:
    context = served.context("dot")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    session = None
    reused = []
    for _ in range(2):
        plain = socket.create_connection(("127.0.0.1", served.tls), timeout=8)
        with context.wrap_socket(plain, server_hostname=NAME, session=session) as secured:
            secured.sendall(struct.pack("!H", len(packet())) + packet())
            receive_exactly(secured)
            session = secured.session
            reused.append(secured.session_reused)

    assert reused == [False, True]


@needs("openssl")
@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_tls_is_refused(served: EncryptedFilter, version: str) -> None:
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{served.tls}", version, "-cipher", "ALL:@SECLEVEL=0"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20,
    )  # fmt: skip

    assert "Cipher is (NONE)" in done.stdout


@needs("kdig")
def test_kdig_asks_by_tls(served: EncryptedFilter) -> None:
    done = subprocess.run(
        ["kdig", f"@127.0.0.1#{served.tls}", "+tls", f"+tls-ca={served.authority.certificate}",
         f"+tls-hostname={NAME}", "+edns", "+padding", "journal.example"],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip

    assert "93.184.216.34" in done.stdout, done.stdout + done.stderr
    assert "TLS1.3" in done.stdout
    assert "Received 468 B" in done.stdout


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.0\r\n\r\n", bytes(600), b"\x16\x03\x01\xff\xff" + bytes(70_000)])
def test_what_is_no_handshake_is_ended(served: EncryptedFilter, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", served.tls), timeout=15) as client:
        try:
            client.sendall(sent)
            while client.recv(1000):
                pass
        except ConnectionResetError:
            pass
    assert len(served.ask_tls([packet()])) == 1


def test_a_handshake_that_does_not_go_on_is_cut_off(served: EncryptedFilter) -> None:
    with socket.create_connection(("127.0.0.1", served.tls), timeout=15) as client:
        client.sendall(b"\x16\x03\x01\x02\x00")
        assert client.recv(1) == b""


@pytest.mark.parametrize("how", [None, signal.SIGHUP])
def test_a_new_certificate_is_used_and_no_connection_is_lost(
    bundle: Path, upstream: ScriptedUpstream, tmp_path: Path, how: signal.Signals | None
) -> None:
    authority = Authority.make(tmp_path)
    options = ("--bundle", str(bundle), "--upstream", upstream.address)
    with EncryptedFilter(authority, *options) as running, running.secure(running.tls, "dot") as before:
        old = before.getpeercert()
        fresh = tmp_path / "frais"
        fresh.mkdir()
        issued = replace(authority, directory=fresh).issue(NAME, f"*.{NAME}", "127.0.0.1")
        for path in (issued.key, issued.certificate):
            os.replace(path, tmp_path / path.name)
        if how is not None:
            running.process.send_signal(how)
        running.wait_for("certificate reloaded")
        with running.secure(running.tls, "dot") as after:
            new = after.getpeercert()
        before.sendall(struct.pack("!H", len(packet())) + packet())
        reply = dns.message.from_wire(receive_exactly(before))

    assert old is not None
    assert new is not None
    assert old["serialNumber"] != new["serialNumber"]
    assert reply.rcode() == dns.rcode.NOERROR


def test_a_certificate_that_cannot_be_used_changes_nothing(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path)
    one, other = authority.issue("un.test"), authority.issue("autre.test")
    certificates = Certificates(CertificateFiles(one.certificate, one.key))
    in_use = dict(certificates.contexts)
    os.replace(other.key, one.key)

    assert not certificates.refresh()
    one.key.write_text("rien")
    assert not certificates.refresh()
    one.key.unlink()
    assert not certificates.refresh()
    assert certificates.contexts == in_use


def test_a_certificate_that_is_mended_later_is_used(tmp_path: Path) -> None:
    """Its key's rights, say: nothing of the file changes but what may be read of it."""
    one = Authority.make(tmp_path).issue("un.test")
    certificates = Certificates(CertificateFiles(one.certificate, one.key))
    good = one.key.read_bytes()
    one.key.write_bytes(bytes(len(good)))
    before = one.key.stat()

    assert not certificates.refresh()
    one.key.write_bytes(good)
    os.utime(one.key, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert certificates.refresh()
    assert not certificates.refresh()


def test_whoever_asks_has_the_files_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even when nothing tells them from those in use: a clock may have stood still."""
    authority = Authority.make(tmp_path)
    one, other = authority.issue("un.test"), authority.issue("autre.test")
    certificates = Certificates(CertificateFiles(one.certificate, one.key))
    seen, in_use = certificates.seen, dict(certificates.contexts)
    monkeypatch.setattr(CertificateFiles, "state", lambda _files: seen)
    one.certificate.write_bytes(other.certificate.read_bytes())
    one.key.write_bytes(other.key.read_bytes())

    certificates.refresh()
    assert certificates.contexts == in_use
    certificates.refresh(always=True)
    assert certificates.contexts.keys() == in_use.keys()
    assert all(certificates.contexts[each] is not in_use[each] for each in in_use)


def test_a_server_name_of_odd_bytes_is_never_printed(served: EncryptedFilter) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    sent = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname="tablette-9.test").do_handshake()
    hello = sent.read().replace(b"tablette-9.test", b"tablette-9.\xff\xfe\r\n")
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", served.tls), timeout=8) as client:
            client.sendall(hello)
            while client.recv(4096):
                pass
    (reply,) = served.ask_tls([packet()])

    assert dns.message.from_wire(reply).rcode() == dns.rcode.NOERROR
    assert not [line for line in served.lines if "time" not in line]
    assert "tablette-9" not in str(served.lines)
    assert len(served.logged("an error that nobody hears of")) == 1


def test_what_is_wrong_with_a_certificate_is_said(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path)
    one, other = authority.issue("un.test"), authority.issue("autre.test")

    with pytest.raises(CertificateInvalid, match="la clé n’est pas celle du certificat"):
        Certificates(CertificateFiles(one.certificate, other.key))
    with pytest.raises(CertificateInvalid, match="fichier PEM illisible"):
        Certificates(CertificateFiles(one.key))
    with pytest.raises(CertificateInvalid, match=r"absent\.pem"):
        Certificates(CertificateFiles(tmp_path / "absent.pem"))


def test_padding_never_breaks_a_reply() -> None:
    query = dns.message.make_query("a.example", "A", use_edns=0, payload=1232)
    reply = dns.message.make_response(query, our_payload=1232)
    for option in (b"", b"\0\0\x29\x04\xd0", "catégorie".encode()):
        reply.use_edns(0, 0, 1232, options=[dns.edns.GenericOption("65001", b"\0\x11" + option)])
        padded = pad(reply.to_wire())
        assert len(padded) % 468 == 0
        assert dns.message.from_wire(padded).options[0] == dns.message.from_wire(reply.to_wire()).options[0]
    bare = dns.message.make_response(dns.message.make_query("a.example", "A")).to_wire()
    assert pad(bare) == bare
