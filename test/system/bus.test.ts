// The bus with real sockets and real processes: round trips, foreign peers, deaths, bad frames.
// It must not know what the services of a gateway do.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Dealer } from "zeromq";
import { type Admission, startBroker } from "../../src/broker/broker.ts";
import { startClient } from "../../src/client/client.ts";
import { parseConfig } from "../../src/config/config.ts";
import { type Frames, plant } from "../../src/mdp/mdp.ts";
import type { Code } from "../../src/util/catalogue.ts";
import { systemClock as clock } from "../../src/util/clock.ts";
import { hasCode } from "../../src/util/errors.ts";
import { openLog } from "../../src/util/log.ts";
import { systemRandom as random, seededRandom } from "../../src/util/random.ts";
import { transport } from "../../src/wire/wire.ts";
import { startWorker } from "../../src/worker/worker.ts";
import { rfc18 } from "../fakes/foreign-peers.ts";

const root = fileURLToPath(new URL("../..", import.meta.url)).replace(/\.build\/$/, "");
const built = join(root, ".build", "test", "system", "bus-part.js");
const part = existsSync(built) ? built : join(root, "test", "system", "bus-part.ts");
const folder = mkdtempSync(join(tmpdir(), "pb-"));
const log = openLog({ service: "test", level: "error", write: () => {} });
const deps = { clock, log, random };
const children = new Set<ChildProcess>();
const echo = "org.plantd.module.Echo";

after(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

let sockets = 0;
function newEndpoint(): string {
  sockets += 1;
  return `ipc://${join(folder, `${sockets}`, "b.sock")}`;
}

async function startPart(role: string, given: Record<string, unknown>): Promise<ChildProcess> {
  const words = ["--disable-warning=ExperimentalWarning", part, role, JSON.stringify(given)];
  const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "inherit"] });
  children.add(child);
  child.once("exit", () => children.delete(child));
  const [first] = (await once(child.stdout!, "data")) as [Buffer];
  assert.equal(String(first), "ready\n");
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

function failsWith(...codes: Code[]) {
  return (error: unknown) => hasCode(error, ...codes);
}

function openRaw(endpoint: string): Dealer {
  const socket = new Dealer({ linger: 0, receiveTimeout: 5000, sendTimeout: 5000 });
  socket.connect(endpoint);
  return socket;
}

const send = (socket: Dealer, frames: Frames) => socket.send(frames as Buffer[]);

const limit = { timeout: 60_000 };

test("many calls over three processes come back with their own answers", limit, async () => {
  const endpoint = newEndpoint();
  const broker = await startPart("broker", { endpoint });
  const worker = await startPart("echo", { endpoint });
  await using client = await startClient(deps, { endpoint });
  const asked = Array.from({ length: 500 }, (_, at) => client.call(echo, "echo", { at }));
  const expected = asked.map((_, at) => ({ at }));
  assert.deepEqual(await Promise.all(asked), expected);
  await Promise.all([kill(broker), kill(worker)]);
});

test("peers of RFC 18 that we did not write talk through the broker", limit, async () => {
  const endpoint = newEndpoint();
  const broker = await startPart("broker", { endpoint });
  const worker = openRaw(endpoint);
  const asker = openRaw(endpoint);
  await worker.send(["MDPW02", Buffer.of(1), "upper"]);
  await asker.send(["MDPC02", Buffer.of(1), "upper", "one", "two"]);
  let [header, command, client, empty, ...body] = await worker.receive();
  while (command?.[0] === 5) [header, command, client, empty, ...body] = await worker.receive();
  assert.deepEqual([String(header), command?.[0], empty?.length], ["MDPW02", 2, 0]);
  assert.deepEqual(body.map(String), ["one", "two"]);
  await worker.send(["MDPW02", Buffer.of(3), client!, "", "ON"]);
  await worker.send(["MDPW02", Buffer.of(4), client!, "", "E"]);
  const partial = await asker.receive();
  const final = await asker.receive();
  assert.deepEqual(partial.map(String), ["MDPC02", "\u0002", "upper", "ON"]);
  assert.deepEqual(final.map(String), ["MDPC02", "\u0003", "upper", "E"]);
  await asker.send(["MDPC02", Buffer.of(1), "mmi.service", "upper"]);
  assert.equal(String((await asker.receive())[3]), "200");
  worker.close();
  asker.close();
  await kill(broker);
});

