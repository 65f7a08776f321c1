"""`-p PORT ping` as the command-line client of Redis answers it, for machines that have the server only."""

from __future__ import annotations

import socket
import sys


def main(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 5) as door:
        door.sendall(b"PING\r\n")
        sys.stdout.write(door.recv(200).decode())


if __name__ == "__main__":
    main(int(sys.argv[sys.argv.index("-p") + 1]))
