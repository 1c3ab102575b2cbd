# Sockets of libzmq by pyzmq, driven by lines of JSON: one command in, one answer out. It knows
# nothing of the project: what it can say is what the library can.
import json
import sys
import zmq

context = zmq.Context()
sockets = {}
block = bytes(i % 251 for i in range(251 * 64))


def body(size):
    return (block * (size // len(block) + 1))[:size]


def open_socket(name, type, options, bind=None, connect=None):
    socket = context.socket(getattr(zmq, type))
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDTIMEO, 5000)  # one that was refused for good would wait for ever
    for option, value in options.items():
        socket.setsockopt(getattr(zmq, option), value.encode() if isinstance(value, str) else value)
    if bind:
        socket.bind(bind)
    if connect:
        socket.connect(connect)
    sockets[name] = socket


def receive(socket, count, ms):
    got = []
    while len(got) < count and socket.poll(ms):
        got.append(socket.recv_multipart(copy=True))
    return got


def run(ask):
    op = ask["op"]
    if op == "open":
        open_socket(ask["name"], ask["type"], ask.get("options", {}), ask.get("bind"), ask.get("connect"))
        return {}
    socket = sockets[ask["name"]]
    if op == "send":
        sent = 0
        try:
            for _ in range(ask.get("times", 1)):
                socket.send_multipart([bytes.fromhex(frame) for frame in ask["frames"]])
                sent += 1
        except zmq.Again:
            pass  # the answer tells
        return {"sent": sent}
    if op == "receive":  # how many frames, how long each is, and the first bytes
        got = receive(socket, ask["count"], ask["ms"])
        return {"messages": [[[len(f), f[:32].hex()] for f in frames] for frames in got]}
    if op == "sizes":  # each size there and back, compared whole
        wrong = []
        for size in ask["sizes"]:
            socket.send(body(size))
            got = receive(socket, 1, ask["ms"])
            if got != [[body(size)]]:
                wrong.append(size)
        return {"wrong": wrong}
    if op == "numbers":  # sends numbered messages and receives as many, whichever comes
        count, got, sent = ask["count"], [], 0
        while len(got) < count:
            if sent < count and socket.poll(0, zmq.POLLOUT):
                socket.send(str(sent).encode())
                sent += 1
            elif not socket.poll(ask["ms"] if sent == count else 10):
                if sent == count:
                    break
            while len(got) < count and socket.poll(0):
                got.append(int(socket.recv()))
        return {"numbers": got}
    if op == "echo":  # a ROUTER that sends back what it hears
        done = 0
        while done < ask["count"] and socket.poll(ask["ms"]):
            socket.send_multipart(socket.recv_multipart(copy=False), copy=False)
            done += 1
        return {"done": done}
    if op == "close":
        socket.close(ask.get("linger", 0))
        del sockets[ask["name"]]
        return {}
    raise ValueError(op)


print("ready", flush=True)
for line in sys.stdin:
    print(json.dumps(run(json.loads(line))), flush=True)
context.destroy(linger=0)
