// What the recorded store is asked: lanes of requests beside each other, each lane with keys and a
// source of its own, so that the order of a key is the order of its lane. It must not know files.
import type { Random } from "../../src/util/random.ts";

/** How one recording loads the store. */
export interface Mix {
  readonly name: string;
  /** Requests of each lane between two turns. */
  readonly steps: number;
  readonly lanes: readonly LaneKind[];
  /** What happens when all lanes have done their steps, in this order. */
  readonly turns: readonly Turn[];
  /** Settings of the store beside those of a small one. */
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly padMax?: number;
}

export type LaneKind =
  | "set"
  | "many"
  | "event"
  | "line"
  | "ack"
  | "compare"
  | "passing"
  | "schema"
  | "import"
  | "consumer";

/**
 * Between two loads: the store closed and opened, the process killed or ended, a backup made or put
 * back; and `trim-too-far`, which breaks the store on purpose.
 */
export type Turn = "reopen" | "kill" | "end" | "backup" | "restore" | "trim-too-far";

/** A request as it goes to the store; `id` is its number over all lanes and lives. */
export interface Request {
  readonly id: number;
  readonly lane: string;
  readonly operation: string;
  readonly args: Readonly<Record<string, unknown>>;
}

export const consumer = "sync";
export const passphrase = "power is back";

/** The loads that are cut; small stores, so that a cut is quick. */
export const mixes: readonly Mix[] = [
  {
    name: "sets",
    steps: 14,
    lanes: ["set", "set", "set"],
    turns: ["reopen", "kill", "end"],
  },
  {
    name: "many",
    steps: 10,
    lanes: ["many", "many", "many", "many"],
    turns: ["reopen", "kill", "reopen", "end"],
    padMax: 3000,
  },
  {
    name: "streams",
    steps: 10,
    lanes: ["event", "line", "set", "many"],
    turns: ["kill", "reopen", "end"],
  },
  {
    name: "trim",
    steps: 16,
    lanes: ["many", "event", "line", "set", "ack", "ack"],
    turns: ["reopen", "kill", "reopen", "end"],
    settings: { keepMs: 0, checkpointMs: 3, aheadMiB: 1 },
  },
  {
    name: "checkpoint",
    steps: 24,
    lanes: ["set", "many", "ack"],
    turns: ["kill", "reopen", "end"],
    settings: { keepMs: 0, checkpointMs: 1 },
    padMax: 1200,
  },
  {
    name: "covers",
    steps: 40,
    lanes: ["many", "many", "event", "line"],
    turns: ["reopen", "kill", "end"],
    // So little room that what nobody has read gives way to aggregates and covers.
    settings: {
      keepMs: 86_400_000,
      checkpointMs: 4,
      thinAfterMs: 0,
      quota: { state: 1, event: 1, log: 1, metric: 1 },
    },
    padMax: 8000,
  },
  {
    name: "words",
    steps: 10,
    lanes: ["compare", "passing", "schema", "import", "consumer", "ack"],
    turns: ["reopen", "kill", "reopen", "end"],
    settings: { keepMs: 0, checkpointMs: 3 },
  },
  {
    name: "backup",
    steps: 6,
    lanes: ["set", "many", "event"],
    turns: ["backup", "kill", "restore", "reopen", "end"],
  },
];

const words = "the pump at the weir runs dry when nobody looks at its pressure ";

/** The text of a mark that a value, an event or a line carries, with something to fill it. */
function padded(tag: string, random: Random, padMax: number): string {
  const bytes = Math.floor(random.unit() ** 3 * padMax);
  // What does not compress fills a store sooner.
  if (padMax > 3000) return `${tag}:${Buffer.from(random.bytes(bytes / 2)).toString("hex")}`;
  return `${tag}:${words.repeat(Math.ceil(bytes / words.length)).slice(0, bytes)}`;
}

/** Names one write of a request. */
function tagFor(id: number, at: number): string {
  return String(100 * id + at);
}

/** A value that says by which request it was written, in one of many shapes. */
function markedValue(tag: string, random: Random, padMax: number): Record<string, unknown> {
  const kind = Math.floor(random.unit() * 5);
  if (kind === 0) return { value: Number(tag) };
  if (kind === 1) return { value: [tag, kind, null, { deep: tag }] };
  if (kind === 2) return { value: { tag, pad: padded(tag, random, padMax) } };
  return { value: padded(tag, random, padMax) };
}

const qualities = [
  {},
  { quality: "good" },
  { quality: "bad", reason: "no-answer" },
  { quality: "uncertain" },
];

/** The next request of a lane. */
export class Lane {
  readonly name: string;
  readonly kind: LaneKind;
  readonly #random: Random;
  readonly #padMax: number;
  readonly #run: string;
  #number = 0;
  /** What comparisons have left, by key. */
  readonly #left = new Map<string, unknown>();

