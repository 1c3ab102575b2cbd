# A worker that speaks the words of the Go plantd: commands are ASCII words, an empty frame goes in
# front of what is sent and not of what comes back, none stands between address and reply.
import time

import zmq

from serving import given, replies, say

HEADER = b"MDPW02"


class Worker:
    def __init__(self, task):
        self.task = task
        self.heartbeat_s = task.get("heartbeatMs", 2500) / 1000
        self.lives = task.get("liveness", 3)
        self.context = zmq.Context.instance()
        self.socket = None
        self.connect()

    def connect(self):
        if self.socket is not None:
            self.socket.close(linger=0)
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.connect(self.task["endpoint"])
        self.send(b"READY", self.task["service"].encode())
        self.left = self.lives
        self.beat_at = time.monotonic() + self.heartbeat_s
        say(event="ready")

    def send(self, word, *frames):
        self.socket.send_multipart([b"", HEADER, word, *frames])

    def run(self):
        while True:
            if self.socket.poll(self.heartbeat_s * 1000):
                self.left = self.lives
                header, word, *rest = self.socket.recv_multipart()
                if header != HEADER:
                    say(event="unknown", command=header.hex())
                elif word == b"REQUEST":
                    client, empty, *body = rest
                    assert empty == b""
                    for is_final, reply in replies(self.task, body):
                        self.send(b"FINAL" if is_final else b"PARTIAL", client, *reply)
                elif word == b"DISCONNECT":
                    say(event="disconnected")
                    self.connect()
                elif word != b"HEARTBEAT":
                    say(event="unknown", command=word.hex())
            else:
                self.left -= 1
                if self.left == 0:
                    say(event="silence")
                    self.connect()
            if time.monotonic() >= self.beat_at:
                self.send(b"HEARTBEAT")
                self.beat_at = time.monotonic() + self.heartbeat_s


if __name__ == "__main__":
    Worker(given()).run()
