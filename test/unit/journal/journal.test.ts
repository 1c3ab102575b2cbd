// The journal: block bytes, epochs, group commits, trimming, damage, and random histories against
// a model. It must not know what records mean.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readCover } from "../../../src/batch/batch.ts";
import { type Disk, openDisk, type Row } from "../../../src/disk/disk.ts";
import { decodeBlock, encodeBlock } from "../../../src/journal/block.ts";
import type { AppendRequest, Journal } from "../../../src/journal/journal.ts";
import { type Stream, streams } from "../../../src/journal/journal.ts";
import { hasCode, type PlantError } from "../../../src/util/errors.ts";
import { seededRandom } from "../../../src/util/random.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { openTestJournal, temporaryFolder } from "../../fakes/store.ts";

const head = {
  stream: "event",
  epoch: "0123456789abcdef".repeat(2),
  first: 2 ** 40,
  wallMs: 5,
  runMs: 7,
} as const;
const settled = async () => {
  for (let round = 0; round < 50; round += 1) await new Promise((done) => setImmediate(done));
};
const code = (name: PlantError["code"]) => (error: unknown) => hasCode(error, name);

/** A request of `count` records that say `text`. */
function request(text: string, count = 1, more: Partial<AppendRequest> = {}): AppendRequest {
  const records = Array.from({ length: count }, (_, at) => ({
    kind: "line",
    text: `${text}${at}`,
  }));
  return { stream: "log", flush: "now", recordsMax: count, build: () => records, ...more };
}

function readAll(journal: Journal, stream: Stream, after = 0) {
  const found: { sequence: number; text?: unknown; epoch: string }[] = [];
  for (let at = after; at < journal.head(stream); ) {
    const { records, last, epoch } = journal.read({ stream, after: at, limit: 7, bytesMax: 1e6 });
    for (const record of records) found.push({ ...record, epoch });
    at = last;
  }
  return found;
}

const lines = (...texts: readonly string[]) => texts.map((text) => ({ kind: "line", text }));

test("a block gives back what went in, byte for byte as ever", () => {
  const bytes = encodeBlock(head, lines("a", "ü\n"));
  const { first } = head;
  assert.deepEqual(decodeBlock(bytes), {
    head: { ...head, last: first + 1, count: 2 },
    records: lines("a", "ü\n").map((record, at) => ({ ...record, sequence: first + at })),
  });
  assert.equal(
    Buffer.from(bytes.subarray(4)).toString("hex"),
    `020102000000000200000000000001000000000000000100000000014014000000000000401c000000000000${head.epoch}05020902016103c3bc0a0102`,
  );
});

const damages: Record<string, [PlantError["code"], (bytes: Buffer) => Buffer]> = {
  "cut short": ["STORE_DAMAGED", (bytes) => bytes.subarray(0, 20)],
  empty: ["STORE_DAMAGED", () => Buffer.alloc(0)],
  "without its last byte": ["STORE_DAMAGED", (bytes) => bytes.subarray(0, -1)],
  "with a flipped bit in its body": ["STORE_DAMAGED", (bytes) => flip(bytes, bytes.length - 2)],
  "with a flipped bit in its sequence": ["STORE_DAMAGED", (bytes) => flip(bytes, 22)],
  "with a flipped bit in its checksum": ["STORE_DAMAGED", (bytes) => flip(bytes, 0)],
};
function flip(bytes: Buffer, at: number): Buffer {
  bytes[at]! ^= 4;
  return bytes;
}

test("a damaged block is refused", () => {
  for (const [name, [expected, damage]] of Object.entries(damages)) {
    const bytes = damage(Buffer.from(encodeBlock(head, lines("a"))));
    assert.throws(() => decodeBlock(bytes), code(expected), name);
  }
});

