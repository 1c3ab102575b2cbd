// The status document: the verdict's table, and that one silent part never blanks the rest.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  askStatus,
  createDrain,
  describeBytes,
  describeCount,
  describeDuration,
  describeUnit,
  describeValue,
  type StatusDocument,
} from "../../../src/status/status.ts";
import { judge } from "../../../src/status/verdict.ts";
import { PlantError } from "../../../src/util/errors.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { type FakeParts, fakeParts, now, stampAt } from "../../fakes/plant-parts.ts";

const config = {
  gateway: "gw-0417",
  site: "Pump house 3",
  version: "0.1.0",
  dataFolder: "/nowhere",
  lines: ["rs485-1"],
  deadlineMs: 1000,
};

function ask(parts: FakeParts, more: Partial<typeof config> = {}): Promise<StatusDocument> {
  const deps = { clock: fakeClock(now), client: parts.bus.client() };
  return askStatus(deps, { ...config, ...more });
}

interface Row {
  /** Breaks something. */
  readonly given: (parts: FakeParts) => unknown;
  readonly state: StatusDocument["verdict"]["state"];
  readonly words: string;
  /** Codes of the reasons, in order. */
  readonly why: readonly string[];
  readonly next: string;
  /** Of the first reason. */
  readonly text?: RegExp;
}

const healthy = { state: "ok", why: [], next: "" } as const;

/** What the broker tells when requests wait for a service. */
function waiting(service: string, more: object) {
  return ({ bus }: FakeParts) => {
    const policy = { queueMax: 1000 };
    const one = { service, workers: 1, busy: 1, queued: 1, oldestMs: 0, policy, ...more };
    bus.internal["mmi.queue"] = { services: [one], more: 0 };
  };
}

