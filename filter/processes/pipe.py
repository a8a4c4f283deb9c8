"""Messages between the supervisor and a worker: msgpack, behind four bytes of length, over a pair of sockets."""

import asyncio
import socket
import struct
from typing import Self

import msgspec

LENGTH = struct.Struct("!I")
LARGEST = 256 << 20
"""Bytes of a message; measures are the longest."""

Message = dict[str, object]


class Pipe:
    """One end. Whoever holds it is of our own kind: what comes is believed."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, sock: socket.socket) -> Self:
        reader, writer = await asyncio.open_unix_connection(sock=sock)
        return cls(reader, writer)

    def send(self, message: Message) -> None:
        """Never waits; what the other end is too dead to read is dropped with the pipe."""
        data = msgspec.msgpack.encode(message)
        if not self.writer.is_closing():
            self.writer.write(LENGTH.pack(len(data)) + data)

    async def receive(self) -> Message | None:
        """The next message; None when the other end is gone."""
        try:
            (length,) = LENGTH.unpack(await self.reader.readexactly(LENGTH.size))
            return msgspec.msgpack.decode(await self.reader.readexactly(length), type=Message)
        except (asyncio.IncompleteReadError, OSError):
            return None

    def close(self) -> None:
        self.writer.close()
