"""French typography of templates: no line ever begins with a lonely sign."""

import re

from jinja2.ext import Extension

BEFORE = re.compile(r" (?=[?;»·]|!(?!=)|:(?![\w=]))")
AFTER = re.compile(r"(?<=«) ")
NO_BREAK = "\u00a0"


def unbreakable(text: str) -> str:
    """Hold « » ? ! ; and : to the word beside them."""
    return AFTER.sub(NO_BREAK, BEFORE.sub(NO_BREAK, text))


class Typography(Extension):
    """Applied once, when a template is compiled. No template writes these signs after a space outside a text."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        return unbreakable(source)
