"""A delta applied beside the filter (see aside)."""

from pathlib import Path

from filter.bundle import BundleRefused
from filter.layout.delta import DeltaRefused, apply_delta
from filter.updates.aside import CutOff, limit_memory, run_aside

LONGEST_SECONDS = 300.0
"""A slow machine takes a minute; beyond this the whole file is fetched."""


async def apply_aside(old: Path, delta: Path, out: Path) -> None:
    """Write the file that a delta makes of an old one; raise DeltaRefused."""
    refusal = out.with_name(f"{out.name}.refused")
    try:
        await run_aside(LONGEST_SECONDS, apply_or_refuse, old, delta, out, refusal)
        if refusal.exists():
            raise DeltaRefused(refusal.read_text("utf-8"))
    except CutOff as error:
        raise DeltaRefused(f"les différences n’ont pas été appliquées : {error}") from error
    finally:
        forget_aside(out)


def apply_or_refuse(old: Path, delta: Path, out: Path, refusal: Path) -> None:
    """In the other process: leave the file, or why there is none."""
    try:
        limit_memory(old.stat().st_size)
        apply_delta(old, delta, out)
    except (DeltaRefused, BundleRefused, OSError) as error:
        refusal.write_text(str(error), "utf-8")
    except MemoryError:
        refusal.write_text("trop de mémoire demandée", "utf-8")


def forget_aside(out: Path) -> None:
    """Remove what a process that was killed left beside the file that it was to write."""
    for left in (out.with_name(f"{out.name}.refused"), *out.parent.glob(f".{out.name}.*.tmp")):
        left.unlink(missing_ok=True)