test(
  "after kill -9 the broker's callers fail in time, and all come back by themselves",
  limit,
  async () => {
    const endpoint = newEndpoint();
    let broker = await startPart("broker", { endpoint });
    const workers = await Promise.all([
      startPart("echo", { endpoint }),
      startPart("slow", { endpoint }),
    ]);
    await using client = await startClient(deps, { endpoint });
    for (let round = 0; round < 3; round += 1) {
      assert.equal(await client.call(echo, "echo", round), round);
      const lost = client.call("slow", "wait", 30_000, { deadlineMs: 20_000 });
      lost.catch(() => {});
      await client.call("slow", "wait", 1);
      await kill(broker);
      await assert.rejects(lost, failsWith("BROKER_LOST"));
      const meanwhile = client.call(echo, "echo", "queued", { deadlineMs: 20_000 });
      broker = await startPart("broker", { endpoint });
      assert.equal(await meanwhile, "queued");
      assert.equal(typeof (await client.call("slow", "wait", 1)), "number");
    }
    await Promise.all([broker, ...workers].map(kill));
  },
);

test(
  "after kill -9 of a worker its caller hears WORKER_LOST; another takes over",
  limit,
  async () => {
    const endpoint = newEndpoint();
    const broker = await startPart("broker", { endpoint });
    const first = await startPart("slow", { endpoint });
    await using client = await startClient(deps, { endpoint });
    assert.equal(await client.call("slow", "wait", 1), first.pid);
    const lost = client.call("slow", "wait", 40_000, { deadlineMs: 50_000 });
    lost.catch(() => {});
    await client.call("slow", "wait", 1);
    await kill(first);
    await assert.rejects(lost, failsWith("WORKER_LOST"));
    const second = await startPart("slow", { endpoint });
    assert.equal(await client.call("slow", "wait", 1), second.pid);
    await Promise.all([kill(broker), kill(second)]);
  },
);

test("bad frames end nothing and disturb nobody", limit, async () => {
  const seed = Math.floor(random.unit() * 2 ** 31);
  process.stdout.write(`# bad frames: seed ${seed}\n`);
  const dice = seededRandom(seed);
  const endpoint = newEndpoint();
  const broker = await startPart("broker", { endpoint });
  const worker = await startPart("echo", { endpoint });
  await using client = await startClient(deps, { endpoint });
  const head = { id: 1, remainingMs: 50, trace: Buffer.alloc(16), flags: 3 };
  const body = [Buffer.from("x")];
  const good: Frames[] = [
    plant.encodeFromClient({ kind: "request", service: "none", head, body }),
    plant.encodeFromClient({ kind: "credit", service: "none", head, credit: 1 }),
    plant.encodeFromWorker({ kind: "ready", service: "none", concurrency: 9 }),
    plant.encodeFromWorker({ kind: "final", service: echo, head, body }),
    rfc18.encodeFromClient({ kind: "request", service: "none", body }),
    rfc18.encodeFromWorker({ kind: "final", client: Buffer.alloc(8), body }),
    rfc18.encodeFromWorker({ kind: "heartbeat" }),
  ];
  // Many peers, each a short while: most are sent away soon, and heard no more.
  for (let peer = 0; peer < 150; peer += 1) {
    const bad = openRaw(endpoint);
    const numbers = Array.from({ length: 3 }, (_, at) => peer * 10 + at);
    const beside = Promise.all(numbers.map((number) => client.call(echo, "echo", number)));
    for (let round = 0; round < 20; round += 1) {
      const frames = good[Math.floor(dice.unit() * good.length)]!.map((one) => Buffer.from(one));
      const at = Math.floor(dice.unit() * frames.length);
      const choice = dice.unit();
      if (choice < 0.2) frames.splice(at, 1);
      else if (choice < 0.4) frames.splice(at, 0, Buffer.from(dice.bytes(dice.unit() * 300)));
      else if (choice < 0.6) frames[at] = Buffer.from(dice.bytes(dice.unit() * 2000));
      else if (frames[at]!.length > 0) frames[at]![0]! ^= 1 << (round % 8);
      if (frames.length > 0) await bad.send(frames);
    }
    assert.deepEqual(await beside, numbers, `seed ${seed}`);
    bad.close();
  }
  await writeRubbish(endpoint.slice("ipc://".length), dice.bytes(100_000));
  assert.equal(broker.exitCode, null);
  const [stats] = await client.request("mmi.broker", [Buffer.from("-")]);
  assert.ok(JSON.parse(String(stats)).refused.malformed > 200);
  await Promise.all([kill(broker), kill(worker)]);
});

/** Bytes that are not even ZMTP. */
async function writeRubbish(path: string, bytes: Uint8Array): Promise<void> {
  const socket = connect(path);
  socket.on("error", () => {}); // a reset is what rubbish deserves
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.end(bytes);
  socket.resume();
  await closed;
}