/** Three blocks of three lines each; then the first bytes of `damage` them. */
async function damagedStore(folder: string, damage: (disk: Disk, rows: Row[]) => Promise<void>) {
  for (let opening = 0; opening < 3; opening += 1) {
    await using journal = await openTestJournal(folder);
    await journal.append(request("a", 3));
  }
  await using disk = await openDisk({ folder: join(folder, "s"), roomBytes: 1e8 });
  await damage(disk, [...disk.range("log")]);
}
const flipRow =
  (place: number, at: number) =>
  async (disk: Disk, rows: Row[]): Promise<void> => {
    const { key, value } = rows[place]!;
    await disk.commit([{ table: "log", key, value: flip(Buffer.from(value), at) }]);
  };
const removeRow = async (disk: Disk, rows: Row[]) => {
  await disk.commit([{ table: "log", key: rows[1]!.key }]);
};

const damagesInStore: Record<string, (disk: Disk, rows: Row[]) => Promise<void>> = {
  "a bit of its records": flipRow(1, 70),
  "a bit of its checksum": flipRow(1, 2),
  "a bit of its version": flipRow(1, 4),
  "a bit of its last sequence": flipRow(1, 31),
  "a bit of its epoch": flipRow(1, 50),
  "all of it, gone": removeRow,
};

test("a damaged block is told when it is read, and counted, or covered for who asks so", async () => {
  for (const [name, damage] of Object.entries(damagesInStore)) {
    using folder = temporaryFolder();
    await damagedStore(folder.path, damage);
    await using journal = await openTestJournal(folder.path);
    assert.throws(() => readAll(journal, "log"), code("STORE_DAMAGED"), name);
    assert.equal(journal.stats().damagedReads, 1, name);
    const found: unknown[] = [];
    const epochs = new Set<string>();
    for (let after = 0; after < 9; ) {
      const query = { stream: "log", after, limit: 2, bytesMax: 1e6, coversDamage: true } as const;
      const { records, last, epoch } = journal.read(query);
      for (const { sequence, kind, to } of records) found.push(to ?? sequence, kind);
      epochs.add(epoch);
      after = last;
    }
    const line = (sequence: number) => [sequence, "line"];
    const lines = [...[1, 2, 3].flatMap(line), 6, "cover", ...[7, 8, 9].flatMap(line)];
    assert.deepEqual(found, lines, name);
    assert.deepEqual(
      [...epochs],
      journal.lineage.slice(0, 3).map(({ epoch }) => epoch),
      name,
    );
    const inside = {
      stream: "log",
      after: 4,
      limit: 9,
      bytesMax: 1e6,
      coversDamage: true,
    } as const;
    const [cover] = journal.read(inside).records;
    assert.deepEqual(readCover(cover?.body).reason, "corrupt", name);
    assert.equal(cover?.to, 6, name);
  }
});

test("a store whose newest block is damaged does not open: where numbers go on is not known", async () => {
  for (const at of [0, 20, 31, 70]) {
    using folder = temporaryFolder();
    await damagedStore(folder.path, flipRow(2, at));
    await assert.rejects(openTestJournal(folder.path), code("STORE_DAMAGED"));
  }
});

test("a store of a newer format is refused and its file stays as it is", async () => {
  using folder = temporaryFolder();
  const store = join(folder.path, "s");
  {
    await using disk = await openDisk({ folder: store, roomBytes: 1e7 });
    const value = Buffer.from('{"version":3}');
    await disk.commit([{ table: "meta", key: Buffer.from("format"), value }]);
  }
  const before = readFileSync(join(store, "data.mdb"));
  await assert.rejects(openTestJournal(folder.path), code("STORE_FORMAT_NEWER"));
  assert.ok(readFileSync(join(store, "data.mdb")).equals(before));
});

