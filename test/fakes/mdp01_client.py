# A client of MDP/0.1, written from the text of RFC 7: on REQ, one request at a time with a few
# tries, or on DEALER with the empty frame made by hand and many requests under way.
import zmq

from asking import Broken, given, is_right, question, say

HEADER = b"MDPC01"


class Client:
    """Synchronous: asks, waits, and starts anew on another socket when nothing comes."""

    window = 1

    def __init__(self, endpoint, timeout_ms, retries):
        self.endpoint = endpoint
        self.timeout_ms = timeout_ms
        self.retries = retries
        self.resent = 0
        self.context = zmq.Context.instance()
        self.socket = None
        self.open(zmq.REQ)

    def open(self, kind):
        if self.socket is not None:
            self.socket.close(linger=0)
        self.socket = self.context.socket(kind)
        self.socket.connect(self.endpoint)

    def ask(self, service, body):
        for attempt in range(1 + self.retries):
            if attempt > 0:
                self.resent += 1
                self.open(zmq.REQ)
            self.socket.send_multipart([HEADER, service, *body])
            if self.socket.poll(self.timeout_ms):
                return check(self.socket.recv_multipart(), service)
        return None

    def ask_all(self, service, bodies):
        return [self.ask(service, body) for body in bodies]


class AsynchronousClient(Client):
    """Sends many, takes the replies as they come: with one worker, in order."""

    def __init__(self, endpoint, timeout_ms, retries):
        super().__init__(endpoint, timeout_ms, retries)
        self.open(zmq.DEALER)

    def ask_all(self, service, bodies):
        answers = []
        sent = 0
        while len(answers) < len(bodies):
            while sent < len(bodies) and sent - len(answers) < 50:
                self.socket.send_multipart([b"", HEADER, service, *bodies[sent]])
                sent += 1
            if not self.socket.poll(self.timeout_ms):
                break
            empty, *frames = self.socket.recv_multipart()
            if empty != b"":
                raise Broken("no empty frame in front")
            answers.append(check(frames, service))
        return answers


def check(frames, service):
    header, name, *reply = frames
    if header != HEADER or name != service or len(reply) == 0:
        raise Broken(repr(frames))
    return reply


def main():
    task = given()
    make = AsynchronousClient if task.get("shape") == "dealer" else Client
    client = make(task["endpoint"], task.get("timeoutMs", 2500), task.get("retries", 3))
    for ask in task["asks"]:
        kind = ask.get("kind", "frames")
        bodies = [question(kind, ask["service"], at) for at in range(ask.get("count", 1))]
        answers = client.ask_all(ask["service"].encode(), bodies)
        right = sum(
            answer is not None and is_right(kind, body, answer)
            for body, answer in zip(bodies, answers)
        )
        say(service=ask["service"], right=right)
    say(event="done", resent=client.resent)


if __name__ == "__main__":
    main()