const verdicts: Readonly<Record<string, Row>> = {
  "a queue nearly full": {
    given: waiting("com.example.Pump", { queued: 800 }),
    state: "degraded",
    words: "1 service jammed · all 2 devices answer · link up · 0 waiting",
    why: ["QUEUE_FULL"],
    next: "plant broker queue",
    text: /^800 of 1.000 requests wait for com\.example\.Pump$/,
  },
  "a queue as queues are": {
    ...healthy,
    given: waiting("com.example.Pump", { queued: 799 }),
    words: "all 2 devices answer · link up · 0 waiting",
  },
  "a request nobody will take": {
    given: waiting("com.example.Pump", { workers: 0, oldestMs: 5000 }),
    state: "degraded",
    words: "1 service jammed · all 2 devices answer · link up · 0 waiting",
    why: ["NO_SERVICE"],
    next: "plant broker queue",
    text: /^1 request waits for com\.example\.Pump, which nobody serves$/,
  },
  "a worker that is being restarted": {
    ...healthy,
    given: waiting("com.example.Pump", { workers: 0, oldestMs: 4999 }),
    words: "all 2 devices answer · link up · 0 waiting",
  },
  "all is well": {
    ...healthy,
    given: () => {},
    words: "all 2 devices answer · link up · 0 waiting",
  },
  "one device silent": {
    given: ({ driverStatus }) => {
      Object.assign(driverStatus.devices[1]!, {
        state: "silent",
        lastGood: stampAt(now - 720_000),
      });
    },
    state: "degraded",
    words: "1 of 2 devices silent · link up · 0 waiting",
    why: ["DEVICE_SILENT"],
    next: "plant explain DEVICE_SILENT",
  },
  "every device silent": {
    given: ({ driverStatus }) => {
      for (const device of driverStatus.devices) device.state = "silent";
    },
    state: "fault",
    words: "2 of 2 devices silent · link up · 0 waiting",
    why: ["DEVICE_SILENT", "DEVICE_SILENT"],
    next: "plant explain DEVICE_SILENT",
  },
  "a device answers wrongly, with a code of its own": {
    given: ({ driverStatus }) => {
      Object.assign(driverStatus.devices[0]!, { state: "faulty", code: "PROFILE_INVALID" });
    },
    state: "degraded",
    words: "1 of 2 devices faulty · link up · 0 waiting",
    why: ["PROFILE_INVALID"],
    next: "plant explain PROFILE_INVALID",
  },
  "a disabled device is not missed": {
    ...healthy,
    given: ({ driverStatus }) => {
      driverStatus.devices[1]!.state = "disabled";
    },
    words: "the device answers · link up · 0 waiting",
  },
  "the only line failed": {
    given: ({ driverStatus }) => {
      Object.assign(driverStatus, { state: "failed", reason: "no such port" });
      for (const device of driverStatus.devices) device.state = "silent";
    },
    state: "fault",
    words: "2 of 2 devices silent · link up · 0 waiting",
    why: ["LINE_FAILED"],
    next: "plant explain LINE_FAILED",
  },
  "the link is away": {
    given: ({ syncStatus }) => {
      Object.assign(syncStatus, { link: "down", reason: "connection refused" });
      syncStatus.streams.state = { head: 9000, watermark: 5000, waiting: 4000, oldest: stampAt(1) };
    },
    state: "degraded",
    words: "all 2 devices answer · link down · 4\u202f000 waiting",
    why: ["LINK_AWAY"],
    next: "plant explain LINK_AWAY",
  },
  "the link is away, for a reason of its own": {
    given: ({ syncStatus }) => {
      const words = "mqtts://hub.example cannot be reached: ECONNREFUSED";
      const since = stampAt(now - 22_000);
      Object.assign(syncStatus, { link: "connecting", reason: "LINK_UNREACHABLE", words, since });
      Object.assign(syncStatus, { retryAt: now + 12_000 });
    },
    state: "degraded",
    words: "all 2 devices answer · link connecting · 0 waiting",
    why: ["LINK_AWAY"],
    text: /^no link to the centre for 22 s: mqtts.* ECONNREFUSED · tries again in 12 s$/,
    next: "plant explain LINK_UNREACHABLE",
  },
  "publishing is paused": {
    given: ({ syncStatus }) => {
      Object.assign(syncStatus, { paused: true });
    },
    state: "degraded",
    words: "all 2 devices answer · link up · paused · 0 waiting",
    why: ["OUTBOX_PAUSED"],
    next: "plant outbox resume",
  },
  "records wait for long although the link is up": {
    given: ({ syncStatus }) => {
      const oldest = stampAt(now - 3_600_000);
      syncStatus.streams.state = { head: 9000, watermark: 5000, waiting: 4000, oldest };
    },
    state: "degraded",
    words: "all 2 devices answer · link up · 4\u202f000 waiting",
    why: ["BACKLOG_STUCK"],
    next: "plant outbox",
  },
  "not enrolled is a note": {
    given: ({ syncStatus }) => Object.assign(syncStatus, { enrolled: false, link: "down" }),
    state: "ok",
    words: "all 2 devices answer · not enrolled · 0 waiting",
    why: ["NOT_ENROLLED"],
    next: "plant enroll URL CODE",
  },
  "the store is away": {
    given: ({ bus }) => bus.serve("org.plantd.State", {})(),
    state: "fault",
    words: "store down · all 2 devices answer · link up · 0 waiting",
    why: ["PART_DOWN"],
    next: "plant explain PART_DOWN",
  },
  "the store answers with an error": {
    given: ({ state }) => {
      state.stats = () => {
        throw new PlantError("LIMIT_REACHED", { limit: "x", max: 1 });
      };
    },
    state: "fault",
    words: "store down · all 2 devices answer · link up · 0 waiting",
    why: ["PART_DOWN"],
    next: "plant explain PART_DOWN",
  },
  "the store finds something of itself": {
    given: ({ state }) => {
      const checks = [
        { name: "room", status: "pass", output: "12 % used" },
        { name: "snapshots", status: "warn", output: "there is none", code: "SNAPSHOT_OLD" },
        { name: "flush", status: "warn", output: "slow", code: "OF_ANOTHER_VERSION" },
      ];
      state.stats = () => ({ checks });
    },
    state: "degraded",
    words: "all 2 devices answer · link up · 0 waiting",
    why: ["SNAPSHOT_OLD", "STORE_FAILED"],
    text: /^snapshots of the store: there is none$/,
    next: "plant explain SNAPSHOT_OLD",
  },
  "the store has no room left": {
    given: ({ state }) => {
      const room = { name: "room", status: "fail", output: "97 % used", code: "STORE_SHORT" };
      state.stats = () => ({ checks: [room], liveBytes: 97, roomBytes: 100 });
    },
    state: "fault",
    words: "all 2 devices answer · link up · 0 waiting",
    why: ["STORE_SHORT"],
    next: "plant explain STORE_SHORT",
  },
  "the store tells of itself in another way": {
    given: ({ state }) => {
      state.stats = () => ({ checks: "fine", wear: 7, snapshots: [] });
    },
    state: "ok",
    words: "all 2 devices answer · link up · 0 waiting",
    why: [],
    next: "",
  },
  "sync is away": {
    given: ({ bus }) => bus.serve("org.plantd.Sync", {})(),
    state: "degraded",
    words: "sync down · all 2 devices answer · 1 waiting",
    why: ["PART_DOWN"],
    next: "plant explain PART_DOWN",
  },
  "who asks may not ask sync": {
    given: ({ sync }) => {
      sync.status = () => {
        throw new PlantError("DENIED", { principal: "tank", service: "org.plantd.Sync" });
      };
    },
    state: "degraded",
    words: "sync down · all 2 devices answer · 1 waiting",
    why: ["DENIED"],
    next: "plant explain DENIED",
  },
  "a configured line has no driver": {
    given: ({ bus }) => bus.serve("org.plantd.driver.rs485-1", {})(),
    state: "fault",
    words: "driver:rs485-1 down · no devices · link up · 0 waiting",
    why: ["NO_SERVICE"],
    next: "plant explain NO_SERVICE",
  },
};

