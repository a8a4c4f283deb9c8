"""The one compiled part: the filter's plane. Without a compiler the installation goes on, and the filter in Python."""

from glob import glob

from setuptools import Extension, setup

PLANE = Extension(
    "filter.plane._plane",
    sources=sorted(glob("filter/plane/*.c")),
    depends=sorted(glob("filter/plane/*.h")),
    define_macros=[("_GNU_SOURCE", "1")],
    extra_compile_args=["-std=c11", "-O3", "-fno-strict-aliasing", "-pthread"],
    extra_link_args=["-pthread"],
    optional=True,
)

setup(ext_modules=[PLANE])
