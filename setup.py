"""The one compiled part: the filter's plane. Without a compiler the installation goes on, and the filter in Python."""

from glob import glob

from setuptools import Extension, setup

OLDEST_PYTHON = "0x030B0000"
"""The stable ABI from 3.11 on: one wheel for every Python of a machine's kind."""
PLANE = Extension(
    "filter.plane._plane",
    sources=sorted(glob("filter/plane/*.c")),
    depends=sorted(glob("filter/plane/*.h")),
    define_macros=[("_GNU_SOURCE", "1"), ("Py_LIMITED_API", OLDEST_PYTHON)],
    extra_compile_args=["-std=c11", "-O3", "-fvisibility=hidden", "-fno-strict-aliasing", "-pthread"],
    extra_link_args=["-pthread"],
    optional=True,
    py_limited_api=True,
)

setup(ext_modules=[PLANE], options={"bdist_wheel": {"py_limited_api": "cp311"}})
