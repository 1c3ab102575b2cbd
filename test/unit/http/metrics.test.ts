// The page of metrics: text that Prometheus reads, of a gateway and of a broker alone.
// It must not open sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { BusReport } from "../../../src/http/metrics.ts";
import { renderMetrics } from "../../../src/http/metrics.ts";
import { askBroker, askQueue, askStatus } from "../../../src/status/status.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { type FakeParts, fakeParts, now } from "../../fakes/plant-parts.ts";
import { readMetrics } from "../../fakes/prometheus.ts";

const http = {
  requests: new Map([[200, 3]]),
  streams: 1,
  refusedStreams: 0,
  droppedConnections: 0,
};
const points = { shown: 4, leftOut: 0 };

function statusOf(parts: FakeParts) {
  const config = {
    gateway: "g",
    site: "",
    version: "1",
    dataFolder: "/",
    lines: [],
    deadlineMs: 9,
  };
  return askStatus({ clock: fakeClock(now), client: parts.bus.client() }, config);
}

const policy = { retry: "never", attemptsMax: 2, busyTimeoutMs: 1, queueMax: 1000, queueTtlMs: 1 };

function serviceOf(service: string, more: object = {}) {
  const totals = { requests: 9, replies: 7, partials: 0, retries: 1, expired: 1, queueFull: 2 };
  const buckets = [0, 1, 2].map((n) => [0.064 * 2 ** n, 3 + n]);
  const latency = { count: 7, sumMs: 41.7, p50Ms: 0.1, p99Ms: 30, maxMs: 31, buckets };
  const load = { workers: 1, busy: 2, concurrency: 64, queued: 3, oldestMs: 1500 };
  return { service, ...load, policy, totals, latency, ...more };
}

async function busOf(services: unknown[], more: object = {}): Promise<BusReport> {
  const { bus } = fakeParts();
  bus.internal["mmi.queue"] = { services, more: 0 };
  bus.internal["mmi.broker"] = {
    uptimeMs: 61_500,
    queued: 3,
    dispatched: 2,
    peers: 12,
    counters: { messages: 100, lateReplies: 1, workersLost: 2 },
    refused: { denied: 5, queue: 2, malformed: 0 },
    wire: { connections: 11, accepted: 20, bytesIn: 5000, refused: { greeting: 1, frame: 0 } },
    ...more,
  };
  const options = { deadlineMs: 9 };
  const client = bus.client();
  return { broker: await askBroker(client, options), queue: await askQueue(client, options) };
}

test("metrics are text that Prometheus reads, with labels escaped", async () => {
  const parts = fakeParts();
  parts.driverStatus.devices[0]!.name = 'a"b\\c\nd';
  const text = renderMetrics({ status: await statusOf(parts), http, points });
  assert.ok(text.includes('plantd_device_up{device="a\\"b\\\\c\\nd",line="rs485-1"} 1\n'));
  const metrics = readMetrics(text);
  assert.deepEqual(metrics.flaws, []);
  assert.equal(metrics.value("plantd_device_up", { device: 'a"b\\c\nd', line: "rs485-1" }), 1);
  assert.equal(metrics.value("plantd_outbox_waiting_records", { stream: "state" }), 0);
  assert.equal(metrics.value("plantd_http_requests_total", { code: "200" }), 3);
  assert.ok(!metrics.samples.some(({ name }) => name.startsWith("plantd_broker")));
});

const storeStats = {
  ...{ roomBytes: 1000, liveBytes: 300, readers: 2, commits: 12, failedCommits: 1, runMs: 5000 },
  ...{ flushP50Ms: 0.8, flushP99Ms: 6, checkpointAgeMs: 42_000, deviceBytes: 9000, format: 2 },
  checks: [{ name: "room", status: "warn", output: "x", code: "STORE_SHORT" }],
  failed: { count: 1, lastHour: 1, first: 5, last: 5 },
  streams: { state: { first: 1, head: 9, bytes: 70, quotaBytes: 550, acked: null } },
  consumerList: [{ consumer: 'a"b', far: true, streams: { state: { watermark: 2, waiting: 7 } } }],
  rollup: { to: 5, waiting: 4 },
  wear: { todayBytes: 10, perDayBytes: null, days: [], perStream: { state: 4, other: 6 } },
  snapshots: { count: 2, ageMs: 3_600_000, failed: 1 },
};
const loggerStats = {
  ...{ lines: 5, byLevel: { info: 4, warn: 1 }, redacted: 1, dropped: 2, repeated: 3, lost: 4 },
  ...{ waiting: 6, ring: { lines: 5, bytes: 100 } },
  levels: [
    { part: "sync", level: "debug", configured: "info" },
    { part: "http", level: "configured", configured: "info" },
  ],
};

