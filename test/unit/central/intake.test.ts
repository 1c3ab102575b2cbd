// Messages in groups, one commit each, answers after it; failures that hold up nobody.
// It must not know the rules of ingest.
import assert from "node:assert/strict";
import { test } from "node:test";
import { openIngest } from "../../../src/central/central.ts";
import { listValues } from "../../../src/central/fleet.ts";
import { startIntake } from "../../../src/central/intake.ts";
import { deviceChange } from "../../../src/central/rows.ts";
import { readThrough } from "../../../src/central/shelf.ts";
import { generateSigningKey, keyId } from "../../../src/util/ed25519.ts";
import { PlantError } from "../../../src/util/errors.ts";
import { openLog } from "../../../src/util/log.ts";
import { fakeClock } from "../../fakes/clock.ts";
import {
  defineRecord,
  epochId,
  fakeGateway,
  hear,
  type Message,
  pointRecord,
  stampAt,
} from "../../fakes/gateway.ts";
import { fakeShelf } from "../../fakes/shelf.ts";

const epoch = epochId("a");
const lineage = [{ epoch, parent: null, cuts: {} }];

function openDesk(...ids: readonly string[]) {
  const clock = fakeClock();
  const shelf = fakeShelf();
  const key = generateSigningKey();
  const pending = new Map<string, Uint8Array | undefined>();
  const state = openIngest({
    reader: readThrough(shelf, pending),
    answers: { centre: "c", signer: { key, kid: keyId(key.publicKey) } },
    heldBytesMax: 65_536,
  });
  const gateways = ids.map((id) => {
    const gateway = fakeGateway(id);
    const publicKey = Buffer.from(gateway.key.publicKey).toString("base64url");
    const row = deviceChange({ id, createdAt: 1, enrolledAt: 1, kid: gateway.kid, publicKey });
    shelf.rows.set(row.key, row.value!);
    return gateway;
  });
  const sent: { type: string; device: string; rows: number }[] = [];
  const changed: string[] = [];
  const intake = startIntake({
    clock,
    log: openLog({ service: "test", level: "error", write: () => {} }),
    shelf,
    state,
    pending,
    now: () => stampAt(clock.wallMs(), clock.monotonicMs()),
    async send(topic, payload) {
      const answer = hear(payload, key.publicKey);
      const device = topic.split("/")[2] ?? "";
      const gateway = gateways.find(({ id }) => id === device);
      if (answer.type === "welcome") Object.assign(gateway!.generations, answer.generations);
      sent.push({ type: answer.type, device, rows: shelf.rows.size });
    },
    onChange: (devices) => changed.push([...devices].join()),
  });
  const feed = async (...messages: readonly Message[]) => {
    for (const { topic, payload } of messages) void intake.take(topic, payload);
    await clock.advance(1);
  };
  return { clock, shelf, state, pending, gateways, sent, changed, intake, feed };
}

const first = [defineRecord(1, 0, "level"), pointRecord(2, 0, 5)];

test("within one commit a position comes behind the history that it stands for", async () => {
  const { gateways, shelf, feed } = openDesk("gw-1");
  const [gateway] = gateways;
  await feed(gateway!.hello(lineage));
  const keys: string[] = [];
  const commit = shelf.commit.bind(shelf);
  shelf.commit = (changes) => {
    keys.push(...changes.map(({ key }) => key));
    return commit(changes);
  };
  await feed(gateway!.batch({ epoch }, first), gateway!.batch({ epoch }, [pointRecord(3, 0, 6)]));
  assert.ok(keys.filter((key) => key.startsWith("history/")).length === 2);
  assert.equal(keys.at(-1), `epoch/gw-1/${epoch}`);
});

test("messages that wait together share one commit, and answers follow it", async () => {
  const { gateways, shelf, sent, intake, feed, changed } = openDesk("gw-1", "gw-2");
  await feed(...gateways.map((gateway) => gateway.hello(lineage)));
  const before = shelf.commits.length;
  const rows = shelf.rows.size;
  await feed(...gateways.map((gateway) => gateway.batch({ epoch }, first)));
  assert.equal(shelf.commits.length, before + 1);
  const acks = sent.filter(({ type }) => type === "ack");
  assert.equal(acks.length, 2);
  assert.ok(acks.every((ack) => ack.rows > rows));
  assert.equal(changed.at(-1), "gw-1,gw-2");
  await intake[Symbol.asyncDispose]();
});

