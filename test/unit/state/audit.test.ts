// What is told of people's deeds: little of each, nothing of what was not done, and no deed that
// nobody was told of. It must not know who is a person.
import assert from "node:assert/strict";
import { test } from "node:test";
import { auditRecords } from "../../../src/state/audit.ts";
import { PlantError } from "../../../src/util/errors.ts";
import { openTestStore, type TestStore, temporaryFolder } from "../../fakes/store.ts";

const time = { wall: 1, boot: "b".repeat(32), mono: 1, sync: "ntp" } as const;
const passphrase = "correct horse";

interface Told {
  readonly [name: string]: unknown;
}

function told(deeds: Parameters<typeof auditRecords>[1]): Told[] {
  const records = auditRecords("ann", deeds, { time, source: "s" });
  return records.map(({ event }) => event as Told);
}

async function audits(store: TestStore): Promise<Told[]> {
  const { records } = await store.call("changes", { stream: "event", after: 0 });
  const events = records.map(({ event }: { event: Told }) => event) as Told[];
  return events.filter(({ kind }) => kind === "audit");
}

/** Lets no event through any more. */
function refuseEvents({ journal }: TestStore): void {
  const append = journal.append.bind(journal);
  journal.append = async (request) => {
    if (request.stream === "event") throw new PlantError("STORE_FULL", { roomBytes: 1 });
    return await append(request);
  };
}

const long: Readonly<Record<string, unknown>> = {
  plain: "x".repeat(60_000),
  "full of quotes": '"'.repeat(30_000),
  "of control characters": "\u0001".repeat(10_000),
  "of pairs": "😀".repeat(10_000),
  nested: { a: new Array(5000).fill({ b: "ü" }) },
};

test("of a long value an audit has the first 4 KiB, and how much was cut", () => {
  for (const [name, value] of Object.entries(long)) {
    const [event = {}] = told([{ action: "set", target: "s/k", before: value, after: value }]);
    for (const side of ["before", "after"]) {
      const text = event[side] as string;
      const bytes = Buffer.byteLength(JSON.stringify(text));
      assert.ok(bytes <= 4096 && bytes > 4000, `${name}: ${bytes} bytes`);
      const all = JSON.stringify(value);
      assert.ok(all.startsWith(text) && text.isWellFormed(), name);
      assert.equal(event[`${side}Cut`], Buffer.byteLength(all) - Buffer.byteLength(text), name);
    }
  }
  const whole = { action: "set", target: "s/k", before: "x".repeat(4094), after: null };
  const [event] = told([whole]);
  assert.deepEqual([event?.before, event?.after], [whole.before, null]);
  assert.deepEqual([event?.beforeCut, event?.afterCut], [undefined, undefined]);
});

test("a request leaves few records: of more deeds one tells how many, and the first names", () => {
  const deeds = (count: number) =>
    Array.from({ length: count }, (_, at) => ({ action: "set", target: `s/${at}`, after: at }));
  assert.equal(told(deeds(10)).length, 10);
  const [eleven, none] = told(deeds(11));
  assert.equal(none, undefined);
  assert.equal(eleven?.target, "11 points");
  assert.deepEqual(
    eleven?.targets,
    deeds(11).map(({ target }) => target),
  );
  const [many] = told(deeds(10_000));
  const bytes = Buffer.byteLength(JSON.stringify(many?.targets));
  assert.ok(bytes <= 4096 && bytes > 4000, `${bytes} bytes`);
});

test("a person's long values leave short events", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  for (let number = 1; number <= 2; number += 1) {
    const points = Array.from({ length: 30 }, (_, at) => {
      return { scope: "s", key: `k${at}`, value: `${number}`.repeat(60_000) };
    });
    await store.call("set-many", {
      source: "d",
      run: "r",
      number,
      flush: "now",
      points,
      by: "ann",
    });
  }
  const events = await audits(store);
  assert.equal(events.length, 2);
  assert.ok(JSON.stringify(events).length < 12_000);
});

test("an import says who did it, in the commit of its points", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const lines = [
    { format: "plantd-points", version: 1, time: 0, epoch: "0".repeat(32), position: 0 },
    { scope: "s", key: "k", value: 1 },
  ].map((line) => JSON.stringify(line));
  const args = { first: 1, lines, by: "ann" };
  await store.call("import", { ...args, dryRun: true });
  assert.deepEqual(await audits(store), []);
  const append = store.journal.append.bind(store.journal);
  let appended = 0;
  store.journal.append = (request) => {
    appended += 1;
    return append(request);
  };
  await store.call("import", args);
  assert.equal(appended, 1);
  await store.call("import", args);
  const [event, more] = await audits(store);
  assert.equal(more, undefined, "nothing was done the second time");
  assert.deepEqual([event?.who, event?.action, event?.target], ["ann", "import", "1 points"]);
  assert.deepEqual(event?.after, { new: 1, same: 0, changed: 0, kept: 0 });
});

test("what cannot be told of is not done", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  await store.call("consumer-add", { consumer: "a", streams: ["log"] });
  const { path } = await store.call("backup-create", { passphrase });
  await store.call("set-many", {
    source: "d",
    run: "r",
    number: 1,
    flush: "now",
    points: [{ scope: "s", key: "k", value: 1 }],
  });
  const { epoch } = store.journal;
  const before = await store.call("consumer-list");
  refuseEvents(store);
  const refused: [string, object][] = [
    ["consumer-add", { consumer: "b" }],
    ["consumer-add", { consumer: "a", streams: ["state"] }],
    ["consumer-remove", { consumer: "a" }],
    ["backup-restore", { path, passphrase }],
  ];
  for (const [operation, args] of refused) {
    await assert.rejects(store.call(operation, args), { code: "STORE_FULL" });
  }
  assert.deepEqual(await store.call("consumer-list"), before);
  assert.equal(store.journal.epoch, epoch);
  assert.equal((await store.call("get", { scope: "s", key: "k" })).value, 1);
});

test("what is not done is not told", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  for (let at = 0; at < 64; at += 1) await store.call("consumer-add", { consumer: `c${at}` });
  const before = (await audits(store)).length;
  const refused: Readonly<Record<string, [object, string]>> = {
    "consumer-add": [{ consumer: "more" }, "LIMIT_REACHED"],
    "consumer-remove": [{ consumer: "more" }, "CONSUMER_UNKNOWN"],
    "backup-restore": [{ path: "/none", passphrase }, "BACKUP_NOT_FOUND"],
  };
  for (const [operation, [args, code]] of Object.entries(refused)) {
    await assert.rejects(store.call(operation, args), { code }, operation);
  }
  assert.equal((await audits(store)).length, before);
});

test("a restored store says who restored it; so did the one it replaced", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const { path } = await store.call("backup-create", { passphrase });
  const former: unknown[] = [];
  const restore = store.journal.restore.bind(store.journal);
  store.journal.restore = async (file) => {
    former.push(...(await audits(store).catch(() => [])));
    const { records } = store.journal.read({
      stream: "event",
      after: 0,
      limit: 10,
      bytesMax: 1e6,
    });
    former.push(...records.map(({ event }) => (event as Told).action));
    return await restore(file);
  };
  const { epoch } = await store.call("backup-restore", { path, passphrase, by: "ann" });
  assert.deepEqual(former, ["backup-restore"]);
  const [event] = await audits(store);
  assert.deepEqual([event?.who, event?.action, event?.after], ["ann", "backup-restore", epoch]);
});
