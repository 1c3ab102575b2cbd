// `plant state` in memory: set on conditions, long lists, watches, schemas, changes, figures, and
// each way they fail. It must not know the store.
import assert from "node:assert/strict";
import { test } from "node:test";
import { runCli } from "../../../src/cli/cli.ts";
import { PlantError } from "../../../src/util/errors.ts";
import type { Operation } from "../../../src/worker/worker.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { type FakeParts, fakeParts, now, pointOf, stampAt } from "../../fakes/plant-parts.ts";
import { fakeTerminal, type TerminalOptions } from "../../fakes/terminal.ts";

interface Row {
  readonly words: readonly string[];
  readonly given?: (parts: FakeParts) => void;
  readonly options?: Partial<TerminalOptions>;
  readonly exit?: number;
  readonly out?: RegExp;
  readonly err?: RegExp;
  /** Operation and arguments of the last call; a run of any kind is left out. */
  readonly call?: readonly [string, unknown];
}

async function plant(words: readonly string[], parts: FakeParts, options: Row["options"] = {}) {
  const client = parts.bus.client();
  const terminal = fakeTerminal({ clock: fakeClock(now), client, ...options });
  const exit = await runCli(words, terminal.io);
  return { exit, ...terminal.printed };
}

const point = { scope: "org.x", key: "k" };
const kept = { source: "plant", number: 1, flush: "now", by: "plant" };
const withSchemas = ({ state }: FakeParts) => {
  state["schema-get"] = () => ({ scope: "s", schema: { points: { k: { type: "f64" } } } });
  state["schema-delete"] = () => ({ scope: "s", status: "deleted" });
  const unfit = [{ key: "k", wanted: "of the type f64", given: '"x"' }];
  state["schema-set"] = () => ({ scope: "s", revision: 1, unfit, count: 3 });
};
const withConsumers = ({ state }: FakeParts) => {
  const old = { log: { watermark: 10, waiting: 90 }, state: { watermark: 5, waiting: 1200 } };
  const consumers = [
    { consumer: "old", far: false, streams: old },
    { consumer: "sync", far: true, streams: { state: { watermark: 1205, waiting: 0 } } },
  ];
  state["consumer-list"] = () => ({ consumers });
  state["consumer-remove"] = () => ({ removed: true });
};
const guarded: Row["given"] = ({ state }) => {
  state["compare-and-set"] = () => ({ revision: 9, repeated: false });
};
const figures = {
  ...{ roomBytes: 1_000_000_000, liveBytes: 120_000_000, fileBytes: 200_000_000 },
  ...{ flushP50Ms: 0.84, flushP99Ms: 6.25, commits: 12_345, failedCommits: 0, damagedReads: 0 },
  ...{ points: 1234, waiting: 0, checkpointAgeMs: 42_000 },
  wear: {
    todayBytes: 5_000_000,
    days: [
      { day: 6, bytes: 20_000_000, perStream: { state: 15_000_000, other: 5_000_000 } },
      { day: 7, bytes: 5_000_000, perStream: { state: 4_000_000, other: 1_000_000 } },
    ],
    perStream: { state: 19_000_000, other: 6_000_000 },
  },
};
const figured =
  (more: object): ((parts: FakeParts) => void) =>
  ({ state }) => {
    state.stats = () => ({ ...figures, ...more });
  };

