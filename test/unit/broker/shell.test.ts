// The broker's shell between decisions, sockets and clock, on sockets the test holds itself.
import assert from "node:assert/strict";
import { test } from "node:test";
import { startBroker } from "../../../src/broker/broker.ts";
import { type Frames, plant } from "../../../src/mdp/mdp.ts";
import { openLog } from "../../../src/util/log.ts";
import { seededRandom } from "../../../src/util/random.ts";
import type { RouterOptions, Transport } from "../../../src/wire/wire.ts";
import { smallSettings } from "../../fakes/broker.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { rfc18 } from "../../fakes/foreign-peers.ts";
import { noCounts } from "../../fakes/wire.ts";

const listener = { principal: "driver", endpoint: "ipc:///b" };
const text = (value: string) => Buffer.from(value);

/** A started broker whose sockets are the test's hands. */
async function start(canPause = true) {
  const clock = fakeClock();
  const lines: string[] = [];
  const sent: { peer: string; frames: Frames }[] = [];
  const paused: string[] = [];
  let options: RouterOptions | undefined;
  let onSend = (_: string) => {};
  const transport: Transport = {
    async bindRouter(_, given) {
      options = given;
      return {
        listeners: given.listeners,
        counters: noCounts,
        ended: new Promise(() => {}),
        send(peer, frames) {
          sent.push({ peer, frames });
          onSend(peer);
        },
        pause(peer) {
          paused.push(`pause ${peer}`);
          return canPause;
        },
        resume: (peer) => paused.push(`resume ${peer}`),
        close() {},
        async [Symbol.asyncDispose]() {},
      };
    },
    connectDealer: () => assert.fail("a broker connects to nobody"),
  };
  const log = openLog({ service: "test", level: "warn", write: (line) => lines.push(line) });
  const deps = { clock, log, random: seededRandom(3), transport, version: "9.9.9" };
  const broker = await startBroker(deps, { ...smallSettings, listeners: [listener] });
  await clock.advance(0);
  assert.ok(options !== undefined);
  const { onMessage, onSlow, onDrained, onRefused } = options;
  return {
    broker,
    clock,
    lines,
    sent,
    paused,
    onSlow,
    onDrained,
    onRefused,
    whenSent(act: (peer: string) => void) {
      onSend = act;
    },
    hear: (peer: string, frames: Frames) => onMessage(peer, frames, listener),
    ask(peer: string, remainingMs: number, flags = 0) {
      const head = { id: 1, remainingMs, trace: Buffer.alloc(16), flags };
      const message = { kind: "request", service: "echo", head, body: [text("x")] } as const;
      onMessage(peer, plant.encodeFromClient(message), listener);
    },
  };
}

/** The address of the client in the last message sent, which is a request for RFC 18. */
function lastAddress(sent: readonly { readonly frames: Frames }[]): Uint8Array {
  return sent.at(-1)?.frames[2] ?? Buffer.alloc(0);
}

const ready = rfc18.encodeFromWorker({ kind: "ready", service: "echo" });

test("a deadline that is near wakes a broker that meant to sleep", async () => {
  const { broker, clock, sent, ask } = await start();
  ask("c", 60);
  await clock.advance(99);
  assert.equal(sent.length, 1);
  assert.equal(plant.decodeToClient(sent[0]!.frames).kind, "error");
  await broker[Symbol.asyncDispose]();
});

test("progress grows while the broker's loop goes round", async () => {
  const { broker, clock } = await start();
  const before = broker.progress;
  await clock.advance(4000);
  assert.ok(broker.progress >= before + 4);
  await broker[Symbol.asyncDispose]();
});

test("refusals are logged once per peer and minute, those of the sockets too", async () => {
  const { broker, clock, lines, hear, onRefused } = await start();
  for (let round = 0; round < 3; round += 1) {
    hear("bad", [text("GET / HTTP/1.1")]);
    onRefused("greeting", listener, undefined);
  }
  assert.deepEqual(
    lines.map((line) => JSON.parse(line).fields.reason),
    ["malformed", "greeting"],
  );
  await clock.advance(60_000);
  hear("bad", []);
  onRefused("greeting", listener, undefined);
  assert.equal(lines.length, 4);
  assert.equal(broker.stats().refused.malformed, 4);
  await broker[Symbol.asyncDispose]();
});

test("what a send leads to is decided after what led to the send", async () => {
  const { broker, sent, hear, ask, whenSent, onSlow, onDrained } = await start();
  hear("w", plant.encodeFromWorker({ kind: "ready", service: "echo", concurrency: 9 }));
  whenSent((peer) => onSlow(peer));
  ask("c", 5000);
  ask("d", 5000);
  const requests = () => sent.filter(({ peer, frames }) => peer === "w" && frames.length > 2);
  assert.equal(requests().length, 1, "the worker is slow from the first on");
  whenSent(() => {});
  onDrained("w");
  assert.equal(requests().length, 2);
  await broker[Symbol.asyncDispose]();
});

test("a worker is paused and resumed through the sockets", async () => {
  const { broker, sent, hear, ask, onSlow, onDrained, paused } = await start();
  hear("w", ready);
  ask("c", 60_000, plant.flag.partials);
  const client = lastAddress(sent);
  onSlow("c");
  hear("w", rfc18.encodeFromWorker({ kind: "partial", client, body: [text("p")] }));
  onDrained("c");
  assert.deepEqual(paused, ["pause w", "resume w"]);
  await broker[Symbol.asyncDispose]();
});

test("where sockets cannot pause a worker, a stream beyond its credit is cut", async () => {
  const { broker, sent, hear, ask, paused } = await start(false);
  hear("w", ready);
  ask("c", 60_000, plant.flag.partials | plant.flag.credit);
  const client = lastAddress(sent);
  const part = rfc18.encodeFromWorker({ kind: "partial", client, body: [text("p")] });
  for (let at = 0; at < 6 * plant.creditAtStart; at += 1) hear("w", part);
  assert.deepEqual(paused, ["pause w"]);
  assert.equal(plant.decodeToClient(sent.at(-1)!.frames).kind, "error");
  assert.equal(broker.stats().counters.streamsCut, 1);
  await broker[Symbol.asyncDispose]();
});

test("the broker tells its version, another id at each start, and what the sockets counted", async () => {
  const { broker, sent, hear } = await start();
  const asked = { kind: "request", service: "mmi.broker", body: [] } as const;
  hear("c", rfc18.encodeFromClient(asked));
  const told = JSON.parse(Buffer.from(sent.at(-1)!.frames[3]!).toString());
  assert.equal(told.version, "9.9.9");
  assert.match(told.id, /^[0-9a-f]{16}$/);
  assert.deepEqual(told.wire, JSON.parse(JSON.stringify(noCounts)));
  await broker[Symbol.asyncDispose]();
});
