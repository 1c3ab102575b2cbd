# A worker of MDP/0.2, written from the text of RFC 18: one thread, one DEALER, heartbeats both ways,
# a new socket after DISCONNECT or when the broker is silent.
import time

import zmq

from serving import given, replies, say

HEADER = b"MDPW02"
READY, REQUEST, PARTIAL, FINAL, HEARTBEAT, DISCONNECT = (bytes([at]) for at in range(1, 7))


def now_ms():
    return time.monotonic() * 1000


class Worker:
    def __init__(self, task):
        self.task = task
        self.heartbeat_ms = task.get("heartbeatMs", 1000)
        self.liveness = task.get("liveness", 4)
        self.delimiter = [b""] if task.get("shape") == "enveloped" else []
        self.context = zmq.Context.instance()
        self.socket = None
        self.connect()

    def connect(self):
        if self.socket is not None:
            self.socket.close(linger=0)
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.connect(self.task["endpoint"])
        self.send(READY, self.task["service"].encode())
        self.heard_ms = now_ms()
        say(event="ready")

    def send(self, command, *frames):
        self.socket.send_multipart([*self.delimiter, HEADER, command, *frames])
        self.said_ms = now_ms()

    def receive(self):
        frames = self.socket.recv_multipart()
        if self.delimiter and frames.pop(0) != b"":
            return None
        return frames if len(frames) >= 2 and frames[0] == HEADER else None

    def run(self):
        while True:
            pause_ms = max(0, self.said_ms + self.heartbeat_ms - now_ms())
            if self.socket.poll(pause_ms):
                frames = self.receive()
                if frames is None:
                    continue
                self.heard_ms = now_ms()
                command = frames[1]
                if command == REQUEST:
                    self.work(frames[2], frames[3], frames[4:])
                elif command == DISCONNECT:
                    say(event="disconnected")
                    self.connect()
                elif command != HEARTBEAT:
                    say(event="unknown", command=command.hex())
            elif now_ms() - self.heard_ms > self.liveness * self.heartbeat_ms:
                say(event="silence")
                self.connect()
            if now_ms() - self.said_ms >= self.heartbeat_ms:
                self.send(HEARTBEAT)

    def work(self, client, empty, body):
        if empty != b"":
            say(event="unknown", command="no delimiter")
            return
        for is_final, reply in replies(self.task, body):
            self.send(FINAL if is_final else PARTIAL, client, b"", *reply)


if __name__ == "__main__":
    Worker(given()).run()
