# What the foreign workers share: what they make of a request.
# It must not know any dialect.
import json
import os
import sys
import time


def given():
    """The one argument: what to do, as JSON."""
    return json.loads(sys.argv[1])


def say(**what):
    print(json.dumps(what), flush=True)


def replies(work, body):
    """Yields (is_final, frames) for a request."""
    kind = work["kind"]
    if kind == "stream":
        for at in range(int(body[0])):
            yield False, [b"part", b"%d" % at]
    elif kind == "sleep":
        # One thread for everything: no heartbeat leaves while this goes on.
        say(event="request", body=[frame.decode("latin-1") for frame in body])
        time.sleep(work["sleepMs"] / 1000)
        say(event="answered")
    elif kind == "die":
        say(event="request", body=[frame.decode("latin-1") for frame in body])
        os._exit(9)
    elif kind == "operation":
        data = json.loads(body[1])
        yield True, [json.dumps({"success": True, "data": data}).encode()]
        return
    yield True, body
