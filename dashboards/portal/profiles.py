"""What a tablet takes away from a page: a profile to install, or a QR to scan."""

import segno
from fastapi.responses import Response
from markupsafe import Markup

from fleet.devices.models import Device
from fleet.platforms import apple


def qr_svg(text: str, *, error: str = "m") -> Markup:
    """A QR as inline SVG: paths only, nothing that the content security policy would refuse."""
    code = segno.make_qr(text, error=error, encoding="utf-8" if not text.isascii() else None, boost_error=False)
    svg = code.svg_inline(omitsize=True, border=4, svgclass="qr", lineclass=None, light="#fff")
    return Markup(svg.replace("<svg ", '<svg role="img" aria-label="Code QR" ', 1))  # noqa: S704 - digits and paths


def profile_download(device: Device, content: bytes) -> Response:
    """A signed profile, named after the tablet's label."""
    headers = {
        "Content-Disposition": f'attachment; filename="{device.asset_tag}.mobileconfig"',
        "Cache-Control": "no-store",
    }
    return Response(content, media_type=apple.CONTENT_TYPE, headers=headers)
