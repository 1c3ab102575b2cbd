// A router as a process of its own, to be crowded: its arguments are the endpoint, how many
// connections it takes, and the transport. It says "ready", sends back what it hears, and tells its
// counters when asked "?".
import { transportNamed } from "../../src/wire/wire.ts";
import { openStage } from "../fakes/wire-stage.ts";

const [endpoint = "", connectionsMax = "", name = ""] = process.argv.slice(2);
const transport = transportNamed(name === "zmtp" ? "zmtp" : "zeromq");
const stage = await openStage(transport, endpoint, {
  connectionsMax: Number(connectionsMax),
  onMessage: (peer, frames) => {
    const isAsked = String(frames[0]) === "?";
    const counters = Buffer.from(JSON.stringify(stage.router.counters));
    stage.router.send(peer, isAsked ? [counters] : frames);
  },
});
process.stdout.write("ready\n");