test("group requests wait for companions and share one commit; an urgent one takes them along", async () => {
  using folder = temporaryFolder();
  const clock = fakeClock();
  await using journal = await openTestJournal(folder.path, { flushMaxMs: 50 }, { clock });
  const before = journal.stats().commits ?? 0;
  const done: string[] = [];
  const append = (name: string, flush: "now" | "group") =>
    journal.append(request(name, 1, { flush })).then(() => done.push(name));
  const all = [append("a", "group"), append("b", "group")];
  await clock.advance(49);
  assert.deepEqual(done, []);
  await clock.advance(1);
  await Promise.all(all);
  assert.equal(journal.stats().commits, before + 1);
  const more = [append("c", "group"), append("d", "now")];
  await Promise.all(more);
  assert.deepEqual(done, ["a", "b", "c", "d"]);
  assert.equal(journal.stats().commits, before + 2);
});

test("what comes while an urgent commit is under way waits for companions of its own", async () => {
  using folder = temporaryFolder();
  const clock = fakeClock();
  await using journal = await openTestJournal(folder.path, { flushMaxMs: 50 }, { clock });
  await journal.position("sync", { register: true });
  let later: Promise<unknown> | undefined;
  const urgent = request("a", 1, {
    build: () => {
      later = journal.append(request("b", 1, { flush: "group" }));
      return [{ kind: "line", text: "a" }];
    },
  });
  await journal.append(urgent);
  await clock.advance(50);
  await later;
  await journal.ack("sync", "log", 1);
  const { log } = await journal.position("sync");
  assert.equal(log.oldestWallMs, clock.wallMs(), "put together when its own wait was over");
});

test("a group request waits no longer for companions because a commit was under way", async () => {
  using folder = temporaryFolder();
  const clock = fakeClock();
  await using journal = await openTestJournal(folder.path, { flushMaxMs: 50 }, { clock });
  const first = journal.append(request("a", 1, { flush: "group" }));
  await clock.advance(30);
  const urgent = journal.append(request("b"));
  await Promise.all([first, urgent]);
  const later = journal.append(request("c", 1, { flush: "group" }));
  await clock.advance(20);
  assert.equal(journal.head("log"), 2, "what the first waited for is over");
  await clock.advance(29);
  assert.equal(journal.head("log"), 2);
  await clock.advance(1);
  await later;
  assert.equal(journal.head("log"), 3);
});

test("what many sources said last is known after reopening, up to what may be in flight", async () => {
  using folder = temporaryFolder();
  const say = (journal: Journal, number: number) =>
    journal.append(request("x", 2, { source: { source: "a", run: "r", number } }));
  {
    await using journal = await openTestJournal(folder.path);
    for (let number = 1; number <= 20; number += 1) await say(journal, number * 2 ** 40);
  }
  await using journal = await openTestJournal(folder.path);
  for (let number = 5; number <= 20; number += 1) {
    const first = number * 2 - 1;
    const reply = await say(journal, number * 2 ** 40);
    assert.deepEqual(reply, { first, last: first + 1, repeated: true });
  }
  await assert.rejects(say(journal, 4 * 2 ** 40), code("SOURCE_NUMBER_OLD"));
  assert.equal((await say(journal, 21 * 2 ** 40)).repeated, false);
});

test("a watermark under way to the disk lets nothing go yet", async () => {
  using folder = temporaryFolder();
  const clock = fakeClock();
  await using journal = await openTestJournal(folder.path, { keepMs: 0 }, { clock });
  await journal.position("sync", { register: true });
  await journal.append(request("a", 3));
  await journal.append(request("b"));
  await clock.advance(1);
  const acked = journal.ack("sync", "log", 3);
  assert.equal(await journal.trim(), 0);
  await acked;
  assert.equal(await journal.trim(), 1);
});

test("acknowledgements of two streams at one time keep both watermarks", async () => {
  using folder = temporaryFolder();
  {
    await using journal = await openTestJournal(folder.path);
    for (const stream of ["log", "event"] as const) {
      await journal.append(request("a", 4, { stream }));
    }
    await Promise.all([journal.ack("sync", "log", 3), journal.ack("sync", "event", 2)]);
  }
  await using journal = await openTestJournal(folder.path);
  const { log, event } = await journal.position("sync");
  assert.deepEqual([log.watermark, event.watermark], [3, 2]);
});

