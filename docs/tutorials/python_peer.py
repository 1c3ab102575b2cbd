"""A client and a worker of a gateway in Python, by RFC 18 (MDP/0.2). Needs python3-zmq.

python3 python_peer.py work ENDPOINT
python3 python_peer.py ask ENDPOINT SERVICE OPERATION [ARGUMENTS]
"""

import json
import sys
import time

import zmq

HEARTBEAT_S = 1  # broker.heartbeatMs of the gateway
LIVENESS_S = 4  # broker.livenessMs of the gateway


def ask(endpoint, service, operation, arguments, timeout_s=5):
    """Calls an operation and yields the data of each reply; the last one ends it."""
    socket = zmq.Context.instance().socket(zmq.DEALER)
    socket.connect(endpoint)
    body = [operation.encode(), json.dumps(arguments).encode()]
    socket.send_multipart([b"MDPC02", b"\x01", service.encode(), *body])
    try:
        while socket.poll(timeout_s * 1000):
            _, command, _, reply = socket.recv_multipart()
            answer = json.loads(reply)
            if not answer["success"]:
                raise RuntimeError(answer["error"])
            yield answer.get("data")
            if command == b"\x03":  # FINAL; 02 is PARTIAL
                return
        raise TimeoutError(f"no answer from {service}")
    finally:
        socket.close(linger=0)


class Worker:
    """Offers a service: its operations are functions from arguments to data."""

    READY, REQUEST, FINAL, HEARTBEAT, DISCONNECT = b"\x01", b"\x02", b"\x04", b"\x05", b"\x06"

    def __init__(self, endpoint, service, operations):
        self.endpoint, self.service, self.operations = endpoint, service, operations
        self.socket = None

    def connect(self):
        if self.socket is not None:
            self.socket.close(linger=0)
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.connect(self.endpoint)
        self.send(self.READY, self.service.encode())
        self.heard = time.monotonic()

    def send(self, command, *frames):
        self.socket.send_multipart([b"MDPW02", command, *frames])
        self.said = time.monotonic()

    def run(self):
        self.connect()
        while True:
            if self.socket.poll(HEARTBEAT_S * 1000):
                self.heard = time.monotonic()
                _, command, *rest = self.socket.recv_multipart()
                if command == self.REQUEST:
                    client, _, operation, *arguments = rest
                    self.send(self.FINAL, client, b"", self.carry_out(operation, arguments))
                elif command == self.DISCONNECT:
                    print("the broker sent us away; trying again", file=sys.stderr)
                    time.sleep(HEARTBEAT_S)
                    self.connect()
            elif time.monotonic() - self.heard > LIVENESS_S:
                print("the broker is silent; trying again", file=sys.stderr)
                self.connect()
            if time.monotonic() - self.said >= HEARTBEAT_S:
                self.send(self.HEARTBEAT)

    def carry_out(self, operation, arguments):
        try:
            work = self.operations[operation.decode()]
            data = work(json.loads(arguments[0]) if arguments else {})
            return json.dumps({"success": True, "data": data}).encode()
        except Exception as error:  # whatever it is, who asked must hear of it
            told = {"code": "TANK_REFUSED", "message": repr(error), "detail": {}, "retryable": False}
            return json.dumps({"success": False, "error": told}).encode()


def litres(arguments):
    """What stands in an upright tank: level and diameter in metres."""
    area = 3.141592653589793 * (arguments["diameter"] / 2) ** 2
    return {"litres": round(area * arguments["level"] * 1000)}


def health(_):
    return {"status": "pass", "checks": []}


if __name__ == "__main__":
    if len(sys.argv) < (3 if sys.argv[1:2] == ["work"] else 5):
        sys.exit(__doc__)
    if sys.argv[1] == "work":
        Worker(sys.argv[2], "com.example.Tank", {"litres": litres, "health": health}).run()
    endpoint, service, operation, arguments = [*sys.argv[2:], "{}"][:4]
    for data in ask(endpoint, service, operation, json.loads(arguments)):
        print(json.dumps(data))
