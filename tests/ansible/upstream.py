"""The resolver out there: answers every A question with one address, over UDP and TCP; and listens on 853 and 443.

Started as a program in the namespace that stands for the internet: ``python upstream.py ADDRESS…``. It prints
``ready`` once it listens everywhere.
"""

import asyncio
import contextlib
import sys
from typing import cast

from dnslib import QTYPE, RR, A, DNSRecord

ANSWER = "203.0.113.7"


def answer(query: bytes) -> bytes:
    """The address for A, nothing for other types."""
    record = DNSRecord.parse(query)
    reply = record.reply()
    if record.q.qtype == QTYPE.A:
        reply.add_answer(RR(record.q.qname, rdata=A(ANSWER), ttl=60))
    packed: bytes = reply.pack()
    return packed


class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)  # Python 3.11's has another base class

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.transport.sendto(answer(data), address)


async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One question of a TCP connection, or none, then close."""
    with contextlib.suppress(asyncio.IncompleteReadError):  # somebody who only knocked
        reply = answer(await reader.readexactly(int.from_bytes(await reader.readexactly(2))))
        writer.write(len(reply).to_bytes(2) + reply)
        await writer.drain()
    writer.close()


async def main(addresses: list[str]) -> None:
    loop = asyncio.get_running_loop()
    for address in addresses:
        for port in (53, 853):
            await loop.create_datagram_endpoint(Datagrams, local_addr=(address, port))
        for port in (53, 853, 443):
            await asyncio.start_server(converse, address, port)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
