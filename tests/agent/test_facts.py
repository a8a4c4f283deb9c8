"""What a machine says of itself, read from small trees that look like /sys and /proc: bounded, nothing about people."""

import json
from pathlib import Path

import pytest

from agent import facts, network, packages
from agent.errors import UsageError
from agent.protocol import Facts, Identity, decode, encode


def put(host: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = host / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return host


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A display with firmware tables, one real network card, a bridge, and a battery."""
    return put(
        tmp_path / "host",
        {
            "sys/class/dmi/id/product_serial": "SN-42\n",
            "sys/class/dmi/id/product_uuid": "4c4c4544-0042-4d10-8052-b4c04f4d3132\n",
            "sys/class/dmi/id/sys_vendor": "Fabricant\n",
            "sys/class/dmi/id/product_name": "Ecran 75 pouces\n",
            "sys/class/net/eth0/address": "AA:BB:CC:DD:EE:01\n",
            "sys/class/net/eth0/addr_assign_type": "0\n",
            "sys/class/net/eth0/device/vendor": "0x8086\n",
            "sys/class/net/wlan0/address": "02:00:00:00:00:02\n",
            "sys/class/net/wlan0/addr_assign_type": "3\n",
            "sys/class/net/wlan0/device/vendor": "0x8086\n",
            "sys/class/net/docker0/address": "02:42:00:00:00:01\n",
            "sys/class/power_supply/BAT0/type": "Battery\n",
            "sys/class/power_supply/BAT0/capacity": "83\n",
            "proc/sys/kernel/hostname": "salle-3\n",
            "proc/meminfo": "MemTotal:        4030404 kB\nMemFree: 1 kB\n",
            "proc/stat": "cpu 1 2 3\nbtime 1796112007\n",
            "proc/net/if_inet6": (
                "20010db8000000000000000000000007 02 40 00 80     eth0\n"
                "20010db8000000000000000000000099 02 40 00 01     eth0\n"
                "fe800000000000000000000000000001 02 40 20 80     eth0\n"
                "00000000000000000000000000000001 01 80 10 80       lo\n"
            ),
            "etc/os-release": 'NAME="Debian GNU/Linux"\nVERSION_ID="12"\nHOME_URL=x\n',
            "var/lib/dpkg/status": (
                "Package: chromium\nStatus: install ok installed\nVersion: 156.0.8078.79-1~deb12u1\n\n"
                "Package: firefox-esr\nStatus: install ok installed\nVersion: 1:153.7.0esr-1~deb12u1\n\n"
                "Package: firefox\nStatus: deinstall ok config-files\nVersion: 1.0\n\n"
                "Package: vim\nStatus: install ok installed\nVersion: 9\n"
            ),
        },
    )


def test_identity_is_of_the_hardware(host: Path, tmp_path: Path) -> None:
    assert facts.collect(tmp_path, host=host).identity == Identity(
        serial="SN-42", smbios_uuid="4c4c4544-0042-4d10-8052-b4c04f4d3132", macs=("aa:bb:cc:dd:ee:01",)
    )


def test_a_board_without_firmware_tables_has_its_own_words(tmp_path: Path) -> None:
    host = put(tmp_path, {"proc/device-tree/serial-number": "0000abcd\0", "proc/device-tree/model": "Module X\0"})
    machine = facts.collect(tmp_path, host=host)
    assert (machine.identity.serial, machine.facts.model) == ("0000abcd", "Module X")


def test_facts_are_read_and_rounded(host: Path, tmp_path: Path) -> None:
    found = facts.collect(tmp_path, host=host).facts
    assert (found.hostname, found.manufacturer, found.model) == ("salle-3", "Fabricant", "Ecran 75 pouces")
    assert (found.os_name, found.os_version) == ("Debian GNU/Linux", "12")
    assert found.memory_bytes == 4030404 * 1024
    assert found.battery_percent == 80
    assert found.boot_time == "2026-12-01T08:00+00:00"
    assert "2001:db8::7" in found.addresses
    assert not {"2001:db8::99", "fe80::1", "::1", "127.0.0.1"} & set(found.addresses)
    assert found.browsers == ("chromium 156.0.8078.79", "firefox-esr 153.7.0esr")
    assert found.disk_free_bytes is not None
    assert found.disk_free_bytes % (256 * 1024 * 1024) == 0


def test_the_root_has_the_last_word_on_its_own_system(host: Path, tmp_path: Path) -> None:
    root = put(tmp_path / "root", {"etc/os-release": "NAME=Essai\nVERSION_ID=7\n", "etc/hostname": "essai\n"})
    found = facts.collect(root, host=host).facts
    assert (found.os_name, found.os_version, found.hostname) == ("Essai", "7", "essai")


def test_a_machine_that_says_nothing_is_still_a_machine(tmp_path: Path) -> None:
    machine = facts.collect(tmp_path, host=tmp_path)
    assert machine.identity == Identity()
    assert machine.facts.memory_bytes is None


@pytest.mark.parametrize(
    "written",
    ["\0\0\0", "   \n", "", "x" * 5000, "a\x1b[31m\nb", "\u2028é\ud7ff"],
)
def test_whatever_firmware_wrote_can_be_sent(tmp_path: Path, written: str) -> None:
    host = put(tmp_path, {"sys/class/dmi/id/product_serial": written})
    identity = facts.collect(tmp_path, host=host).identity
    assert decode(Identity, encode(identity)) == identity
    assert identity.serial is None or (len(identity.serial) <= 200 and identity.serial.isprintable())


def test_this_machine_can_be_read() -> None:
    """The real /sys and /proc, whatever they are."""
    machine = facts.collect(Path("/"))
    assert decode(Facts, encode(machine.facts)) == machine.facts
    assert machine.facts.memory_bytes
    assert facts.collect(Path("/")) == machine, "two readings in a row are equal, or facts would travel every time"


def test_a_file_may_say_otherwise(tmp_path: Path, host: Path) -> None:
    told = put(tmp_path, {"facts.json": json.dumps({"identity": {"serial": "D-1"}, "facts": {"model": "Démo"}})})
    machine = facts.collect(tmp_path, told / "facts.json", host)
    assert machine.identity == Identity(serial="D-1"), "nothing of this machine is mixed in"
    assert (machine.facts.model, machine.facts.hostname) == ("Démo", "salle-3")


@pytest.mark.parametrize("content", ["", "[]", '{"facts": {"model": 3}}', '{"identity": []}'])
def test_a_file_that_describes_nothing_is_said(tmp_path: Path, content: str) -> None:
    put(tmp_path, {"facts.json": content})
    with pytest.raises(UsageError, match="ne décrit pas un appareil"):
        facts.collect(tmp_path, tmp_path / "facts.json")


@pytest.mark.parametrize(
    ("debian", "upstream"),
    [("156.0-1~deb12u1", "156.0"), ("1:2.3-1", "2.3"), ("1:2.3", "2.3"), ("9", "9"), ("1.2-3-4", "1.2-3")],
)
def test_versions_lose_what_is_debians(debian: str, upstream: str) -> None:
    assert packages.upstream(debian) == upstream


def test_an_installed_browser_is_seen_without_restarting(host: Path) -> None:
    assert len(packages.browsers(host)) == 2
    status = host / packages.STATUS
    status.write_text(status.read_text().replace("deinstall ok config-files", "install ok installed"))
    assert len(packages.browsers(host)) == 3


def test_no_network_is_no_error(tmp_path: Path) -> None:
    assert network.addresses(tmp_path) == ()
    assert network.physical_macs(tmp_path) == ()
    assert network.boot_time(tmp_path) is None
