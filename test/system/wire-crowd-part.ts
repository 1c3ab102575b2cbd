// A router on libzmq as a process of its own, to be crowded: its arguments are the endpoint and how
// many connections it takes. It says "ready", sends back what it hears, and tells its counters
// when asked "?".
import { zeromqTransport } from "../../src/wire/zeromq-transport.ts";
import { openStage } from "../fakes/wire-stage.ts";

const [endpoint = "", connectionsMax = ""] = process.argv.slice(2);
const stage = await openStage(zeromqTransport, endpoint, {
  connectionsMax: Number(connectionsMax),
  onMessage: (peer, frames) => {
    const isAsked = String(frames[0]) === "?";
    const counters = Buffer.from(JSON.stringify(stage.router.counters));
    stage.router.send(peer, isAsked ? [counters] : frames);
  },
});
process.stdout.write("ready\n");
