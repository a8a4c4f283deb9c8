"""Merging what each layer says into one state, remembering who said it. Pure."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TypeAlias

from agent.protocol import Bookmark, BrowserPolicy, DesiredState, DnsSettings, Shortcut
from fleet.configuration.resources import Browser, Dns, Resource, Shortcuts

Value: TypeAlias = Shortcut | Bookmark | str | bool | tuple[str, ...] | None
"""What a path holds; None takes away what a lower layer put there."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One voice: ``name`` for programs ("department", "ent", "school", "device"), ``label`` for people."""

    name: str
    label: str
    entries: tuple[tuple[str, Value], ...] = ()


@dataclass(frozen=True, slots=True)
class Explained:
    """One value of the merged state, and the layer that had the last word on it."""

    path: str  # "shortcuts.ent", "browser.home_page", "dns.servers"
    value: Value
    layer: str
    label: str
    overrides: tuple[str, ...] = ()  # labels of the layers that also spoke, lowest first


@dataclass(frozen=True, slots=True)
class Merged:
    """Every path with its last word, in the order in which paths first appeared."""

    paths: dict[str, Explained] = field(default_factory=dict)

    def get(self, path: str) -> Value:
        found = self.paths.get(path)
        return found.value if found else None

    def below(self, prefix: str) -> list[Value]:
        return [e.value for path, e in self.paths.items() if path.startswith(f"{prefix}.")]


def entries_of(resource: Resource) -> Iterable[tuple[str, Value]]:
    """What a stored resource says, path by path."""
    match resource:
        case Shortcuts():
            yield from ((f"shortcuts.{i.key}", Shortcut(i.key, i.title, i.url)) for i in resource.items)
            yield from ((f"shortcuts.{key}", None) for key in resource.hidden)
        case Browser():
            yield from (("browser.managed", resource.managed),) if resource.managed is not None else ()
            yield from (("browser.home_page", resource.home_page),) if resource.home_page is not None else ()
            yield from (("browser.doh", resource.doh),) if resource.doh is not None else ()
            yield from ((f"browser.bookmarks.{i.url}", Bookmark(i.title, i.url)) for i in resource.bookmarks)
        case Dns():
            yield from (("dns.managed", resource.managed),) if resource.managed is not None else ()
            yield from (("dns.servers", tuple(resource.servers)),) if resource.servers is not None else ()
            yield from (("dns.search", tuple(resource.search)),) if resource.search is not None else ()


def merge(layers: Sequence[Layer]) -> Merged:
    """Let each layer speak in turn, the most specific last."""
    paths: dict[str, Explained] = {}
    for layer in layers:
        for path, value in layer.entries:
            before = paths.get(path)
            overrides = (*before.overrides, before.label) if before else ()
            paths[path] = Explained(path, value, layer.name, layer.label, overrides)
    return Merged(paths)


def build(merged: Merged, *, doh_template: str, ca_certificates: tuple[str, ...]) -> DesiredState:
    """The document that a device receives. The same input gives the same revision, whatever the machine."""
    state = DesiredState(
        revision="",
        shortcuts=tuple(s for s in merged.below("shortcuts") if isinstance(s, Shortcut)),
        browser=_browser(merged, doh_template, ca_certificates),
        dns=_dns(merged),
    )
    return replace(state, revision=revision_of(state))


def revision_of(state: DesiredState) -> str:
    """16 hex characters of the SHA-256 of what the state says.

    What it leaves at its default is not hashed: a resource that a later version adds changes no device's revision
    until somebody sets it.
    """
    said = _without_defaults(asdict(replace(state, revision="")))
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _without_defaults(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_defaults(inner) for key, inner in value.items() if inner not in (None, "", ())}
    return [_without_defaults(inner) for inner in value] if isinstance(value, tuple | list) else value


def _browser(merged: Merged, doh_template: str, ca_certificates: tuple[str, ...]) -> BrowserPolicy | None:
    if not merged.get("browser.managed"):
        return None
    template = doh_template if merged.get("browser.doh") else ""
    home_page = merged.get("browser.home_page")
    return BrowserPolicy(
        home_page=home_page if isinstance(home_page, str) else "",
        bookmarks=tuple(b for b in merged.below("browser.bookmarks") if isinstance(b, Bookmark)),
        doh_template=template,
        ca_certificates=ca_certificates if template else (),
    )


def _dns(merged: Merged) -> DnsSettings | None:
    if not merged.get("dns.managed"):
        return None
    servers, search = merged.get("dns.servers"), merged.get("dns.search")
    return DnsSettings(
        servers=servers if isinstance(servers, tuple) else (), search=search if isinstance(search, tuple) else ()
    )