test("store and logger are told in bytes, seconds and totals", async () => {
  const store = { store: storeStats, logger: loggerStats };
  const text = renderMetrics({ status: await statusOf(fakeParts()), http, points, store });
  const { flaws, value } = readMetrics(text);
  assert.deepEqual(flaws, []);
  const told: readonly (readonly [name: string, labels: Record<string, string>, value?: number])[] =
    [
      ["store_room_bytes", {}, 1000],
      ["store_run_seconds_total", {}, 5],
      ["store_commits_failed_total", {}, 1],
      ["store_flush_seconds", { quantile: "0.99" }, 0.006],
      ["store_check", { check: "room", status: "warn" }, 1],
      ["store_check", { check: "room", status: "fail" }, 0],
      ["store_troubles_last_hour", { kind: "failed-commit" }, 1],
      ["store_troubles_last_hour", { kind: "damaged-read" }],
      ["store_stream_quota_bytes", { stream: "state" }, 550],
      ["store_stream_acked_sequence", { stream: "state" }],
      ["store_consumer_waiting_records", { consumer: 'a"b', stream: "state" }, 7],
      ["store_rollup_waiting_records", {}, 4],
      ["store_wear_today_bytes", {}, 10],
      ["store_wear_per_day_bytes", {}],
      ["store_wear_stream_bytes", { stream: "other" }, 6],
      ["store_snapshot_age_seconds", {}, 3600],
      ["store_device_written_bytes_total", {}, 9000],
      ["log_lines_total", { level: "warn" }, 1],
      ["log_lines_redacted_total", {}, 1],
      ["log_lines_dropped_total", {}, 2],
      ["log_lines_lost_total", {}, 4],
      ["log_level", { part: "sync", level: "debug" }, 1],
      ["log_level", { part: "http", level: "info" }, 1],
    ];
  for (const [name, labels, expected] of told) {
    assert.equal(value(`plantd_${name}`, labels), expected, name);
  }
});

test("a store that tells otherwise, or nothing, leaves its metrics out and no others", async () => {
  const odd = { store: { roomBytes: "7", checks: 3, streams: null, wear: [] }, logger: "none" };
  for (const store of [odd, {}, { store: null }]) {
    const text = renderMetrics({ status: await statusOf(fakeParts()), http, points, store });
    const { flaws, samples } = readMetrics(text);
    assert.deepEqual(flaws, []);
    const names = samples.map(({ name }) => name).filter((name) => /_(store|log)_/.test(name));
    assert.deepEqual(names, ["plantd_store_bytes"]);
  }
});

test("the broker's requests, queues, retries and refusals are told, by service and reason", async () => {
  const bus = await busOf([serviceOf("org.plantd.State"), serviceOf('x"y\\')]);
  const text = renderMetrics({ status: await statusOf(fakeParts()), http, points, bus });
  const { flaws, value } = readMetrics(text);
  assert.deepEqual(flaws, []);
  const of = { service: "org.plantd.State" };
  assert.equal(value("plantd_broker_service_requests_total", of), 9);
  assert.equal(value("plantd_broker_service_replies_total", { service: 'x"y\\' }), 7);
  assert.equal(value("plantd_broker_service_retries_total", of), 1);
  assert.equal(value("plantd_broker_service_queue_full_total", of), 2);
  assert.equal(value("plantd_broker_service_waiting", of), 3);
  assert.equal(value("plantd_broker_service_waiting_max", of), 1000);
  assert.equal(value("plantd_broker_service_oldest_seconds", of), 1.5);
  assert.equal(value("plantd_broker_service_workers", of), 1);
  assert.equal(value("plantd_broker_service_lost_total", of), undefined);
  assert.equal(value("plantd_broker_refused_total", { reason: "denied" }), 5);
  assert.equal(value("plantd_broker_wire_refused_total", { reason: "greeting" }), 1);
  assert.equal(value("plantd_broker_connections"), 11);
  assert.equal(value("plantd_broker_wire_bytes_total", { direction: "in" }), 5000);
  assert.equal(value("plantd_broker_uptime_seconds"), 61.5);
  assert.equal(value("plantd_broker_late_replies_total"), 1);
});