for (const [name, row] of Object.entries(verdicts)) {
  test(`verdict: ${name}`, async () => {
    const parts = fakeParts();
    row.given(parts);
    const { verdict } = await ask(parts);
    assert.equal(verdict.state, row.state);
    assert.equal(verdict.words, row.words);
    const codes = verdict.why.map(({ code }) => code);
    assert.deepEqual(codes, row.why);
    assert.equal(verdict.next, row.next);
    if (row.text !== undefined) assert.match(verdict.why[0]?.text ?? "", row.text);
  });
}

test("the box says how full the store is, what it wears and how old its snapshot is", async () => {
  const parts = fakeParts();
  parts.state.stats = () => ({
    ...{ liveBytes: 30, roomBytes: 100, wear: { perDayBytes: 4_000_000 } },
    ...{ snapshots: { count: 1, ageMs: 5 }, checks: [] },
  });
  const { box } = await ask(parts);
  assert.partialDeepStrictEqual(box.store, {
    ...{ room: { used: 30, total: 100 }, wearPerDay: 4_000_000, snapshotAgeMs: 5, checks: [] },
  });
});

test("a silent device names line, unit and how long", async () => {
  const parts = fakeParts();
  const meter = parts.driverStatus.devices[1]!;
  Object.assign(meter, { state: "silent", lastGood: stampAt(now - 720_000) });
  const { verdict } = await ask(parts);
  assert.equal(verdict.why[0]?.text, "meter-2 (rs485-1 unit 17) no answer for 12 min");
  assert.equal(verdict.why[0]?.since, now - 720_000);
});

test("a broker that is away is one fault, and the box still shows", async () => {
  const away = () => Promise.reject(new PlantError("BROKER_UNREACHABLE", { endpoint: "ipc://x" }));
  const client = { ...fakeParts().bus.client(), request: away, call: away };
  const status = await askStatus({ clock: fakeClock(now), client }, config);
  assert.equal(status.verdict.state, "fault");
  assert.deepEqual(
    status.verdict.why.map(({ code }) => code),
    ["BROKER_UNREACHABLE"],
  );
  assert.equal(status.verdict.next, "plantd run");
  assert.ok(status.box.cores > 0);
  assert.deepEqual(
    status.parts.map(({ name, state }) => `${name} ${state}`),
    ["broker down"],
  );
  assert.equal(status.outbox.waiting, null);
});

test("an answer of another version is a part that is down, not a crash", async () => {
  const parts = fakeParts();
  parts.sync.status = () => ({ link: 7 });
  parts.driver.status = () => "what?";
  const status = await ask(parts);
  const down = status.parts.filter(({ state }) => state === "down");
  assert.deepEqual(
    down.map(({ name, code }) => `${name} ${code}`),
    ["sync REMOTE_SHAPE", "driver:rs485-1 REMOTE_SHAPE"],
  );
  assert.equal(status.buses[0]?.state, "down");
});

