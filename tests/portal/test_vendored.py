"""What comes from elsewhere is what tools/vendor.sh fetched, with its licence beside it, and ships with the package."""

import hashlib
import os
import subprocess
from pathlib import Path

from dashboards.portal.rendering import ENVIRONMENT

ROOT = Path(__file__).parents[2]
PORTAL = ROOT / "dashboards" / "portal"


def test_vendored_files_are_those_of_the_list() -> None:
    lines = [line.split(maxsplit=1) for line in (ROOT / "tools/vendor.sha256").read_text().splitlines()]
    listed = {path: digest for digest, path in lines}
    present = {
        str(path.relative_to(ROOT)): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in (PORTAL / "static/vendor", PORTAL / "templates/icons")
        for path in folder.iterdir()
    }
    assert present == listed


def test_licences_are_beside_them() -> None:
    assert "Zero-Clause BSD" in (PORTAL / "static/vendor/htmx.LICENSE").read_text()
    assert "The MIT License" in (PORTAL / "templates/icons/LICENSE").read_text()


def test_the_script_is_a_shell_script_that_runs_anywhere() -> None:
    script = ROOT / "tools/vendor.sh"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["sh", "-n", script], capture_output=True).returncode == 0


def test_every_icon_is_used_and_every_template_compiles() -> None:
    templates = {path.name: path.read_text() for path in (PORTAL / "templates").glob("*.html")}
    for name in templates:
        ENVIRONMENT.get_template(name)
    sources = "".join([*templates.values(), *(path.read_text() for path in PORTAL.glob("*.py"))])
    unused = [icon.stem for icon in (PORTAL / "templates/icons").glob("*.svg") if f'"{icon.stem}"' not in sources]
    assert unused == []
