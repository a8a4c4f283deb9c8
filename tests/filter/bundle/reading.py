"""Files of the filter as tests read them: opened, refused, looked up."""

import pytest

from filter.bundle import BundleRefused, Member, NamesFile, SignedFile, Verify
from filter.domains import hash_name


def names_of(data: bytes, verify: Verify | None = None) -> NamesFile:
    return NamesFile(memoryview(data), verify)


def reason_of(data: bytes, verify: Verify | None = None, kind: type[SignedFile] = NamesFile) -> str:
    with pytest.raises(BundleRefused) as refusal:
        kind(memoryview(data), verify)
    return refusal.value.reason


def find(names: NamesFile, name: str) -> set[Member]:
    found = names.find_set(hash_name(name.encode(), names.header.key))
    return set() if found is None else set(names.sets[found])
