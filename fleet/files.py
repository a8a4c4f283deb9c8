"""Small files written whole or not at all."""

import os
import secrets
from pathlib import Path


def write_private(path: Path, content: bytes | str, mode: int = 0o600) -> None:
    """Replace a file atomically; it never exists with wider rights or half its content."""
    data = content.encode() if isinstance(content, str) else content
    staging = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        staging.replace(path)
    finally:
        staging.unlink(missing_ok=True)
