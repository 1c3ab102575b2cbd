// The uplink with a real mosquitto: window, kick, death and return of the broker.
// It must not know envelopes.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { startUplink, type Uplink, type UplinkOptions } from "../../src/uplink/uplink.ts";
import { systemClock as clock } from "../../src/util/clock.ts";
import { hasCode } from "../../src/util/errors.ts";
import { openLog } from "../../src/util/log.ts";
import { systemRandom as random } from "../../src/util/random.ts";
import { endChild, freePort, until } from "../fakes/patience.ts";

const log = openLog({ service: "test", level: "error", write: () => {} });
const deps = { clock, log, random };
const uplinks: Uplink[] = [];
let folder: string;
let port: number;
let broker: ChildProcess | undefined;

function startBroker(): void {
  broker = spawn("mosquitto", ["-c", join(folder, "m.conf")], { stdio: "ignore" });
}

async function connect(clientId: string, more: Partial<UplinkOptions> = {}): Promise<Uplink> {
  const uplink = await startUplink(deps, {
    url: `mqtt://127.0.0.1:${port}`,
    clientId,
    subscriptions: [],
    windowMax: 64,
    backoff: { baseMs: 50, ceilingMs: 400 },
    ...more,
  });
  uplinks.push(uplink);
  return uplink;
}

const isUp = (uplink: Uplink) => () => uplink.state.status === "up";

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "pu-"));
  port = await freePort();
  const lines = [
    `listener ${port} 127.0.0.1`,
    "allow_anonymous true",
    "persistence false",
    "max_inflight_messages 5",
    "max_queued_messages 0",
  ];
  writeFileSync(join(folder, "m.conf"), `${lines.join("\n")}\n`);
  startBroker();
});

after(async () => {
  for (const uplink of uplinks) await uplink[Symbol.asyncDispose]();
  await endChild(broker, "SIGTERM");
  rmSync(folder, { recursive: true, force: true });
});

test("messages arrive once and in order through the broker's own small window", async () => {
  const seen: number[] = [];
  const receiver = await connect("receiver", { subscriptions: ["t/#"] });
  receiver.onMessage(({ payload }) => {
    seen.push(Number(Buffer.from(payload).toString()));
  });
  const sender = await connect("sender");
  await until("both are up", () => isUp(receiver)() && isUp(sender)());
  assert.equal(sender.state.window, 5, "the window is what the broker announces");
  const numbers = Array.from({ length: 500 }, (_, at) => at);
  await Promise.all(
    numbers.map((at) => sender.publish("t/x", Buffer.from(String(at)), { qos: 1 })),
  );
  await until("all arrive", () => seen.length >= numbers.length);
  assert.deepEqual(seen, numbers);
});

test("more messages than may wait are refused with a code, and the others arrive", async () => {
  const sender = await connect("flood");
  await until("it is up", isUp(sender));
  const sent = Array.from({ length: 1500 }, () =>
    sender.publish("flood", new Uint8Array(1), { qos: 1 }).then(
      () => "sent",
      (error: unknown) => (hasCode(error, "LINK_BUSY") ? "busy" : "other"),
    ),
  );
  const results = await Promise.all(sent);
  assert.ok(results.includes("busy"));
  assert.ok(!results.includes("other"));
  assert.ok(results.filter((result) => result === "sent").length >= 1024);
});

// mosquitto 2.0.11 closes the older connection without a word; later ones say "session taken over".
test("a client put out by another of its name waits before it comes back", async () => {
  const slow = { backoff: { baseMs: 3_600_000, ceilingMs: 3_600_000 } };
  const first = await connect("twin", slow);
  await until("the first is up", isUp(first));
  const second = await connect("twin", slow);
  await until("the first waits", () => first.state.retryMs !== undefined);
  assert.ok(["LINK_CLOSED", "LINK_TAKEN_OVER"].includes(first.state.reason?.code ?? "none"));
  assert.equal(first.state.status, "down");
  await second[Symbol.asyncDispose]();
  first.retry();
  await until("the first is up again", isUp(first));
});

test("a killed broker fails what is under way with a code, and is found again", async () => {
  const sender = await connect("survivor");
  await until("it is up", isUp(sender));
  await endChild(broker, "SIGKILL");
  await until("the loss is seen", () => sender.state.status !== "up");
  await assert.rejects(sender.publish("t", new Uint8Array(1), { qos: 1 }), {
    code: "LINK_CLOSED",
  });
  startBroker();
  await until("it is up again", isUp(sender));
  await sender.publish("t", new Uint8Array(1), { qos: 1 });
});

test("an address nobody listens on, or that is none, is a state and no end", async () => {
  const closedPort = await freePort();
  const nobody = await connect("nobody", { url: `mqtt://127.0.0.1:${closedPort}` });
  const none = await connect("none", { url: "nonsense" });
  await until("both say why", () => {
    return nobody.state.reason !== undefined && none.state.reason !== undefined;
  });
  assert.equal(nobody.state.reason?.code, "LINK_UNREACHABLE");
  await nobody[Symbol.asyncDispose]();
  await none[Symbol.asyncDispose]();
  assert.equal(await nobody.ended, undefined);
});
