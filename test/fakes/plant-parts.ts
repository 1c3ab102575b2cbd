// A gateway's parts on a bus in memory, answering as the real ones do when all is well.
// It must not know who asks.
import { PlantError } from "../../src/util/errors.ts";
import type { Operation } from "../../src/worker/worker.ts";
import { type FakeBus, fakeBus } from "./bus.ts";

type Operations = Record<string, Operation>;

/** The services a test may change before or between requests. */
export interface FakeParts {
  readonly bus: FakeBus;
  readonly state: Operations;
  readonly sync: Operations;
  readonly driver: Operations;
  /** What the driver answers to `status`; tests change it. */
  readonly driverStatus: ReturnType<typeof driverStatus>;
  /** What sync answers to `status`. */
  readonly syncStatus: ReturnType<typeof syncStatus>;
  /** Points of the store, in order. */
  readonly points: FakePoint[];
  /** Changes points and tells those who watch. */
  publish(...points: FakePoint[]): void;
}

export interface FakePoint {
  scope: string;
  key: string;
  value: unknown;
  unit?: string;
  quality: string;
  reason?: string;
  time: { wall: number; boot: string; mono: number; sync: string };
  revision: number;
  source: string;
}

export const now = 1_763_739_127_000;

export function stampAt(wall: number): FakePoint["time"] {
  return { wall, boot: "b".repeat(32), mono: 1000, sync: "ntp" };
}

export function pointOf(key: string, value: unknown, more: Partial<FakePoint> = {}): FakePoint {
  return {
    scope: "device/meter-1",
    key,
    value,
    quality: "good",
    time: stampAt(now - 1000),
    revision: 1,
    source: "driver.rs485-1",
    ...more,
  };
}

function driverStatus() {
  return {
    line: "rs485-1",
    kind: "modbus-rtu",
    settings: "9600 8E1" as unknown,
    state: "open",
    reason: undefined as string | undefined,
    counters: { requests: 300, ok: 288, timeouts: 12, crc: 0, exceptions: 0, late: 0, other: 0 },
    okPerMinute: 238,
    loadPercent: 41,
    turnaroundMs: { p50: 38, p99: 122 },
    lastHour: [9, 9, 9, 9, 9, 9, 9, 3, 3, 3],
    devices: [
      {
        name: "meter-1",
        profile: "em340",
        unit: 3,
        state: "ok",
        code: undefined as string | undefined,
        since: stampAt(now - 3_600_000),
        lastGood: stampAt(now - 500) as FakePoint["time"] | undefined,
        points: 12 as unknown,
      },
      {
        name: "meter-2",
        profile: "em340",
        unit: 17,
        state: "ok",
        code: undefined,
        since: stampAt(now - 3_600_000),
        lastGood: stampAt(now - 500),
        points: 12,
      },
    ],
  };
}

function syncStatus() {
  return {
    enrolled: true,
    device: "gw-0417",
    centre: "hub",
    mqtt: "mqtts://hub.example:8883",
    link: "up",
    since: stampAt(now - 273_600_000),
    reason: undefined as string | undefined,
    lastAck: stampAt(now - 1000),
    window: 0,
    streams: {
      state: { head: 5000, watermark: 5000, waiting: 0, oldest: undefined as unknown },
      event: { head: 20, watermark: 20, waiting: 0, oldest: undefined as unknown },
    },
    counters: { batches: 1, records: 1, resends: 0, refused: 0, bytes: 1 },
  };
}

