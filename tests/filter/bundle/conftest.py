"""A names file of everything, the same signed, and a policy."""

import pytest

from filter.compiler import compile_policy
from tests.filter.bundles import KEY, write_everything
from tests.filter.conftest import NOON, SCHOOL


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_everything(tmp_path_factory.mktemp("bundle") / "names")


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_everything(tmp_path_factory.mktemp("bundle") / "names", signed=True)


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("bundle") / "policy"
    compile_policy(SCHOOL, path, serial=9, compiled_at=NOON, names_digest="ab" * 32, sign=KEY.sign)
    return path.read_bytes()
