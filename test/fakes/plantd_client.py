# A client that speaks the words of the Go plantd: commands are ASCII words, an empty frame goes in
# front of what is sent and not of what comes back.
import zmq

from asking import Broken, ask_all, given, say

HEADER = b"MDPC02"


class Client:
    def __init__(self, endpoint, timeout_ms, retries):
        self.endpoint = endpoint
        self.timeout_ms = timeout_ms
        self.retries = retries
        self.resent = 0
        self.context = zmq.Context.instance()
        self.socket = None
        self.open()

    def open(self):
        if self.socket is not None:
            self.socket.close(linger=0)
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.connect(self.endpoint)

    def ask(self, service, body):
        for attempt in range(1 + self.retries):
            if attempt > 0:
                self.resent += 1
                self.open()
            self.socket.send_multipart([b"", HEADER, b"REQUEST", service, *body])
            parts = []
            while self.socket.poll(self.timeout_ms):
                header, word, name, *reply = self.socket.recv_multipart()
                if header != HEADER or name != service or len(reply) == 0:
                    raise Broken(repr((header, word, name, reply)))
                if word == b"FINAL":
                    return parts, reply
                if word != b"PARTIAL":
                    raise Broken(repr(word))
                parts.append(reply)
        return None


def main():
    task = given()
    client = Client(task["endpoint"], task.get("timeoutMs", 5000), task.get("retries", 3))
    for ask in task["asks"]:
        service = ask["service"].encode()
        ask_all(ask, lambda body: client.ask(service, body))
    say(event="done", resent=client.resent)


if __name__ == "__main__":
    main()
