"""Public suffixes: names under which anybody registers (``com``, ``gouv.fr``). Blocking one blocks strangers."""

from functools import cache

from publicsuffixlist import PublicSuffixList


@cache
def icann_suffixes() -> PublicSuffixList:
    """The list's ICANN part. Its other part holds platforms (blogspot.com), which a list may well mean to name."""
    return PublicSuffixList(only_icann=True)


def is_public_suffix(name: str) -> bool:
    """Whether the name itself, lower-case, is a public suffix."""
    return bool(icann_suffixes().is_public(name))
