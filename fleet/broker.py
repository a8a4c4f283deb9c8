"""Celery's Redis transport, mended where losing the broker would end the worker."""

from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis
from redis.exceptions import ConnectionError as BrokerLost


class Channel(redis.Channel):
    """A channel that says "connection lost" once its connection was cleared away.

    After a lost broker, Celery 5.7 clears the connection, then closes it. Closing gives unacknowledged messages back
    through a connection that is no more, and kombu 5.7 raises an AttributeError there, which ends the worker. A lost
    connection is an error that Celery expects at this place: it goes on and reconnects, and the messages come back
    from Redis itself after the visibility timeout.
    """

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        if self.connection.client is None:
            raise BrokerLost("the connection was cleared away")
        parameters: dict[str, Any] = super()._connparams(asynchronous)  # type: ignore[misc]  # not in the stubs
        return parameters


class Transport(redis.Transport):
    """Redis and Valkey, with the channel above."""

    Channel = Channel


def mend_redis() -> None:
    """Use this transport for every later ``redis://``, ``rediss://`` and ``redis+socket://`` connection here."""
    TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), f"{__name__}:Transport"))