test("sources are bounded: the one longest silent is forgotten", async () => {
  using folder = temporaryFolder();
  await using journal = await openTestJournal(folder.path);
  const say = (source: string) =>
    journal.append(request("x", 1, { source: { source, run: "r", number: 1 } }));
  await Promise.all(Array.from({ length: 4200 }, (_, at) => say(`s${at}`)));
  assert.ok((journal.stats().sources ?? 0) <= 4096, `${journal.stats().sources}`);
  assert.equal((await say("s4199")).repeated, true);
  assert.equal((await say("s0")).repeated, false);
});

test("a request refused while it is built leaves no gap and harms no other", async () => {
  using folder = temporaryFolder();
  await using journal = await openTestJournal(folder.path);
  const wrong = request("x", 1, {
    build: () => {
      throw new RangeError("no");
    },
  });
  const replies = await Promise.allSettled([
    journal.append(request("a")),
    journal.append(wrong),
    journal.append(request("b")),
  ]);
  assert.deepEqual(
    replies.map((reply) => (reply.status === "fulfilled" ? reply.value.first : "refused")),
    [1, "refused", 2],
  );
});

test("a full store refuses with a code, without a gap, and goes on when there is room", async () => {
  using folder = temporaryFolder();
  const clock = fakeClock();
  const options = { roomBytes: 3_000_000, keepMs: 0 };
  await using journal = await openTestJournal(folder.path, options, { clock });
  // Text that does not become smaller by compression.
  const big = Buffer.from(seededRandom(1).bytes(15_000)).toString("base64");
  const bigger = () => big.slice(1000 * (journal.head("log") % 10));
  let settledFalse = 0;
  const settle = (isFlushed: boolean) => {
    if (!isFlushed) settledFalse += 1;
  };
  await assert.rejects(async () => {
    for (let at = 0; at < 500; at += 1) await journal.append(request(bigger(), 5, { settle }));
  }, code("STORE_FULL"));
  assert.equal(settledFalse, 1);
  const last = journal.head("log");
  assert.ok(last >= 50, `${last} records fitted`);
  await clock.advance(1);
  assert.ok((await journal.trim()) > 0);
  assert.equal((await journal.append(request("a"))).first, last + 1);
});

test("an epoch leaves the lineage when its last record is trimmed, never the newest", async () => {
  using folder = temporaryFolder();
  const clock = fakeClock();
  const epochs: string[] = [];
  for (let round = 0; round < 4; round += 1) {
    await using journal = await openTestJournal(folder.path, { keepMs: 10 }, { clock });
    epochs.push(journal.epoch);
    await journal.append(request("a", 2));
    await journal.position("sync", { register: true });
  }
  await using journal = await openTestJournal(folder.path, { keepMs: 10 }, { clock });
  epochs.push(journal.epoch);
  await clock.advance(100);
  assert.equal(await journal.trim(), 0);
  await journal.ack("sync", "log", 5);
  assert.equal(await journal.trim(), 0, "what is old was acknowledged only now");
  await clock.advance(10);
  assert.equal(await journal.trim(), 2);
  assert.deepEqual(
    journal.lineage.map(({ epoch }) => epoch),
    epochs.slice(2),
  );
  await journal.ack("sync", "log", 8);
  await clock.advance(10);
  assert.equal(await journal.trim(), 2);
  assert.deepEqual(
    journal.lineage.map(({ epoch }) => epoch),
    epochs.slice(4),
  );
  assert.equal((await journal.append(request("b"))).first, 9);
});

