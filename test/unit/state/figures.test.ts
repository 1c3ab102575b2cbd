// What the store tells of itself, and measurements in the stream `metric`: others' and its own.
// It must not know how figures are shown.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import type { Code } from "../../../src/util/catalogue.ts";
import { hasCode } from "../../../src/util/errors.ts";
import { openTestStore, type TestStore, temporaryFolder } from "../../fakes/store.ts";

const metric = { name: "cpu", value: 12.5, unit: "%", labels: { core: "0" } };
const metrics = (number: number, more: object = {}) => ({
  ...{ source: "m", run: "r", number, metrics: [metric, { name: "n", value: -1 }] },
  ...more,
});
const points = (number: number) => ({
  ...{ source: "d", run: "r", number, flush: "now" },
  points: [{ scope: "s", key: "k", value: number }],
});

async function kept(store: TestStore) {
  return (await store.call("changes", { stream: "metric", after: 0 })).records;
}

test("figures of each stream, its consumers, troubles and checks are told", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  await store.call("set-many", points(1));
  await store.call("consumer-add", { consumer: "archive", streams: ["state"] });
  await store.call("ack", { consumer: "archive", stream: "state", sequence: 1 });
  const stats = await store.call("stats");
  const { bytes, quotaBytes, ...place } = stats.streams.state;
  assert.deepEqual(place, { first: 1, head: 2, acked: 1 });
  assert.ok(bytes > 0 && quotaBytes === Math.floor(64 * 1_048_576 * 0.55));
  assert.deepEqual(stats.streams.log, {
    ...{ first: 1, head: 0, bytes: 0, acked: 0 },
    quotaBytes: Math.floor(64 * 1_048_576 * 0.08),
  });
  const waiting = { watermark: 1, waiting: 1 };
  assert.deepEqual(stats.consumerList, [
    { consumer: "archive", far: false, streams: { state: waiting }, waiting: 1 },
  ]);
  assert.deepEqual(stats.failed, { count: 0, lastHour: 0, first: null, last: null });
  assert.deepEqual(stats.damaged, stats.failed);
  assert.equal(stats.status, "pass");
  const health = await store.call("health");
  assert.deepEqual(health.checks, stats.checks);
  assert.ok(stats.readers >= 1 && stats.wear.perDayBytes === null);
});

test("without a consumer nothing says how far records are held", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const { streams } = await store.call("stats");
  assert.equal(streams.state.acked, null);
});

test("a commit that fails is told with its time, and after an hour is history", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path, { mapMiB: 1 });
  const big = Array.from({ length: 40 }, (_, at) => ({
    ...{ scope: "s", key: `k${at}` },
    value: randomBytes(45_000).toString("base64"),
  }));
  const fill = { ...points(1), points: big };
  await assert.rejects(store.call("set-many", fill), (error) => hasCode(error, "STORE_FULL"));
  const failing = await store.call("stats");
  const at = store.clock.wallMs();
  assert.deepEqual(failing.failed, { count: 1, lastHour: 1, first: at, last: at });
  const status = (stats: { checks: { name: string; status: string }[] }) =>
    stats.checks.find(({ name }) => name === "commits")?.status;
  assert.equal(status(failing), "fail");
  await store.call("set-many", points(2));
  assert.equal(status(await store.call("stats")), "warn");
  await store.clock.advance(3_660_000);
  const later = await store.call("stats");
  assert.deepEqual([status(later), later.failed.count, later.failed.last], ["pass", 1, at]);
});

test("measurements become one record of the stream metric, once", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const time = { wall: 5, boot: "c".repeat(32), mono: 7, sync: "ntp" };
  assert.deepEqual(await store.call("append-metrics", metrics(1, { time })), {
    ...{ first: 1, last: 1, repeated: false },
  });
  const again = await store.call("append-metrics", metrics(1, { time }));
  assert.deepEqual(again, { first: 1, last: 1, repeated: true });
  const event = { kind: "metric", values: [metric, { name: "n", value: -1 }] };
  assert.deepEqual(await kept(store), [{ sequence: 1, kind: "event", event, time, source: "m" }]);
});

const refused: Readonly<Record<string, readonly [more: object, code: Code]>> = {
  "no measurement": [{ metrics: [] }, "REQUEST_MALFORMED"],
  "a text for a number": [{ metrics: [{ name: "n", value: "1" }] }, "REQUEST_MALFORMED"],
  "no name": [{ metrics: [{ name: "", value: 1 }] }, "REQUEST_MALFORMED"],
  "a label that is no text": [
    { metrics: [{ name: "n", value: 1, labels: { a: 1 } }] },
    "REQUEST_MALFORMED",
  ],
  "too many": [
    { metrics: Array.from({ length: 501 }, () => ({ name: "n", value: 1 })) },
    "LIMIT_REACHED",
  ],
  "too many labels": [
    {
      metrics: [
        {
          ...{ name: "n", value: 1 },
          labels: Object.fromEntries(Array.from({ length: 17 }, (_, at) => [`l${at}`, ""])),
        },
      ],
    },
    "LIMIT_REACHED",
  ],
  "too long in all": [
    {
      metrics: Array.from({ length: 500 }, () => ({
        ...{ name: "n".repeat(128), value: 1, labels: { a: "x".repeat(200) } },
      })),
    },
    "LIMIT_REACHED",
  ],
  "without its source": [{ source: undefined }, "REQUEST_MALFORMED"],
};

for (const [name, [more, code]] of Object.entries(refused)) {
  test(`measurements are refused: ${name}`, async () => {
    using folder = temporaryFolder();
    await using store = await openTestStore(folder.path);
    const asked = store.call("append-metrics", metrics(1, more));
    await assert.rejects(asked, (error) => hasCode(error, code));
    assert.deepEqual(await kept(store), []);
  });
}

test("a number beyond all numbers is refused", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const text = JSON.stringify(metrics(1)).replace("-1", "1e999");
  await assert.rejects(store.call("append-metrics", text), (error) =>
    hasCode(error, "REQUEST_MALFORMED"),
  );
});

test("the store appends its own figures, and nothing when nothing else was written", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path, { metricEveryMs: 60_000 });
  await store.clock.advance(300_000);
  assert.deepEqual(await kept(store), [], "nothing happened yet");
  await store.call("set-many", points(1));
  await store.clock.advance(60_000);
  await waitFor(() => store.journal.head("metric") === 1);
  await store.clock.advance(600_000);
  const records = await kept(store);
  assert.equal(records.length, 1, "its own record is no reason for another");
  const [{ event, source }] = records;
  assert.deepEqual([event.kind, source], ["metric", "org.plantd.State"]);
  const named = Object.fromEntries(
    event.values.map(({ name, value }: { name: string; value: number }) => [name, value]),
  );
  assert.equal(named["store-points"], 1);
  assert.ok(named["store-wear-today"] > 0 && named["store-room"] === 64 * 1_048_576);
  await store.call("set-many", points(2));
  await store.clock.advance(60_000);
  await waitFor(() => store.journal.head("metric") === 2);
});

/** Waits for the disk, which knows no fake time. */
async function waitFor(isSo: () => boolean): Promise<void> {
  for (let round = 0; round < 10_000 && !isSo(); round += 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(isSo());
}
