# A worker of MDP/0.1, written from the text of RFC 7 and in the manner of the guide: silence is
# counted in missed polls, and a lost broker is tried again after a pause that grows.
import time

import zmq

from serving import given, replies, say

HEADER = b"MDPW01"
READY, REQUEST, REPLY, HEARTBEAT, DISCONNECT = (bytes([at]) for at in range(1, 6))


class Worker:
    def __init__(self, task):
        self.task = task
        self.heartbeat_s = task.get("heartbeatMs", 2500) / 1000
        self.lives = task.get("liveness", 3)
        self.first_pause_s = task.get("reconnectMs", 100) / 1000
        self.pause_s = self.first_pause_s
        self.context = zmq.Context.instance()
        self.socket = None
        self.connect()

    def connect(self):
        if self.socket is not None:
            self.socket.close(linger=0)
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.connect(self.task["endpoint"])
        self.send(READY, self.task["service"].encode())
        self.left = self.lives
        self.beat_at = time.monotonic() + self.heartbeat_s
        say(event="ready")

    def send(self, command, *frames):
        self.socket.send_multipart([b"", HEADER, command, *frames])

    def next_request(self):
        """Waits for work; keeps the conversation with the broker alive meanwhile."""
        while True:
            if self.socket.poll(self.heartbeat_s * 1000):
                self.left = self.lives
                self.pause_s = self.first_pause_s
                empty, header, command, *rest = self.socket.recv_multipart()
                if empty != b"" or header != HEADER:
                    say(event="unknown", command=command.hex())
                elif command == REQUEST:
                    client, delimiter, *body = rest
                    assert delimiter == b""
                    return client, body
                elif command == DISCONNECT:
                    say(event="disconnected")
                    self.connect()
                elif command != HEARTBEAT:
                    say(event="unknown", command=command.hex())
            else:
                self.left -= 1
                if self.left == 0:
                    say(event="silence")
                    time.sleep(self.pause_s)
                    self.pause_s = min(2 * self.pause_s, 5)
                    self.connect()
            if time.monotonic() >= self.beat_at:
                self.send(HEARTBEAT)
                self.beat_at = time.monotonic() + self.heartbeat_s

    def run(self):
        while True:
            client, body = self.next_request()
            frames = [frame for _, reply in replies(self.task, body) for frame in reply]
            self.send(REPLY, client, b"", *frames)


if __name__ == "__main__":
    Worker(given()).run()
