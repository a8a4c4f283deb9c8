"""Millions of names to measure with, as a UT1 tree: real ones where they are at hand, labelled synthetic ones else.

``python -m benchmarks.names DIR [--count 5000000]`` writes DIR/<category>/domains. Seeded: always the same files.
"""

import argparse
import lzma
import random
from collections.abc import Iterator
from pathlib import Path

REAL = Path(__file__).resolve().parents[2] / "shared" / "bench" / "dns" / "names" / "blocked-reversed.txt.xz"
"""Five million names of public block lists, labels reversed; kept beside the project, not in it."""
COUNT = 5_000_000
SHARES = {
    "adult": 0.56,
    "malware": 0.12,
    "phishing": 0.12,
    "publicite": 0.08,
    "gambling": 0.05,
    "games": 0.03,
    "social_networks": 0.02,
    "vpn": 0.02,
}
"""Category -> part of the names; the order of UT1's sizes."""
REPEATED = 0.08
"""Part of the names that stands in the next category too, as in real lists."""
SYNTHETIC = ".synthetic.example"


def real_names() -> list[str]:
    """The real names, in no order; none when the file is not there."""
    if not REAL.is_file():
        return []
    with lzma.open(REAL, "rt", encoding="ascii") as file:
        names = [".".join(reversed(line.strip().split("."))) for line in file]
    random.Random(1).shuffle(names)  # the same order each time is what is wanted
    return names


def synthetic_names(count: int) -> Iterator[str]:
    """Names that exist nowhere and say so, about as long as real ones."""
    chance = random.Random(2)
    for number in range(count):
        yield f"{chance.getrandbits(20):05x}{number}.n{number % 997}{SYNTHETIC}"


def pick_names(count: int) -> list[str]:
    """``count`` different names, real ones first."""
    names = real_names()[:count]
    return [*names, *synthetic_names(count - len(names))]


def write_tree(directory: Path, count: int) -> str:
    """Write the lists; return a line that says what they are."""
    names = pick_names(count)
    synthetic = sum(name.endswith(SYNTHETIC) for name in names)
    start, lines, before = 0, 0, list[str]()
    for category, share in SHARES.items():
        part = names[start : start + round(count * share)]
        start += len(part)
        content = before[: round(len(before) * REPEATED)] + part
        folder = directory / category
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "domains").write_text("".join(f"{name}\n" for name in content), "ascii")
        (folder / "usage").write_text("black\n", "ascii")
        lines += len(content)
        before = part
    told = f"{count} names ({count - synthetic} real, {synthetic} synthetic) on {lines} lines of {len(SHARES)} lists"
    (directory / "NOTE").write_text(f"{told}\n", "ascii")
    return told


def tree(directory: Path, count: int = COUNT) -> str:
    """Make the tree unless it is there; return what it holds."""
    note = directory / "NOTE"
    told = note.read_text("ascii").strip() if note.is_file() else ""
    return told if told.startswith(f"{count} names") else write_tree(directory, count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--count", type=int, default=COUNT)
    args = parser.parse_args()
    print(write_tree(args.directory, args.count))


if __name__ == "__main__":
    main()
