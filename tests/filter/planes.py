"""The compiled plane, or a skip where it was not compiled."""

import pytest

__all__ = ["Plane"]
Plane = pytest.importorskip("filter.plane._plane", reason="the plane is not compiled: a C compiler is needed").Plane
