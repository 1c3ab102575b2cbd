# A client of MDP/0.2, written from the text of RFC 18: one request at a time, polling, and a new
# socket when there is no answer. Also in the two shapes other libraries give it: on REQ, and on a
# DEALER that keeps the empty frame.
import zmq

from asking import Broken, ask_all, given, say

HEADER = b"MDPC02"
REQUEST, PARTIAL, FINAL = b"\x01", b"\x02", b"\x03"


class Client:
    def __init__(self, endpoint, shape="dealer", timeout_ms=5000, retries=3):
        self.context = zmq.Context.instance()
        self.endpoint = endpoint
        self.shape = shape
        self.timeout_ms = timeout_ms
        self.retries = retries
        self.resent = 0
        self.socket = None
        self.open()

    def open(self):
        if self.socket is not None:
            self.socket.close(linger=0)
        self.socket = self.context.socket(zmq.REQ if self.shape == "req" else zmq.DEALER)
        self.socket.connect(self.endpoint)

    def send(self, frames):
        self.socket.send_multipart([b"", *frames] if self.shape == "enveloped" else frames)

    def receive(self):
        frames = self.socket.recv_multipart()
        if self.shape == "enveloped":
            if frames.pop(0) != b"":
                raise Broken("no empty frame in front")
        return frames

    def ask(self, service, body):
        """Returns (partial replies, last reply); None when nobody answers."""
        for attempt in range(1 + self.retries):
            if attempt > 0:
                self.resent += 1
                self.open()
            self.send([HEADER, REQUEST, service, *body])
            parts = []
            while self.socket.poll(self.timeout_ms):
                header, command, name, *reply = self.receive()
                if header != HEADER or name != service or len(reply) == 0:
                    raise Broken(repr((header, command, name, reply)))
                if command == FINAL:
                    return parts, reply
                if command != PARTIAL:
                    raise Broken(repr(command))
                parts.append(reply)
        return None


def main():
    task = given()
    client = Client(
        task["endpoint"], task.get("shape", "dealer"), task.get("timeoutMs", 5000), task.get("retries", 3)
    )
    for ask in task["asks"]:
        service = ask["service"].encode()
        ask_all(ask, lambda body: client.ask(service, body))
    say(event="done", resent=client.resent)


if __name__ == "__main__":
    main()