test("limits hold at the limit, not one byte before or after", limit, async () => {
  const endpoint = newEndpoint();
  const settings = { messageBytesMax: 50_000, queueMax: 3, framesMax: 4 };
  const broker = await startPart("broker", { endpoint, broker: settings });
  const worker = await startPart("echo", { endpoint });
  await using client = await startClient(deps, { endpoint });
  const fits = settings.messageBytesMax - Buffer.byteLength('echo""');
  const reply = client.call(echo, "echo", "x".repeat(fits));
  assert.equal(String(await reply).length, fits);
  await assert.rejects(
    client.call(echo, "echo", "x".repeat(fits + 1)),
    failsWith("MESSAGE_TOO_LARGE"),
  );
  const frames = (count: number) => Array.from({ length: count }, () => Buffer.from('"echo"'));
  await client.request(echo, frames(4));
  await assert.rejects(client.request(echo, frames(5)), failsWith("LIMIT_REACHED"));
  await assert.rejects(client.request(echo, frames(33)), failsWith("LIMIT_REACHED"));
  const waiting = [1, 2, 3].map((at) => client.call("none", "x", at, { deadlineMs: 4000 }));
  for (const one of waiting) one.catch(() => {});
  await assert.rejects(client.call("none", "x", 4), failsWith("QUEUE_FULL"));
  for (const one of waiting) await assert.rejects(one, failsWith("NO_SERVICE"));
  const greedy = openRaw(endpoint);
  await send(greedy, [Buffer.from("MDPC02"), Buffer.alloc(1_000_000)]);
  assert.equal(await client.call(echo, "echo", "still here"), "still here");
  greedy.close();
  await Promise.all([kill(broker), kill(worker)]);
});

test("a second broker on the same socket is refused; TCP takes a free port", limit, async () => {
  const endpoint = newEndpoint();
  const { broker: settings } = parseConfig("", {});
  const listeners = [
    { principal: "driver", endpoint },
    { principal: "technician", endpoint: "tcp://127.0.0.1:0" },
  ];
  const admits: Admission = {
    mayServe: (principal) => principal === "driver",
    mayCall: (principal) => (principal === "technician" ? "all" : "none"),
    mayCallOperation: () => false,
  };
  await using broker = await startBroker({ ...deps, admits }, { ...settings, listeners });
  await assert.rejects(
    startBroker(deps, { ...settings, listeners }),
    failsWith("ENDPOINT_UNUSABLE"),
  );
  const outside = broker.endpoints[1]?.endpoint ?? "";
  assert.match(outside, /^tcp:\/\/127\.0\.0\.1:[1-9]\d*$/);
  await using worker = await startWorker(deps, { endpoint, service: "s" }, { hi: () => "hello" });
  await using allowed = await startClient(deps, { endpoint: outside });
  await using denied = await startClient(deps, { endpoint });
  assert.equal(await allowed.call(worker.service, "hi", {}), "hello");
  await assert.rejects(denied.call("s", "hi", {}), failsWith("DENIED"));
});

test("an address that cannot be one is refused at once", limit, async () => {
  for (const endpoint of ["", "nonsense", "tcp://x", "udp://1.2.3.4:5", "ipc://"]) {
    await assert.rejects(startClient(deps, { endpoint }), failsWith("ENDPOINT_UNUSABLE"));
  }
  const long = `ipc:///${"x".repeat(107)}`;
  await assert.rejects(startClient(deps, { endpoint: long }), failsWith("ENDPOINT_UNUSABLE"));
});

test(
  "a full send queue refuses; what it took arrives in order once somebody listens",
  limit,
  async () => {
    const endpoint = newEndpoint();
    const limits = {
      messageBytesMax: 1000,
      framesMax: 10,
      sendQueueMax: 20,
      sendBytesMax: 100_000,
    };
    const ignore = () => {};
    await using dealer = transport.connectDealer(deps, {
      ...limits,
      endpoint,
      onMessage: ignore,
      onUp: ignore,
      onDown: ignore,
    });
    let taken = 0;
    while (dealer.send([Buffer.from(String(taken))])) taken += 1;
    assert.ok(taken >= 20 && taken <= 41, `${taken} taken`);
    assert.equal(dealer.counters.dropped, 1);
    const heard: number[] = [];
    let done = ignore;
    const all = new Promise<void>((resolve) => {
      done = resolve;
    });
    await using router = await transport.bindRouter(deps, {
      ...limits,
      listeners: [{ principal: "admin", endpoint }],
      onMessage: (_, [frame]) => {
        heard.push(Number(String(frame)));
        if (heard.length === taken) done();
      },
      onGone: ignore,
      connectionsMax: 10,
      onSlow: ignore,
      onDrained: ignore,
      onRefused: ignore,
    });
    await all;
    assert.equal(router.listeners.length, 1);
    assert.deepEqual(
      heard,
      heard.map((_, at) => at),
    );
  },
);
