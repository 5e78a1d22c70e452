"""Process 1 of a sandbox: holds its namespaces until the other end of a socket is closed.

python3 holder.py DESCRIPTOR    brings loopback up, listens on a port of it, and sends that
                                listening socket to the other end
"""

import fcntl
import signal
import socket
import struct
import sys

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def bring_up(interface: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh22x", interface, 0)
        flags = struct.unpack("16sh22x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh22x", interface, flags | IFF_UP))


def main() -> None:
    # Orphans become children of process 1, which must not keep them as zombies.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    bring_up(b"lo")
    with socket.socket(fileno=int(sys.argv[1])) as outside, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        socket.send_fds(outside, [b"ready"], [listener.fileno()])
        outside.recv(1)


if __name__ == "__main__":
    main()
