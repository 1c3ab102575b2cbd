# What the foreign clients share: what they ask, and whether the answers are right.
# It must not know any dialect.
import json
import os
import sys


class Broken(Exception):
    """A message that the dialect does not know."""


def given():
    """The one argument: what to do, as JSON."""
    return json.loads(sys.argv[1])


def say(**what):
    print(json.dumps(what), flush=True)


def question(kind, service, number):
    """The body of a request: two frames nobody else sends, or an operation with its arguments."""
    mark = "%s %d %d" % (service, os.getpid(), number)
    if kind == "operation":
        return [b"echo", json.dumps({"mark": mark}).encode()]
    if kind in ("stream", "joined"):
        return [b"%d" % (number % 5), mark.encode()]
    return [mark.encode(), os.urandom(number % 200)]


def parts_of(kind, body):
    """The partial replies to expect, in order."""
    if kind != "stream":
        return []
    return [[b"part", b"%d" % at] for at in range(int(body[0]))]


def is_right(kind, body, reply):
    """Whether the last reply is the one to this request."""
    if kind == "joined":
        return reply == joined(body)
    if kind != "operation":
        return reply == body
    if len(reply) != 1:
        return False
    answer = json.loads(reply[0])
    return answer.get("success") is True and answer.get("data") == json.loads(body[1])


def joined(body):
    """Parts and last reply in one row of frames, where a dialect has one reply only."""
    return [frame for part in parts_of("stream", body) for frame in part] + body


def call_all(ask, ask_once):
    """Operations as the services of a gateway take them, one after the other; says each answer."""
    for operation, arguments in ask["calls"]:
        answer = ask_once([operation.encode(), json.dumps(arguments).encode()])
        say(operation=operation, answer=None if answer is None else json.loads(answer[1][0]))


def ask_all(ask, ask_once):
    """Asks as often as told, by a function from a body to (partial replies, last reply)."""
    kind, service = ask.get("kind", "frames"), ask["service"]
    if kind == "call":
        return call_all(ask, ask_once)
    right = 0
    for number in range(ask.get("count", 1)):
        body = question(kind, service, number)
        answer = ask_once(body)
        if answer is not None and answer[0] == parts_of(kind, body):
            right += is_right(kind, body, answer[1])
    say(service=service, right=right)
