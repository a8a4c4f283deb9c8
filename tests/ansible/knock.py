"""Try a door: ``python knock.py tcp|udp ADDRESS PORT`` prints ``open``, or the error's name (``ECONNREFUSED``…)."""

import errno
import socket
import sys

QUESTION = bytes.fromhex("abcd01000001000000000000") + b"\x05ecole\x04test\x00\x00\x01\x00\x01"


def knock(kind: str, address: str, port: int) -> str:
    """A TCP connection, or a DNS question that must be answered over UDP."""
    with socket.socket(type=socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as door:
        door.settimeout(3)
        try:
            door.connect((address, port))
            if kind == "udp":
                door.send(QUESTION)
                door.recv(512)
        except TimeoutError:
            return "silence"
        except OSError as error:
            return errno.errorcode[error.errno or 0]
    return "open"


if __name__ == "__main__":
    print(knock(sys.argv[1], sys.argv[2], int(sys.argv[3])))