test("a far consumer's records go only by its young word, and as far as that says", async () => {
  using folder = temporaryFolder();
  const clock = fakeClock();
  const options = { keepMs: 10 };
  {
    await using journal = await openTestJournal(folder.path, options, { clock });
    for (let at = 0; at < 6; at += 1) await journal.append(request("a"));
    await journal.welcome("sync", "log", 2);
    await journal.ack("sync", "log", 5);
    await clock.advance(100);
    assert.equal(await journal.trim(), 2);
    await journal.welcome("sync", "log", 4);
    await clock.advance(300_001);
    assert.equal(await journal.trim(), 0);
  }
  await using journal = await openTestJournal(folder.path, options, { clock });
  await clock.advance(100);
  assert.equal(await journal.trim(), 0, "an opening knows no welcome of the one before");
  await journal.welcome("sync", "log", 5);
  assert.equal(await journal.trim(), 0, "the word before took the last one back");
  await clock.advance(10);
  assert.equal(await journal.trim(), 3);
});

test("an opening without a record leaves no trace in the lineage", async () => {
  using folder = temporaryFolder();
  const epochs: string[] = [];
  for (let round = 0; round < 5; round += 1) {
    await using journal = await openTestJournal(folder.path);
    epochs.push(journal.epoch);
    if (round === 1) await journal.append(request("a"));
  }
  await using journal = await openTestJournal(folder.path);
  assert.equal(new Set([...epochs, journal.epoch]).size, 6);
  assert.deepEqual(
    journal.lineage.map(({ epoch, parent }) => [epoch, parent]),
    [
      [epochs[1], null],
      [journal.epoch, epochs[1]],
    ],
  );
});

test("numbers go on after all was acknowledged, grew old and was trimmed", async () => {
  using folder = temporaryFolder();
  const clock = fakeClock();
  for (const first of [1, 3, 5]) {
    await using journal = await openTestJournal(folder.path, { keepMs: 10 }, { clock });
    assert.equal(journal.lineage.at(-1)!.cuts.log, first - 1);
    assert.equal((await journal.append(request("a", 2))).first, first);
    await journal.ack("sync", "log", first + 1);
    await clock.advance(100);
    await journal.trim();
  }
});

test("a large block is kept compressed and comes back whole", () => {
  const records = lines(...Array.from({ length: 1000 }, (_, at) => `value ${at} °C`));
  const bytes = encodeBlock(head, records);
  assert.ok(bytes.length < JSON.stringify(records).length / 3);
  assert.deepEqual(
    decodeBlock(bytes).records.map(({ text }) => text),
    records.map(({ text }) => text),
  );
  assert.throws(() => decodeBlock(flip(Buffer.from(bytes), 300)), code("STORE_DAMAGED"));
});

test("acknowledged records go before their age when room runs short, others never", async () => {
  using folder = temporaryFolder();
  await using journal = await openTestJournal(folder.path, { roomBytes: 3_000_000, keepMs: 1e9 });
  const text = () =>
    Buffer.from(seededRandom(journal.head("log")).bytes(50_000)).toString("base64");
  await journal.position("sync", { register: true });
  const fill = async () => {
    for (let at = 0; at < 100; at += 1) await journal.append(request(text()));
  };
  await assert.rejects(fill, code("STORE_FULL"));
  const fillUp = async () => {
    for (let at = 0; at < 5000; at += 1) await journal.append(request("small"));
  };
  await assert.rejects(fillUp, code("STORE_FULL"));
  assert.equal(await journal.trim(), 0);
  const last = journal.head("log");
  await journal.ack("sync", "log", last - 1);
  assert.ok((await journal.trim()) > 0);
  assert.equal((await journal.append(request(text()))).first, last + 1);
});

test("consumers are bounded, and those that are known go on", async () => {
  using folder = temporaryFolder();
  await using journal = await openTestJournal(folder.path);
  await journal.append(request("a"));
  await Promise.all(
    Array.from({ length: 64 }, (_, at) => journal.position(`c${at}`, { register: true })),
  );
  await assert.rejects(journal.position("one more", { register: true }), code("LIMIT_REACHED"));
  await assert.rejects(journal.ack("one more", "log", 1), code("LIMIT_REACHED"));
  assert.equal(await journal.ack("c63", "log", 1), 1);
});