test("several batches of one stream in one commit get one acknowledgement, the last", async () => {
  const { gateways, sent, intake, feed } = openDesk("gw-1");
  const gateway = gateways[0]!;
  await feed(gateway.hello(lineage));
  await feed(
    gateway.batch({ epoch }, first),
    gateway.batch({ epoch }, [pointRecord(3, 0, 6)]),
    gateway.batch({ epoch }, [pointRecord(4, 0, 7)]),
  );
  assert.equal(sent.filter(({ type }) => type === "ack").length, 1);
  await intake[Symbol.asyncDispose]();
});

test("nothing is acknowledged while commits fail; afterwards all of it is taken once", async () => {
  const { gateways, shelf, state, sent, intake, feed, pending } = openDesk("gw-1");
  const gateway = gateways[0]!;
  await feed(gateway.hello(lineage));
  shelf.failure = new PlantError("STORE_FULL", {});
  const batches = [
    gateway.batch({ epoch }, first),
    gateway.batch({ epoch }, [pointRecord(3, 0, 6)]),
  ];
  await feed(...batches);
  assert.deepEqual(
    sent.filter(({ type }) => type === "ack"),
    [],
  );
  assert.ok(intake.counters.commitsFailed >= 2);
  assert.equal(pending.size, 0);
  shelf.failure = undefined;
  await feed(...batches);
  assert.equal(sent.filter(({ type }) => type === "ack").length, 1);
  assert.deepEqual(
    listValues(state, "gw-1").map(({ value }) => value),
    [6],
  );
  await intake[Symbol.asyncDispose]();
});

test("a message that trips over a defect is dropped alone", async () => {
  const { gateways, state, sent, intake, feed } = openDesk("gw-1", "gw-2");
  await feed(...gateways.map((gateway) => gateway.hello(lineage)));
  const broken = state.devices.get("gw-1")!;
  Object.defineProperty(broken, "lineage", {
    get() {
      throw new TypeError("a defect");
    },
  });
  await feed(...gateways.map((gateway) => gateway.batch({ epoch }, first)));
  assert.equal(intake.counters.defects, 1);
  assert.deepEqual(
    sent.filter(({ type }) => type === "ack").map(({ device }) => device),
    ["gw-2"],
  );
  await feed(gateways[0]!.batch({ epoch }, first));
  assert.equal(sent.at(-1)!.device, "gw-1");
  await intake[Symbol.asyncDispose]();
});

test("what is late is asked for without another message coming", async () => {
  const { gateways, clock, sent, intake, feed } = openDesk("gw-1");
  const gateway = gateways[0]!;
  await feed(gateway.hello(lineage));
  await feed(gateway.batch({ epoch }, [pointRecord(9, 0, 1)]));
  await clock.advance(1500);
  assert.equal(sent.at(-1)!.type, "welcome");
  await clock.advance(1500);
  assert.equal(sent.at(-1)!.type, "want");
  await intake[Symbol.asyncDispose]();
});

test("more than there is room for waits at the door", async () => {
  const { clock, intake } = openDesk("gw-1");
  const large = new Uint8Array(17_000_000);
  assert.equal(intake.take("plantd/v1/gw-1/up/s/state", large), undefined);
  const wait = intake.take("plantd/v1/gw-1/up/s/state", large);
  assert.ok(wait instanceof Promise);
  await clock.advance(1);
  await wait;
  await intake[Symbol.asyncDispose]();
});

test("rows that wait for their commit are read as if they were there", () => {
  const shelf = fakeShelf();
  const bytes = (text: string) => Buffer.from(text);
  for (const key of ["a/1", "a/3", "a/5"]) shelf.rows.set(key, bytes(`old ${key}`));
  const pending = new Map<string, Uint8Array | undefined>([
    ["a/4", bytes("new a/4")],
    ["a/3", undefined],
    ["a/5", bytes("new a/5")],
    ["b/1", bytes("new b/1")],
    ["a/0", bytes("new a/0")],
  ]);
  const reader = readThrough(shelf, pending);
  const read = (isReverse: boolean, limit?: number) =>
    [...reader.range({ from: "a/", to: "a/~", isReverse, ...(limit ? { limit } : {}) })].map(
      ({ value }) => Buffer.from(value).toString(),
    );
  const all = ["new a/0", "old a/1", "new a/4", "new a/5"];
  assert.deepEqual(read(false), all);
  assert.deepEqual(read(true), [...all].reverse());
  assert.deepEqual(read(false, 2), all.slice(0, 2));
  assert.equal(reader.get("a/3"), undefined);
  assert.equal(Buffer.from(reader.get("a/5") ?? []).toString(), "new a/5");
});