test("odd fields are left out and the rest of the answer shows", async () => {
  const parts = fakeParts();
  const odd = { ...parts.driverStatus, loadPercent: "much", lastHour: null, turnaroundMs: 5 };
  parts.driver.status = () => ({ ...odd, settings: { baud: 9600, parity: "even" } });
  const bus = (await ask(parts)).buses[0]!;
  assert.equal(bus.loadPercent, null);
  assert.deepEqual(bus.lastHour, []);
  assert.equal(bus.settings, "9600 even");
  assert.equal(bus.okPerMinute, 238);
});

test("every field of the document exists, as null when unknown", async () => {
  const status = await ask(fakeParts());
  const withUndefined = JSON.stringify(status, (_, value) =>
    value === undefined ? "UNDEFINED" : value,
  );
  assert.ok(!withUndefined.includes("UNDEFINED"));
  assert.deepEqual(Object.keys(status).sort(), [
    "box",
    "broker",
    "buses",
    "devices",
    "gateway",
    "link",
    "outbox",
    "parts",
    "schema",
    "site",
    "time",
    "verdict",
  ]);
  assert.equal(status.schema, "plant.status/1");
});

test("a backlog that shrinks has an estimate, one that grows has none", () => {
  const drain = createDrain();
  assert.equal(drain.estimate(1000, 0), null);
  assert.equal(drain.estimate(900, 1000), null, "too early to say");
  assert.equal(drain.estimate(500, 5000), 5000);
  assert.equal(drain.estimate(5000, 6000), null);
  assert.equal(drain.estimate(null, 7000), null);
  assert.equal(drain.estimate(0, 8000), null);
});

test("a backlog that drains is nothing to act on, however old", async () => {
  const parts = fakeParts();
  const oldest = stampAt(now - 3_600_000);
  parts.syncStatus.streams.state = { head: 9000, watermark: 5000, waiting: 4000, oldest };
  const deps = { clock: fakeClock(now), client: parts.bus.client() };
  const { verdict } = await askStatus(deps, config, { estimate: () => 60_000 });
  assert.deepEqual([verdict.state, verdict.why], ["ok", []]);
});

test("little room degrades, next to none is a fault", async () => {
  const status = await ask(fakeParts());
  const at = (free: number) =>
    judge({ ...status, box: { ...status.box, disk: { total: 1000, free } }, local: [] }).state;
  assert.deepEqual([100, 99, 20, 19].map(at), ["ok", "degraded", "degraded", "fault"]);
});

test("a damaged database that was replaced shows until somebody has seen it", async () => {
  const status = await ask(fakeParts());
  const loss = { time: now, words: "nothing is lost" };
  const store = { ...status.box.store, loss };
  const judged = judge({ ...status, box: { ...status.box, store }, local: [] });
  assert.equal(judged.state, "degraded");
  assert.equal(judged.why[0]?.code, "STORE_REPLACED");
  assert.equal(judged.next, "plant backup losses");
});

test("numbers read as people write them", () => {
  const durations = [0, 8000, 119_000, 720_000, 7_800_000, 36_000_000, 273_600_000, 3.6e9];
  assert.deepEqual(durations.map(describeDuration), [
    "0 s",
    "8 s",
    "119 s",
    "12 min",
    "2 h 10 min",
    "10 h",
    "3 d 4 h",
    "41 d",
  ]);
  const units = ["kW.h", "m3/h", "Cel", "V.A{reactive}", "{starts}", "1", "1/min", "m/s2", "%"];
  assert.deepEqual(units.map(describeUnit), [
    "kWh",
    "m³/h",
    "°C",
    "var",
    "starts",
    "",
    "1/min",
    "m/s²",
    "%",
  ]);
  assert.equal(describeCount(18402), "18\u202f402");
  assert.deepEqual([0, 999, 1500, 148e6, 999_999].map(describeBytes), [
    "0 B",
    "999 B",
    "1.5 kB",
    "148 MB",
    "1.0 MB",
  ]);
  const values = [1, 0.1 + 0.2, 1e21, -0.5, "text", true, null, "18446744073709551615", { a: 1 }];
  assert.deepEqual(values.map(describeValue), [
    "1",
    "0.3",
    "1e+21",
    "-0.5",
    "text",
    "on",
    "–",
    "18446744073709551615",
    '{"a":1}',
  ]);
});