test("answer times are a histogram in seconds that ends in its count", async () => {
  const bus = await busOf([serviceOf("a")]);
  const text = renderMetrics({ status: await statusOf(fakeParts()), http, points, bus });
  const lines = text.split("\n").filter((line) => line.includes("answer_seconds"));
  assert.deepEqual(lines, [
    "# HELP plantd_broker_service_answer_seconds Time from the arrival of a request to its reply; streams are left out.",
    "# TYPE plantd_broker_service_answer_seconds histogram",
    'plantd_broker_service_answer_seconds_bucket{service="a",le="0.000064"} 3',
    'plantd_broker_service_answer_seconds_bucket{service="a",le="0.000128"} 4',
    'plantd_broker_service_answer_seconds_bucket{service="a",le="0.000256"} 5',
    'plantd_broker_service_answer_seconds_bucket{service="a",le="+Inf"} 7',
    'plantd_broker_service_answer_seconds_sum{service="a"} 0.0417',
    'plantd_broker_service_answer_seconds_count{service="a"} 7',
  ]);
});

test("services without workers or replies, and those beyond 200, are counted, not listed", async () => {
  const many = Array.from({ length: 203 }, (_, at) => serviceOf(`s${at}`));
  const asked = serviceOf("typo", { workers: 0, totals: { requests: 5 }, latency: { count: 0 } });
  const gone = serviceOf("gone", { workers: 0 });
  const bus = await busOf([gone, asked, ...many]);
  const text = renderMetrics({ status: await statusOf(fakeParts()), http, points, bus });
  const { flaws, value } = readMetrics(text);
  assert.deepEqual(flaws, []);
  assert.equal(value("plantd_broker_service_requests_total", { service: "gone" }), 9);
  assert.equal(value("plantd_broker_service_requests_total", { service: "typo" }), undefined);
  assert.equal(value("plantd_broker_service_requests_total", { service: "s198" }), 9);
  assert.equal(value("plantd_broker_service_requests_total", { service: "s199" }), undefined);
  assert.equal(value("plantd_broker_services_left_out"), 5);
});

test("a broker that nobody has asked anything yet has metrics too", async () => {
  const bus = await busOf([], { counters: {}, refused: {}, wire: {} });
  const text = renderMetrics({ status: await statusOf(fakeParts()), http, points, bus });
  assert.deepEqual(readMetrics(text).flaws, []);
  assert.equal(readMetrics(text).value("plantd_broker_waiting"), 3);
});

test("the reader of this test finds what is wrong with a page", () => {
  const head = (name: string, type: string) => `# HELP ${name} h.\n# TYPE ${name} ${type}\n`;
  const wrong = {
    "a counter without _total": `${head("a", "counter")}a 1\n`,
    "a gauge with _total": `${head("a_total", "gauge")}a_total 1\n`,
    "a sample twice": `${head("a", "gauge")}a{x="1"} 1\na{x="1"} 2\n`,
    "a sample outside": `${head("a", "gauge")}b 1\n`,
    "a family twice": `${head("a", "gauge")}a 1\n${head("a", "gauge")}a{x="1"} 1\n`,
    "no help": "# TYPE a gauge\na 1\n",
    "a label that is not escaped": `${head("a", "gauge")}a{x="""} 1\n`,
    "no number": `${head("a", "gauge")}a null\n`,
    "no last line": `${head("a", "gauge")}a 1`,
    "a negative counter": `${head("a_total", "counter")}a_total -1\n`,
    "no infinite bucket": `${head("a", "histogram")}a_bucket{le="1"} 1\na_sum 1\na_count 1\n`,
    "a falling bucket": `${head("a", "histogram")}a_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_sum 1\na_count 1\n`,
    "bounds out of order": `${head("a", "histogram")}a_bucket{le="2"} 1\na_bucket{le="1"} 1\na_bucket{le="+Inf"} 1\na_sum 1\na_count 1\n`,
    "another count": `${head("a", "histogram")}a_bucket{le="+Inf"} 1\na_sum 1\na_count 2\n`,
  };
  for (const [name, text] of Object.entries(wrong)) {
    assert.notDeepEqual(readMetrics(text).flaws, [], name);
  }
});
