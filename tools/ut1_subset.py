"""Makes fleet/demo/data/ut1.tar.xz, the small UT1 set that ships with Préau, from a full UT1 tree.

    python tools/ut1_subset.py UT1_DIRECTORY [OUT]

UT1_DIRECTORY is the tree as Université Toulouse Capitole publishes it (https://dsi.ut-capitole.fr/blacklists/), with
one folder a category; files may be compressed as ``.xz``. The same tree gives the same bytes. The lists
are CC BY-SA 4.0: keep fleet/demo/data/ut1.LICENCE.txt beside the archive and note the date of the tree there.
"""

import io
import json
import lzma
import sys
import tarfile
from pathlib import Path

CATEGORIES = (
    "agressif", "chat", "child", "cryptojacking", "dangerous_material", "dating", "ddos", "dialer", "doh", "drogue",
    "educational_games", "filehosting", "gambling", "games", "hacking", "liste_blanche", "liste_bu", "remote-control",
    "residential-proxies", "sect", "sexual_education", "social_networks", "stalkerware", "tricheur", "vpn", "warez",
)  # fmt: skip
FILES = ("domains", "urls", "expressions", "usage")
OUT = Path(__file__).parent.parent / "fleet" / "demo" / "data" / "ut1.tar.xz"


def read(path: Path) -> bytes | None:
    """The file, or its ``.xz``; None when there is neither."""
    if path.is_file():
        return path.read_bytes()
    packed = path.with_name(f"{path.name}.xz")
    return lzma.decompress(packed.read_bytes()) if packed.is_file() else None


def members(tree: Path) -> dict[str, bytes]:
    """Path in the archive -> content."""
    found = {
        f"ut1/{category}/{name}": content
        for category in CATEGORIES
        for name in FILES
        if (content := read(tree / category / name)) is not None
    }
    if (usage := read(tree / "global_usage")) is not None:
        found["ut1/global_usage"] = usage
    aliases: dict[str, str] = json.loads(read(tree / "aliases.json") or b"{}")
    kept = {name: target for name, target in aliases.items() if target in CATEGORIES}
    found["ut1/aliases.json"] = json.dumps(kept, indent=1, sort_keys=True).encode()
    return found


def pack(content: dict[str, bytes]) -> bytes:
    """A tar.xz without dates or owners."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name in sorted(content):
            member = tarfile.TarInfo(name)
            member.size = len(content[name])
            archive.addfile(member, io.BytesIO(content[name]))
    return lzma.compress(raw.getvalue(), preset=9 | lzma.PRESET_EXTREME)


def main() -> None:
    if len(sys.argv) not in {2, 3}:
        sys.exit(__doc__)
    out = Path(sys.argv[2]) if len(sys.argv) == 3 else OUT
    packed = pack(members(Path(sys.argv[1])))
    out.write_bytes(packed)
    print(f"{out}: {len(packed)} bytes")


if __name__ == "__main__":
    main()
