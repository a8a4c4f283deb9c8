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
    places: tuple[tuple[Listening, ...], ...]
    """For each worker those that it answers on: a UDP socket of its own for each address, the others shared."""
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
    shared = take_passed(environ)
    shared += [bind(Kind.TCP, endpoint) for endpoint in config.listen]
    shared += [bind(Kind.TLS, endpoint) for endpoint in config.listen_tls]
    shared += [bind(Kind.HTTPS, endpoint) for endpoint in config.listen_https]
    count = max(config.workers, 1)
    own = [[bind(Kind.UDP, endpoint, is_shared=count > 1) for endpoint in config.listen] for _ in range(count)]
    bound = Bound(
        answering=(*shared, *(each for sockets in own for each in sockets)),
        places=tuple((*sockets, *shared) for sockets in own),
        block_page=bind(Kind.TCP, config.block_page) if config.block_page else None,
        metrics=bind(Kind.TCP, config.metrics) if config.metrics else None,
    )
    allow_files()
    if config.user is not None:
        drop_to(config.user)
    return bound
