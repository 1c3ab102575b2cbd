// A driver line as a gateway runs it, with a store in memory at its near end; cables of pseudo
// terminals for its far end. It must not know what a test wants to see.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Line, type LineAdapter, startLine, type WriteResult } from "../../drivers/kit/kit.ts";
import { loadProfile, modbusAdapter, type Profile } from "../../drivers/modbus/modbus.ts";
import { serialAdapter } from "../../drivers/serial/serial.ts";
import { type LineConfig, parseConfig } from "../../src/config/config.ts";
import { systemClock as clock, readBootId } from "../../src/util/clock.ts";
import { type Log, openLog } from "../../src/util/log.ts";
import { systemRandom } from "../../src/util/random.ts";
import { endlessRoom, type WorkerRequest } from "../../src/worker/worker.ts";
import { fakeBus } from "./bus.ts";

/** A point as the line reported it to the store. */
export interface StoredPoint {
  readonly scope: string;
  readonly key: string;
  readonly value: unknown;
  readonly quality: string;
  readonly reason?: string;
}

export interface FieldLine extends AsyncDisposable {
  readonly line: Line;
  /** The newest report of each point, by `device/point`. */
  readonly points: ReadonlyMap<string, StoredPoint>;
  /** Every report so far. */
  readonly history: readonly StoredPoint[];
  read(device: string, point: string): Promise<unknown>;
  write(device: string, point: string, value: unknown, more?: object): Promise<WriteResult>;
  status(): Promise<LineStatus>;
}

export interface LineStatus {
  readonly state: string;
  readonly counters: Readonly<Record<string, number>>;
  readonly devices: readonly { readonly name: string; readonly state: string }[];
}

/** A log nobody reads. */
export const silentLog: Log = openLog({ service: "test", level: "error", write: () => {} });

/** One line of a configuration in YAML flow form: `{ kind: serial, path: … }`. */
export function lineConfig(text: string): LineConfig {
  const { line } = parseConfig(`lines: { line: ${text} }`, {}).lines;
  if (line === undefined) throw new Error("no line");
  return line;
}

function adapterOf(config: LineConfig, profiles: Readonly<Record<string, Profile>>): LineAdapter {
  if (config.kind === "serial") return serialAdapter(config);
  return modbusAdapter(config, (id) => profiles[id] ?? loadProfile(id));
}

/** Starts a line that reports to a store in memory. */
export function startFieldLine(
  config: LineConfig,
  profiles: Readonly<Record<string, Profile>> = {},
): FieldLine {
  const bus = fakeBus();
  const points = new Map<string, StoredPoint>();
  const history: StoredPoint[] = [];
  let sequence = 0;
  bus.serve("org.plantd.State", {
    "set-many": ({ args }) => {
      const { points: told } = args as { points: StoredPoint[] };
      for (const point of told) {
        points.set(`${point.scope.replace("device/", "")}/${point.key}`, point);
        history.push(point);
      }
      sequence += told.length;
      return { first: sequence, last: sequence, repeated: false };
    },
    "append-event": () => ({ first: 1, last: 1, repeated: false }),
  });
  const line = startLine(
    { clock, log: silentLog, random: systemRandom, boot: readBootId(), client: bus.client() },
    { name: "line", config },
    adapterOf(config, profiles),
  );
  const ask = async (operation: string, args: unknown): Promise<unknown> => {
    const run = line.operations[operation];
    if (run === undefined) throw new Error(`no operation ${operation}`);
    const request: WorkerRequest = {
      operation,
      args,
      body: [],
      trace: "0".repeat(32),
      signal: new AbortController().signal,
      remainingMs: () => 15_000,
      partial: async () => {},
      room: endlessRoom,
    };
    return await run(request);
  };
  return {
    line,
    points,
    history,
    read: (device, point) => ask("read", { device, point }),
    write: (device, point, value, more = {}) =>
      ask("write", { device, point, value, ...more }) as Promise<WriteResult>,
    status: () => ask("status", {}) as Promise<LineStatus>,
    [Symbol.asyncDispose]: () => line[Symbol.asyncDispose](),
  };
}

/** A short folder of a test, and paths in it. */
export function fieldFolder(): Disposable & { path(name: string): string } {
  const folder = mkdtempSync(join(tmpdir(), "pl-f-"));
  return {
    path: (name) => join(folder, name),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}