/** Starts them all, with two devices on one line. */
export function fakeParts(): FakeParts {
  const bus = fakeBus();
  const line = driverStatus();
  const link = syncStatus();
  const points = [
    pointOf("voltage", 230.2, { unit: "V" }),
    pointOf("active-power", 1412.5, { unit: "W", revision: 2 }),
    pointOf("relay", true, { revision: 3 }),
    pointOf("voltage", null, {
      scope: "device/meter-2",
      quality: "bad",
      reason: "no-answer",
      unit: "V",
      revision: 4,
    }),
  ];
  const watchers = new Set<(points: readonly FakePoint[]) => void>();
  const events = [
    {
      sequence: 1,
      kind: "event",
      time: stampAt(now - 60_000),
      source: "driver.rs485-1",
      event: { kind: "device-silent", severity: "warning", message: "meter-2 went silent" },
    },
  ];
  const state: Operations = {
    stats: () => ({ points: points.length, fileBytes: 4_000_000, bytesPut: 9_000_000 }),
    position: () => ({
      streams: { state: { head: 5000, watermark: 5000 }, event: { head: 1, watermark: 0 } },
    }),
    list: ({ args }) => {
      const { scope, prefix } = (args ?? {}) as { scope?: string; prefix?: string };
      const found = points.filter(
        (point) =>
          (scope === undefined || point.scope === scope) &&
          (prefix === undefined || point.key.startsWith(prefix)),
      );
      return { points: found };
    },
    get: ({ args }) => {
      const { scope, key } = args as { scope: string; key: string };
      const found = points.find((point) => point.scope === scope && point.key === key);
      if (found === undefined) throw new PlantError("STATE_NOT_FOUND", { scope, key });
      return found;
    },
    watch: async ({ partial, signal }) => {
      await new Promise<void>((resolve) => {
        const tell = (changed: readonly FakePoint[]) => void partial({ points: changed });
        watchers.add(tell);
        const stop = () => {
          watchers.delete(tell);
          resolve();
        };
        if (signal.aborted) stop();
        signal.addEventListener("abort", stop, { once: true });
      });
      return { position: 0 };
    },
    changes: async ({ args, signal }) => {
      const { after, waitMs } = args as { after: number; waitMs?: number };
      const records = events.filter(({ sequence }) => sequence > after);
      if (records.length === 0 && waitMs) {
        await new Promise<void>((resolve) => {
          if (signal.aborted) resolve();
          signal.addEventListener("abort", () => resolve(), { once: true });
        });
      }
      return { epoch: "0".repeat(32), records, last: 1, head: 1 };
    },
    "set-many": () => ({ first: 1, last: 1, repeated: false }),
    delete: () => ({}),
    "create-scope": () => ({}),
    "delete-scope": () => ({}),
    "list-scopes": () => ({ scopes: ["device/meter-1", "device/meter-2"] }),
    "backup-list": () => ({ backups: [{ path: "/data/a.plb", bytes: 1000, time: stampAt(now) }] }),
    "backup-create": async ({ partial }) => {
      await partial({ done: 500, total: 1000 });
      return { path: "/data/backups/new.plb", bytes: 1000 };
    },
    "backup-restore": () => ({ epoch: "e".repeat(32) }),
  };
  const sync: Operations = {
    status: () => link,
    enroll: () => ({ device: "gw-0417", centre: "hub", fingerprint: "abc" }),
    pause: () => ({ paused: true }),
    resume: () => ({ paused: false }),
  };
  const driver: Operations = {
    status: () => line,
    write: () => ({ result: "ok", before: 1, after: 2 }),
  };
  bus.serve("org.plantd.State", state);
  bus.serve("org.plantd.Sync", sync);
  bus.serve("org.plantd.driver.rs485-1", driver);
  bus.serve("org.plantd.module.Echo", { echo: ({ args }) => args });
  bus.internal["mmi.queue"] = { services: [], more: 0 };
  bus.serve("org.plantd.Logger", {
    levels: () => ({
      levels: [
        { part: "http", level: "configured", configured: "info" },
        { part: "store", level: "debug", configured: "info", forMs: 600_000, isApplied: false },
      ],
    }),
    "set-level": ({ args }) => {
      const { part } = args as { part: string };
      return { ...(args as object), ...(part === "store" ? { isApplied: false } : {}) };
    },
    tail: () => ({
      lines: [
        {
          timestamp: "2026-11-21T15:00:00.000Z",
          level: "error",
          service: "plantd-sync",
          message: "the link was lost",
          code: "LINK_AWAY",
        },
      ],
    }),
  });
  return {
    bus,
    state,
    sync,
    driver,
    driverStatus: line,
    syncStatus: link,
    points,
    publish(...changed) {
      for (const point of changed) {
        const at = points.findIndex(({ scope, key }) => scope === point.scope && key === point.key);
        if (at < 0) points.push(point);
        else points[at] = point;
      }
      for (const tell of watchers) tell(changed);
    },
  };
}