test("nothing above the checkpoint goes, whoever acknowledged it", async () => {
  using folder = temporaryFolder();
  const clock = fakeClock();
  await using journal = await openTestJournal(folder.path, { keepMs: 0 }, { clock });
  for (let at = 0; at < 3; at += 1) await journal.append(request("a", 1, { stream: "state" }));
  await journal.ack("sync", "state", 3);
  await clock.advance(10);
  assert.equal(await journal.trim(), 0);
  await journal.saveCheckpoint(new Map(), { sequence: 2, nextIndex: 1 });
  assert.equal(await journal.trim(), 2);
});

/** Sequences per stream that a model expects, with the text of each record. */
type Model = Map<Stream, string[]>;

/** Draws a whole number below `top`. */
const drawer = (seed: number) => {
  const random = seededRandom(seed);
  return (top: number) => Math.floor(random.unit() * top);
};

const countsOf = (model: Model) => streams.map((stream) => model.get(stream)!.length).join();

/** An epoch without a record is nobody's parent. */
function parentAfter(journal: Journal, parent: string | null, isEmpty: boolean): string | null {
  return isEmpty ? parent : journal.epoch;
}

async function randomHistory(seed: number): Promise<void> {
  const draw = drawer(seed);
  using folder = temporaryFolder();
  const model: Model = new Map(streams.map((stream) => [stream, []]));
  const acknowledged = new Map<number, { first: number; last: number }>();
  let number = 0;
  let parent: string | null = null;
  for (let opening = 0; opening < 5; opening += 1) {
    await using journal = await openTestJournal(folder.path, { recordsPerCommitMax: 200 });
    const newest = journal.lineage.at(-1)!;
    assert.equal(newest.epoch, journal.epoch);
    assert.equal(newest.parent, parent);
    for (const stream of streams) assert.equal(newest.cuts[stream], model.get(stream)!.length);
    const before = countsOf(model);
    const flights: Promise<void>[] = [];
    const steps = draw(25);
    for (let step = 0; step < steps; step += 1) {
      const isRepeat = number > 0 && draw(4) === 0;
      const mine = isRepeat ? number : number + 1;
      if (!isRepeat) number += 1;
      const stream = isRepeat ? "state" : streams[draw(4)]!;
      const texts = Array.from({ length: 1 + draw(30) }, (_, at) => `${mine}.${at}`);
      const settle = (isFlushed: boolean) => {
        if (isFlushed) model.get(stream)!.push(...texts);
      };
      const flight = journal.append({
        stream,
        source: { source: "a", run: "1", number: mine },
        flush: draw(2) === 0 ? "now" : "group",
        recordsMax: 30,
        build: () => texts.map((text) => ({ text })),
        settle,
      });
      flights.push(
        flight.then(({ first, last }) => {
          const before = acknowledged.get(mine);
          assert.deepEqual({ first, last }, before ?? { first, last });
          acknowledged.set(mine, { first, last });
        }),
      );
      if (draw(5) === 0) await settled();
    }
    if (draw(2) === 0) await Promise.all(flights);
    await journal[Symbol.asyncDispose]();
    await Promise.all(flights);
    parent = parentAfter(journal, parent, before === countsOf(model));
  }
  await using journal = await openTestJournal(folder.path);
  for (const stream of streams) {
    const found = readAll(journal, stream);
    assert.deepEqual(
      found.map(({ text }) => text),
      model.get(stream),
    );
    assert.deepEqual(
      found.map(({ sequence }) => sequence),
      found.map((_, at) => at + 1),
    );
  }
}

test("random histories with reopenings agree with a model, record for record", async () => {
  const base = process.env.PLANTD_SEED ?? String(process.hrtime()[1]);
  for (let round = 0; round < 8; round += 1) {
    const seed = Number(base) + round;
    try {
      await randomHistory(seed);
    } catch (error) {
      throw new Error(`with PLANTD_SEED=${seed}`, { cause: error });
    }
  }
});
