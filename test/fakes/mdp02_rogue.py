# A worker of MDP/0.2 that breaks RFC 18 on command. Each line on standard input names a deed; the
# answer is what the broker said to it, heartbeats left out, as far as it came in a while.
import json
import os
import sys

import zmq

from serving import given, say

HEADER = b"MDPW02"
READY, REQUEST, PARTIAL, FINAL, HEARTBEAT, DISCONNECT = (bytes([at]) for at in range(1, 7))


class Rogue:
    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.context = zmq.Context.instance()
        self.socket = None
        self.client = b""

    def open(self):
        if self.socket is not None:
            self.socket.close(linger=0)
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.connect(self.endpoint)

    def send(self, *frames):
        self.socket.send_multipart([HEADER, *frames])

    def next(self, wait_ms=5000):
        """The next command that is no heartbeat."""
        while self.socket.poll(wait_ms):
            frames = self.socket.recv_multipart()
            if frames[1:2] != [HEARTBEAT]:
                return frames
        return None

    def next_request(self):
        frames = self.next()
        assert frames is not None and frames[:2] == [HEADER, REQUEST], frames
        self.client = frames[2]

    def do(self, deed, service):
        """Does a deed on a new socket, and says what it heard."""
        if deed not in ("reply-late", "reply-after-all"):
            self.open()
        getattr(self, deed.replace("-", "_"))(service.encode())
        if deed in ("take", "reply-foreign"):
            say(deed=deed)
            return
        heard = self.next()
        say(deed=deed, heard=None if heard is None else [frame.decode("latin-1") for frame in heard])

    def ready_twice(self, service):
        self.send(READY, service)
        self.send(READY, service)

    def final_when_idle(self, service):
        self.send(READY, service)
        self.send(FINAL, b"12345678", b"", b"nobody asked")

    def heartbeat_before_ready(self, service):
        self.send(HEARTBEAT)

    def final_before_ready(self, service):
        self.send(FINAL, b"12345678", b"", b"nobody asked")

    def ready_for_mmi(self, service):
        self.send(READY, b"mmi.service")

    def garbage(self, service):
        """Nothing of this is MDP; then a heartbeat shows that the broker still reads."""
        for frames in (
            [b""],
            [b"", b""],
            [b"MDPW03", READY, service],
            [HEADER],
            [HEADER, b""],
            [HEADER, b"\x63"],
            [HEADER, READY],
            [HEADER, READY, b""],
            [HEADER, READY, b"with space"],
            [HEADER, READY, b"\xff\xfe"],
            [HEADER, READY, b"x" * 256],
            [HEADER, REQUEST, service, b"x"],
            [HEADER, FINAL],
            [HEADER, FINAL, b"12345678"],
            [HEADER, FINAL, b"12345678", b"not empty", b"x"],
            [HEADER + b"2", READY, service],
            [os.urandom(3), os.urandom(70), os.urandom(1)],
            [b"x"] * 30,
        ):
            self.socket.send_multipart(frames)
        self.send(HEARTBEAT)

    def take(self, service):
        """Takes a request and keeps it."""
        self.send(READY, service)
        self.next_request()

    def reply_foreign(self, service):
        """Takes a request, then answers one that was never given to it."""
        self.send(READY, service)
        self.next_request()
        number = int.from_bytes(self.client, "big")
        for other in (number - 1, number + 1):
            self.send(FINAL, other.to_bytes(len(self.client), "big"), b"", b"forged")
        self.send(FINAL, b"somebody", b"", b"forged")
        self.send(FINAL, self.client, b"", b"honest")

    def reply_late(self, service):
        """Answers what it took, on the socket it took it by."""
        self.send(FINAL, self.client, b"", b"too late")

    def reply_after_all(self, service):
        """The same from a new connection."""
        self.open()
        self.send(FINAL, self.client, b"", b"too late")


def main():
    task = given()
    rogue = Rogue(task["endpoint"])
    say(event="up")
    for line in sys.stdin:
        order = json.loads(line)
        rogue.do(order["deed"], order["service"])


if __name__ == "__main__":
    main()
