"""Every socket of one filter, bound before anything else happens: then rights can be given up."""

from collections.abc import MutableMapping
from dataclasses import dataclass

from filter.config import FilterConfig
from filter.serving.privileges import allow_files, drop_to
from filter.serving.sockets import Kind, Listening, bind, take_passed


@dataclass(frozen=True, slots=True)
class Bound:
    """What is bound, and what for."""

    answering: tuple[Listening, ...]
    block_page: Listening | None = None
    metrics: Listening | None = None

    def close(self) -> None:
        for each in (*self.answering, self.block_page, self.metrics):
            if each is not None:
                each.sock.close()


def bind_all(config: FilterConfig, environ: MutableMapping[str, str]) -> Bound:
    """Bind what the config names, beside what systemd hands over; raise PortTaken or UserInvalid.

    From then on the process has the rights of the config's account.
    """
    answering = take_passed(environ)
    for endpoint in config.listen:
        answering += [bind(Kind.UDP, endpoint), bind(Kind.TCP, endpoint)]
    answering += [bind(Kind.TLS, endpoint) for endpoint in config.listen_tls]
    answering += [bind(Kind.HTTPS, endpoint) for endpoint in config.listen_https]
    bound = Bound(
        tuple(answering),
        block_page=bind(Kind.TCP, config.block_page) if config.block_page else None,
        metrics=bind(Kind.TCP, config.metrics) if config.metrics else None,
    )
    allow_files()
    if config.user is not None:
        drop_to(config.user)
    return bound