  constructor(name: string, kind: LaneKind, deps: { random: Random; run: string; padMax: number }) {
    this.name = name;
    this.kind = kind;
    this.#random = deps.random;
    this.#run = deps.run;
    this.#padMax = deps.padMax;
  }

  /** @param heads what each stream has, for the acknowledgements of a consumer. */
  next(id: number, heads: Readonly<Record<string, number>>): Request {
    const random = this.#random;
    const lane = this.name;
    this.#number += 1;
    const flush = random.unit() < 0.4 ? "now" : "group";
    const source = { source: lane, run: this.#run, number: this.#number, flush };
    const count = 1 + Math.floor(random.unit() * 8);
    const tags = Array.from({ length: count }, (_, at) => tagFor(id, at));
    switch (this.kind) {
      case "set": {
        const key = `k${Math.floor(random.unit() * 5)}`;
        if (random.unit() < 0.25) {
          return { id, lane, operation: "delete", args: { service: lane, key } };
        }
        const { value } = markedValue(tagFor(id, 0), random, this.#padMax);
        return { id, lane, operation: "set", args: { service: lane, key, value } };
      }
      case "many": {
        const keys = [...Array(16).keys()].sort(() => random.unit() - 0.5);
        const points = tags.map((tag, at) => ({
          scope: lane,
          key: `k${keys[at]}`,
          ...markedValue(tag, random, this.#padMax),
          ...qualities[Math.floor(random.unit() * qualities.length)],
          ...(random.unit() < 0.1 ? { unit: random.unit() < 0.5 ? "bar" : "kPa" } : {}),
        }));
        return { id, lane, operation: "set-many", args: { ...source, points } };
      }
      case "event": {
        const events = tags.map((tag) => ({
          kind: "test",
          severity: "info",
          message: padded(tag, random, this.#padMax),
        }));
        return { id, lane, operation: "append-event", args: { ...source, events } };
      }
      case "line": {
        const lines = tags.map((tag) => padded(tag, random, this.#padMax));
        const { flush: _, ...rest } = source;
        return { id, lane, operation: "append-lines", args: { ...rest, lines } };
      }
      case "compare":
      case "passing":
      case "schema":
      case "import":
      case "consumer":
        return { id, lane, ...this.#special(id, source) };
      case "ack": {
        const stream = ["state", "event", "log"][Math.floor(random.unit() * 3)] ?? "state";
        const head = heads[stream] ?? 0;
        const sequence = Math.max(0, head - Math.floor(random.unit() * 4));
        return { id, lane, operation: "ack", args: { consumer, stream, sequence } };
      }
    }
  }

  /** Requests that do more than put what they are given. */
  #special(id: number, source: object): Pick<Request, "operation" | "args"> {
    const random = this.#random;
    const scope = this.name;
    const { value } = markedValue(tagFor(id, 0), random, this.#padMax);
    switch (this.kind) {
      case "compare": {
        // Nobody else writes in this lane: the point is as it was left, or is not there.
        const key = `k${Math.floor(random.unit() * 4)}`;
        const before = this.#left.get(key);
        this.#left.set(key, value);
        const expect = before === undefined ? { absent: true } : { value: before };
        const point = { scope: `${scope}-${this.#run}`, key, value };
        return { operation: "compare-and-set", args: { ...source, ...point, expect } };
      }
      case "passing": {
        const key = `k${Math.floor(random.unit() * 8)}`;
        const ttlMs = 1 + Math.floor(random.unit() * 12);
        const points = [{ scope, key, value, ttlMs }];
        return { operation: "set-many", args: { ...source, points } };
      }
      case "schema": {
        if (random.unit() < 0.3) return { operation: "schema-delete", args: { scope } };
        const name = `k${Math.floor(random.unit() * 9)}`;
        return { operation: "schema-set", args: { scope, schema: { points: { [name]: {} } } } };
      }
      case "import": {
        const point = { scope, key: `k${Math.floor(random.unit() * 6)}`, value, quality: "good" };
        const lines = ['{"format":"plantd-points","version":1}', JSON.stringify(point)];
        return { operation: "import", args: { first: 1, lines, replace: true } };
      }
      default: {
        const operation = random.unit() < 0.5 ? "consumer-add" : "consumer-remove";
        return { operation, args: { consumer: "archive" } };
      }
    }
  }
}

/** The mark of a value, an event's message or a line; nothing where it has none. */
export function tagOf(value: unknown): string | undefined {
  if (typeof value === "number") return String(value);
  if (Array.isArray(value)) return tagOf(value[0]);
  if (typeof value === "object" && value !== null) return tagOf((value as { tag: unknown }).tag);
  if (typeof value !== "string") return undefined;
  return value.split(":", 1)[0];
}
