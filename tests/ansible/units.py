"""What systemd would do with a unit, as far as a command can: account, capabilities, environment, read-only system."""

import shlex
from dataclasses import dataclass

from tests.ansible.namespaces import Machine

READ_ONLY = """
mount -o remount,bind,ro / && mount -t tmpfs tmpfs /tmp
mount --bind "$STATE" "$STATE" && mount -o remount,bind,rw "$STATE" && cd "$DIRECTORY" && umask "$UMASK" && exec "$@"
"""
"""ProtectSystem=strict, PrivateTmp and StateDirectory, in a mount namespace of the program's own."""


@dataclass(frozen=True, slots=True)
class Unit:
    """The [Service] section of a unit file; a setting that comes several times keeps every value."""

    settings: dict[str, list[str]]

    @classmethod
    def read(cls, machine: Machine, name: str) -> "Unit":
        settings: dict[str, list[str]] = {}
        section = ""
        for line in machine.read(f"/etc/systemd/system/{name}.service").splitlines():
            if line.startswith("["):
                section = line
            elif section == "[Service]" and "=" in line:
                key, _, value = line.partition("=")
                settings.setdefault(key, []).append(value)
        return cls(settings)

    def one(self, key: str) -> str:
        (value,) = self.settings[key]
        return value

    def environment(self, machine: Machine) -> list[str]:
        """``NAME=value`` of Environment= and EnvironmentFile=, as systemd reads plain lines."""
        lines = list(self.settings.get("Environment", []))
        for path in self.settings.get("EnvironmentFile", []):
            lines += [line for line in machine.read(path).splitlines() if line and not line.startswith("#")]
        return lines

    def privileges(self) -> list[str]:
        """setpriv's options for the account, its capabilities, and no way to more of them."""
        capabilities = self.settings.get("AmbientCapabilities", [""])[0].split()
        given = ",".join(["-all", *(f"+{name.removeprefix('CAP_').lower()}" for name in capabilities)])
        account = [f"--reuid={self.one('User')}", f"--regid={self.one('Group')}", "--init-groups"]
        assert self.one("NoNewPrivileges") == "true"
        assert self.one("CapabilityBoundingSet").split() == capabilities
        return [*account, "--no-new-privs", f"--inh-caps={given}", f"--ambient-caps={given}", f"--bounding-set={given}"]

    def command(self, machine: Machine) -> list[str]:
        """ExecStart as systemd would run it on that machine."""
        assert self.one("ProtectSystem") == "strict"
        places = {"STATE": f"/var/lib/{self.one('StateDirectory')}", "DIRECTORY": self.one("WorkingDirectory")}
        settings = [f"{name}={value}" for name, value in (places | {"UMASK": self.one("UMask")}).items()]
        confine = ["env", *settings, "unshare", "--mount", "sh", "-c", READ_ONLY, "sh"]
        environment = ["env", "-i", "PATH=/usr/bin:/bin", "LANG=C.UTF-8", *self.environment(machine)]
        start = shlex.split(self.one("ExecStart"))
        return [*confine, "setpriv", *self.privileges(), *environment, *start]
