"""One adblock rule taken apart: exception or not, what it is about, its modifiers. What they mean is read elsewhere."""

import re
from dataclasses import dataclass

from filter.lists.refused import RuleRefused

COSMETIC = re.compile(r"(?:^|\S)(?:#(?:@|@?[$%?]{1,2})?#|\$@?\$)")
"""``##``, ``#@#``, ``#?#``, ``#$#``, ``#%#``, ``$$``: about what a page shows."""
OPTIONS = re.compile(r"(?<!\\)\$(?=~?[a-z][a-z-]*(?:[=,]|$))")
"""Where modifiers begin: a ``$`` that something like a modifier follows."""
COMMA = re.compile(r"(?<!\\),")
TRAILING_COMMENT = re.compile(r"(\S+)\s+#.*")
Key = tuple[bool, str, frozenset[tuple[str, tuple[str, ...]]]]


@dataclass(frozen=True, slots=True)
class RuleText:
    """The parts of a rule, as written."""

    exception: bool
    """``@@``"""
    mask: str
    """What names it is about."""
    options: tuple[tuple[str, str], ...] = ()
    """(modifier, value), in order."""

    @property
    def disables(self) -> bool:
        """``$badfilter``: it does nothing but take back another rule of its list."""
        return ("badfilter", "") in self.options

    @property
    def key(self) -> Key:
        """What a rule and the ``$badfilter`` that takes it back have in common; the order of modifiers, and of their
        values, does not count."""
        options = frozenset(
            (name, tuple(sorted(value.split("|")))) for name, value in self.options if name != "badfilter"
        )
        return self.exception, self.mask.lower(), options


def split_rule(text: str) -> RuleText:
    """The parts of a line that is neither a comment nor a hosts line. Raises RuleRefused for what is no DNS rule."""
    if COSMETIC.search(text):
        raise RuleRefused("cosmetic_rule")
    if text.startswith("<"):
        raise RuleRefused("html")
    if found := TRAILING_COMMENT.fullmatch(text):
        text = found[1]
    body = text.removeprefix("@@")
    mask, options = split_options(body)
    if not body or (not mask and not options):
        raise RuleRefused("unsupported_syntax")
    return RuleText(body != text, mask, options)


def split_options(body: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """What the rule is about, and its modifiers. The ``$`` inside a regular expression begins none."""
    end = body.find("/$", 1) if body.startswith("/") else -1
    found = OPTIONS.search(body, max(end, 0))
    if found is None:
        return body, ()
    return body[: found.start()], tuple(split_option(option) for option in COMMA.split(body[found.end() :]))


def split_option(option: str) -> tuple[str, str]:
    """Name and value; ``\\,`` and ``\\$`` are what they escape."""
    name, _, value = option.replace("\\,", ",").replace("\\$", "$").partition("=")
    return name.strip(), value.strip()


def cancels(badfilter: str, rule: str) -> bool:
    """Whether a ``$badfilter`` rule takes back that other rule. Raises RuleRefused when one of them is no rule."""
    taking_back = split_rule(badfilter)
    return taking_back.disables and taking_back.key == split_rule(rule).key