const rows: Readonly<Record<string, Row>> = {
  "set with everything": {
    words: [
      ...["state", "set", "org.x", "k", "5", "--unit", "kW", "--quality", "bad"],
      ...["--reason", "sensor", "--ttl", "8h", "--type", "f64"],
    ],
    call: [
      "set-many",
      {
        ...kept,
        points: [
          {
            ...{ ...point, value: 5, type: "f64", unit: "kW", quality: "bad", reason: "sensor" },
            ttlMs: 28_800_000,
          },
        ],
      },
    ],
    out: /^org\.x k is 5 kW\n$/,
  },
  "set a text that looks like a number": {
    words: ["state", "set", "org.x", "k", "007", "--type", "text"],
    call: ["set-many", { ...kept, points: [{ ...point, value: "007", type: "text" }] }],
  },
  "set every digit of 64 bits": {
    words: ["state", "set", "org.x", "k", "18446744073709551615", "--type", "u64"],
    call: [
      "set-many",
      { ...kept, points: [{ ...point, value: "18446744073709551615", type: "u64" }] },
    ],
  },
  "set on a value": {
    words: ["state", "set", "org.x", "k", "5", "--expect", "4"],
    given: guarded,
    call: ["compare-and-set", { ...kept, ...point, value: 5, expect: { value: 4 } }],
  },
  "set on a revision": {
    words: ["state", "set", "org.x", "k", "5", "--expect-revision", "4711"],
    given: guarded,
    call: ["compare-and-set", { ...kept, ...point, value: 5, expect: { revision: 4711 } }],
  },
  "set on absence": {
    words: ["state", "set", "org.x", "k", "5", "--expect-absent"],
    given: guarded,
    call: ["compare-and-set", { ...kept, ...point, value: 5, expect: { absent: true } }],
  },
  "set on a condition that does not hold": {
    words: ["state", "set", "org.x", "k", "5", "--expect-absent"],
    given: ({ state }) => {
      state["compare-and-set"] = () => {
        throw new PlantError("WRITE_GUARDED", { point: "k", found: 3, expected: null });
      };
    },
    exit: 1,
    err: /WRITE_GUARDED/,
  },
  "set on two conditions": {
    words: ["state", "set", "org.x", "k", "5", "--expect-absent", "--expect", "4"],
    exit: 2,
    err: /one of --expect, --expect-revision and --expect-absent/,
  },
  "set of no type": {
    words: ["state", "set", "org.x", "k", "5", "--type", "int"],
    exit: 2,
    err: /--type is bool, i64/,
  },
  "set of no quality": {
    words: ["state", "set", "org.x", "k", "5", "--quality", "fine"],
    exit: 2,
    err: /--quality is good/,
  },
  "set for no time": {
    words: ["state", "set", "org.x", "k", "5", "--ttl", "0"],
    exit: 2,
    err: /--ttl is longer/,
  },
  "set on half a revision": {
    words: ["state", "set", "org.x", "k", "5", "--expect-revision", "1.5"],
    exit: 2,
    err: /--expect-revision is a whole number/,
  },
  "get tells type and end": {
    words: ["state", "get", "device/meter-1", "v"],
    given: ({ state }) => {
      state.get = () => ({ ...pointOf("v", 1), type: "f64", expiresMs: 90_000 });
    },
    out: /type +f64\ngoes in +90 s/,
  },
  "the audit hears who it is": {
    words: ["state", "create-scope", "s"],
    options: { env: { USER: "root", SUDO_USER: "anna" } },
    call: ["create-scope", { service: "s", by: "anna" }],
  },
  "schema get": {
    words: ["state", "schema", "get", "s"],
    given: withSchemas,
    call: ["schema-get", { scope: "s" }],
    out: /^\{\n {2}"points": \{\n {4}"k"/,
  },
  "schema set": {
    words: ["state", "schema", "set", "s", "/f.json", "--keep"],
    given: withSchemas,
    options: { files: { "/f.json": '{"points":{}}' } },
    call: ["schema-set", { scope: "s", schema: { points: {} }, keep: true, by: "plant" }],
    out: /checked from now on\n3 that are there do not fit and stay:\n {2}k is "x", not of.*\n {2}and 2/,
  },
  "schema set from standard input": {
    words: ["state", "schema", "set", "s", "-"],
    given: withSchemas,
    options: { stdin: '{"points":{}}' },
    call: ["schema-set", { scope: "s", schema: { points: {} }, keep: false, by: "plant" }],
  },
  "schema set from no JSON": {
    words: ["state", "schema", "set", "s", "-"],
    options: { stdin: "{" },
    exit: 2,
    err: /- is no JSON/,
  },
  "schema set from no file": {
    words: ["state", "schema", "set", "s", "/none"],
    exit: 2,
    err: /FILE_UNREADABLE/,
  },
  "schema delete": {
    words: ["state", "schema", "delete", "s", "--yes"],
    given: withSchemas,
    call: ["schema-delete", { scope: "s", by: "plant" }],
  },
  "schema delete wants consent": {
    words: ["state", "schema", "delete", "s"],
    exit: 12,
    err: /--yes/,
  },
  "schema of a store without": {
    words: ["state", "schema", "get", "s"],
    exit: 2,
    err: /OPERATION_UNKNOWN/,
  },
  "changes of no stream": {
    words: ["state", "changes", "states"],
    exit: 2,
    err: /a stream is state, event, log, metric/,
  },
  "changes after nonsense": {
    words: ["state", "changes", "state", "--after", "x"],
    exit: 2,
    err: /--after is a whole number/,
  },
  "consumers list": {
    words: ["state", "consumers", "list"],
    given: withConsumers,
    call: ["consumer-list", {}],
    out: /^2 hold records · 1\u202f290 wait for old\nCONSUMER +STREAM +STANDS AT +WAITING\nold +log +10 +90\nold +state +5 +1\u202f200\nsync +state +1\u202f205 +0\n$/,
  },
  "consumers remove": {
    words: ["state", "consumers", "remove", "old", "--yes"],
    given: withConsumers,
    call: ["consumer-remove", { consumer: "old", by: "plant" }],
    out: /^nothing waits for old any more/,
  },
  upgrade: {
    words: ["state", "upgrade", "--yes"],
    given: ({ state }) => {
      state.upgrade = () => ({ format: 2, upgraded: true });
    },
    call: ["upgrade", {}],
    out: /^the database has format 2/,
  },
  "upgrade of the newest": {
    words: ["state", "upgrade", "--yes"],
    given: ({ state }) => {
      state.upgrade = () => ({ format: 2, upgraded: false });
    },
    out: /^the database has already format 2/,
  },
  "upgrade wants consent": {
    words: ["state", "upgrade"],
    exit: 12,
    err: /giving the database the newest format/,
  },
  "upgrade before the update is confirmed": {
    words: ["state", "upgrade", "--yes"],
    given: ({ state }) => {
      state.upgrade = () => {
        throw new PlantError("UPDATE_PENDING", { format: 1 });
      };
    },
    exit: 1,
    err: /UPDATE_PENDING/,
  },
  "consumers remove wants consent": {
    words: ["state", "consumers", "remove", "old"],
    exit: 12,
    err: /letting go of what waits for old/,
  },
  "consumers remove never the centre": {
    words: ["state", "consumers", "remove", "sync", "--yes"],
    exit: 8,
    err: /NOT_ALLOWED/,
  },
  "list of nonsense": {
    words: ["state", "list", "--lines", "0"],
    exit: 2,
    err: /--lines is a number/,
  },
  stats: {
    words: ["state", "stats"],
    given: figured({}),
    out: /^● store {2}OK {2}1\u202f234 points\n\n {2}room {3}█{3}░{21} {2}12 % {2}120 MB of 1\.0 GB, file 200 MB\n {2}flush {2}p50 0\.8 ms {2}p99 6\.3 ms .*\n {2}saved {2}checkpoint 42 s old {2}snapshot –\n\nWEAR.*STATE +OTHER\n1 d ago +20 MB +█{24} +15 MB +5\.0 MB\ntoday +5\.0 MB +█{6}░{18} /,
  },
  "stats with streams and snapshots": {
    words: ["state", "stats"],
    given: (parts) => {
      const log = { bytes: 5_000_000, quotaBytes: 20_000_000, first: 11, head: 1010 };
      figured({ streams: { log } })(parts);
      const snapshots = [{ time: now - 3_600_000 }, { time: now - 7_200_000 }];
      parts.state["snapshot-list"] = () => ({ snapshots });
    },
    out: /snapshot 60 min old\n\nSTREAM.*\nlog +5\.0 MB +20 MB +█{6}░{18} +1\u202f000 +–\n/,
  },
  "stats of a store that fills": {
    words: ["state", "stats"],
    given: figured({ liveBytes: 800_000_000 }),
    out: /^▲ store {2}FILLING.*\n {2}next {3}plant outbox\n/,
  },
  "stats of a store that finds something": {
    words: ["state", "stats"],
    given: figured({
      checks: [
        { name: "room", status: "pass", output: "12 % used" },
        { name: "snapshots", status: "warn", output: "there is none", code: "SNAPSHOT_OLD" },
      ],
      failedCommits: 3,
    }),
    out: /^▲ store {2}DEGRADED.*\n {2}why {4}snapshots: there is none {2}SNAPSHOT_OLD\n {2}next {3}plant explain SNAPSHOT_OLD\n/,
  },
  "stats of a store whose failure is history": {
    words: ["state", "stats"],
    given: figured({ checks: [{ name: "commits", status: "pass" }], failedCommits: 3 }),
    out: /^● store {2}OK(.|\n)*commits, 3 failed since the start/,
  },
  "stats with all that a store tells": {
    words: ["state", "stats"],
    given: figured({
      ...{ format: 2, formatHeld: true, quarantines: 1, losses: 1, readers: 2 },
      ...{ rollup: { to: 5, waiting: 1200 }, snapshots: { count: 2 } },
      streams: { log: { bytes: 1, quotaBytes: 2, first: 1, head: 30, acked: 10 } },
      consumerList: [
        { consumer: "sync", far: true, streams: { log: { watermark: 10, waiting: 20 } } },
        { consumer: "idle", far: false, streams: { log: { watermark: 30, waiting: 0 } } },
      ],
    }),
    out: /file {3}format 2, held until the update is confirmed {2}2 snapshots {2}1 quarantines {2}1 losses not seen {2}2 readers {2}1\u202f200 records not rolled up\n(.|\n)*HELD\nlog .* 30 +20\n(.|\n)*sync +far +20 of log\nidle +nothing\n/,
  },
  "stats of an older store": {
    words: ["state", "stats"],
    out: /^● store {2}OK {2}4 points/,
  },
};

for (const [name, row] of Object.entries(rows)) {
  test(`plant: ${name}`, async () => {
    const parts = fakeParts();
    row.given?.(parts);
    const { exit, out, err } = await plant(row.words, parts, row.options);
    assert.equal(exit, row.exit ?? 0, `${out}\n${err}`);
    if (row.out !== undefined) assert.match(out, row.out);
    if (row.err !== undefined) assert.match(err, row.err);
    if ((row.exit ?? 0) !== 0) assert.equal(out, "", "errors are no data");
    if (row.call !== undefined) {
      const last = parts.bus.calls.at(-1);
      const { run: _, ...args } = (last?.args ?? {}) as Record<string, unknown>;
      assert.deepEqual([last?.operation, args], row.call);
    }
  });
  test(`plant --json: ${name}`, async () => {
    const parts = fakeParts();
    row.given?.(parts);
    const { exit, out } = await plant([...row.words, "--json"], parts, row.options);
    assert.equal(exit, row.exit ?? 0, out);
    const { schema } = JSON.parse(out);
    assert.match(schema, exit === 0 ? /^plant\.[a-z]+\/1$/ : /^plant\.error\/1$/);
  });
}

for (const [word, more] of [
  ["FULL", { liveBytes: 960_000_000 }],
  ["FAILING", { failedCommits: 1 }],
  ["FAILING", { damagedReads: 1 }],
  ["FAILING", { checks: [{ name: "commits", status: "fail", code: "STORE_COMMITS_FAIL" }] }],
] as const) {
  test(`a store that is ${word.toLowerCase()} is exit 1, with its figures`, async () => {
    const parts = fakeParts();
    figured(more)(parts);
    const { exit, out } = await plant(["state", "stats"], parts);
    assert.equal(exit, 1);
    assert.match(out, new RegExp(`^■ store {2}${word}`));
  });
}

test("a long list is asked page by page, tells how far it is, and what it leaves out", async () => {
  const parts = fakeParts();
  parts.state.list = ({ args }) => {
    const { after = "0", limit } = args as { after?: string; limit: number };
    const from = Number(after);
    const points = Array.from({ length: limit }, (_, at) => pointOf(`k${from + at}`, at));
    return { points, next: String(from + limit) };
  };
  const { out, err, exit } = await plant(["state", "list", "--lines", "25000"], parts);
  assert.equal(exit, 0);
  assert.equal(out.trim().split("\n").length, 25_001);
  assert.match(
    err,
    /10\u202f000 points so far\n20\u202f000 points so far\nthere are more than these/,
  );
});

type Part = { readonly points?: readonly object[]; readonly deleted?: readonly object[] };

/** A watch that answers each call with the next script: parts, then its end or an error. */
function scripted(parts: FakeParts, scripts: readonly (readonly [Part[], unknown])[]) {
  const asked: unknown[] = [];
  const watch: Operation = async ({ args, partial, signal }) => {
    const script = scripts[asked.length];
    asked.push(args);
    if (script === undefined) {
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      return { position: 0 };
    }
    for (const part of script[0]) await partial(part);
    if (script[1] instanceof PlantError) throw script[1];
    return script[1];
  };
  parts.state.watch = watch;
  return asked;
}

async function watchFor(words: readonly string[], parts: FakeParts) {
  const clock = fakeClock(now);
  const terminal = fakeTerminal({ clock, client: parts.bus.client() });
  const over = runCli(["state", "watch", ...words, "--for", "10s"], terminal.io);
  await clock.advance(11_000);
  return { exit: await over, ...terminal.printed };
}

test("watch shows what changes and what goes, and goes on where a watch ended or was cut", async () => {
  const parts = fakeParts();
  const gone = { scope: "device/meter-1", key: "old", revision: 12 };
  const lost = new PlantError("WORKER_LOST", { service: "org.plantd.State" });
  const asked = scripted(parts, [
    [
      [{ points: [pointOf("v", 1, { revision: 11 })] }, { deleted: [gone] }],
      { position: 12, epoch: "e1" },
    ],
    [[{ points: [pointOf("v", 2, { revision: 13 })] }], lost],
    [[{ points: [pointOf("v", 3, { revision: 14 })] }], { position: 14, epoch: "e2" }],
  ]);
  const { exit, out, err } = await watchFor(["device/meter-1", "--after", "10"], parts);
  assert.equal(exit, 0);
  assert.match(out, /v {2}1\n.*old {2}deleted\n.*v {2}2\n.*v {2}3\n$/);
  assert.match(err, /the store is away \(WORKER_LOST\)/);
  const scopes = ["device/meter-1"];
  assert.deepEqual(asked, [
    { scopes, after: 10 },
    { scopes, after: 12, epoch: "e1" },
    { scopes, after: 13, epoch: "e1" },
    { scopes, after: 14, epoch: "e2" },
  ]);
});

test("watch as JSON is one document per change, of one schema per kind", async () => {
  const parts = fakeParts();
  const deleted = [
    { scope: "a", key: "k", revision: 2 },
    { scope: "b", key: "k", revision: 3 },
  ];
  scripted(parts, [[[{ points: [pointOf("v", 1, { scope: "a" })], deleted }], { position: 3 }]]);
  const { out } = await watchFor(["--prefix", "a", "--json"], parts);
  const documents = out
    .trim()
    .split("\n")
    .map((text) => JSON.parse(text));
  assert.deepEqual(documents[0], { schema: "plant.deletion/1", ...deleted[0] });
  assert.equal(documents[1].schema, "plant.point/1");
  assert.equal(documents.length, 2);
});

test("a watch whose begin is not known any more fails; one under way goes on from now", async () => {
  const first = fakeParts();
  const unknown = new PlantError("SEQUENCE_GONE", { sequence: 1, stream: "state", first: 9 });
  scripted(first, [[[], unknown]]);
  const failed = await watchFor(["--after", "1"], first);
  assert.equal(failed.exit, 3);
  assert.match(failed.err, /SEQUENCE_GONE/);
  const second = fakeParts();
  const asked = scripted(second, [
    [[], { position: 5, epoch: "e" }],
    [[], unknown],
  ]);
  const { exit, err } = await watchFor([], second);
  assert.equal(exit, 0);
  assert.match(err, /going on from now/);
  assert.deepEqual(asked, [{}, { after: 5, epoch: "e" }, {}]);
});

/** A stream of records from `first` to `head`. */
function streamed(parts: FakeParts, first: number, head: number) {
  parts.state.changes = ({ args }) => {
    const { stream, after, limit } = args as { stream: string; after: number; limit: number };
    if (after > head) throw new PlantError("SEQUENCE_AHEAD", { stream, sequence: after, head });
    if (after < first - 1)
      throw new PlantError("SEQUENCE_GONE", { stream, sequence: after, first });
    const count = Math.min(limit, head - after);
    const time = stampAt(now);
    const records = Array.from({ length: count }, (_, at) => {
      const sequence = after + 1 + at;
      if (sequence % 2 === 1) return { sequence, kind: "define", index: 7, scope: "s", key: "k" };
      return { sequence, kind: "point", index: 7, value: sequence, quality: "good", time };
    });
    return { epoch: "e", records, last: after + count, head };
  };
}

test("changes shows the newest, points by their names where they are told", async () => {
  const parts = fakeParts();
  streamed(parts, 1, 100);
  const { out } = await plant(["state", "changes", "state", "--lines", "3", "--utc"], parts);
  assert.match(
    out,
    /^ +98 {2}2025.* point +#7 {2}98\n +99 {2}define +s\/k is #7\n.* point +s\/k {2}100\n$/,
  );
});

test("changes begins where records are still kept, or after the one that was named", async () => {
  const parts = fakeParts();
  streamed(parts, 95, 100);
  const sequencesOf = async (...words: string[]) => {
    const { out } = await plant(["state", "changes", "state", "--json", ...words], parts);
    return out
      .trim()
      .split("\n")
      .map((text) => JSON.parse(text).sequence);
  };
  assert.deepEqual(await sequencesOf(), [95, 96, 97, 98, 99, 100]);
  assert.deepEqual(await sequencesOf("--after", "97", "--lines", "2"), [98, 99]);
  assert.deepEqual(await sequencesOf("--after", "98", "--lines", "2000"), [99, 100]);
  const { exit, err } = await plant(["state", "changes", "state", "--after", "1"], parts);
  assert.equal(exit, 3);
  assert.match(err, /SEQUENCE_GONE/);
});

test("no test of this file asks a position: that would hold records for nobody", async () => {
  const parts = fakeParts();
  streamed(parts, 1, 5);
  await plant(["state", "changes", "state"], parts);
  assert.ok(parts.bus.calls.every(({ operation }) => operation !== "position"));
});
