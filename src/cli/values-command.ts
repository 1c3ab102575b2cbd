// `plant values` and `plant state watch`: current points, and points as they change.
// It must not know which device they come from.
import type { Client } from "../client/client.ts";
import {
  describeDuration,
  describeUnit,
  describeValue,
  listPoints,
  type Point,
  readPoints,
  services,
} from "../status/status.ts";
import { PlantError } from "../util/errors.ts";
import type { Invocation } from "./command.ts";
import { columns, type Output } from "./output.ts";

/** Points that one command prints. */
const pointsMax = 20_000;
/** A watch ends at the store after 30 s at most; then it is asked again. */
const watchMs = 40_000;

/** Values of all devices, of DEVICE, or of DEVICE/POINT. */
export async function runValues(invocation: Invocation): Promise<number> {
  const { options, args } = invocation;
  const target = parseTarget(args[0]);
  if (options.changed === true) return follow(invocation, (point) => isWanted(point, target));
  const client = await invocation.client();
  const scope = target.device === undefined ? {} : { scope: `device/${target.device}` };
  const { timeoutMs } = invocation.flags;
  const all = await listPoints(client, { ...scope, max: pointsMax, deadlineMs: timeoutMs });
  const wanted = all.filter((point) => isWanted(point, target));
  if (wanted.length === 0 && target.device !== undefined) {
    const { device, point } = target;
    if (point === undefined || !all.some(({ scope: name }) => name === `device/${device}`)) {
      throw new PlantError("DEVICE_UNKNOWN", { device, line: "any line" });
    }
    throw new PlantError("POINT_UNKNOWN", { device, point });
  }
  const shown =
    options.stale === true ? wanted.filter(({ quality }) => quality !== "good") : wanted;
  printPoints(invocation, shown, (point) => point.scope.slice("device/".length));
  return 0;
}

/** `plant state watch [scope]`. */
export function runWatch(invocation: Invocation): Promise<number> {
  const scope = invocation.args[0];
  return follow(invocation, (point) => scope === undefined || point.scope === scope);
}

interface Target {
  readonly device?: string;
  readonly point?: string;
}

/** `meter-1` or `meter-1/voltage`; nothing means all. */
export function parseTarget(text: string | undefined): Target {
  if (text === undefined) return {};
  const cut = text.indexOf("/");
  if (cut < 0) return { device: text };
  return { device: text.slice(0, cut), point: text.slice(cut + 1) };
}

function isWanted({ scope, key }: Point, { device, point }: Target): boolean {
  if (!scope.startsWith("device/")) return false;
  if (device !== undefined && scope !== `device/${device}`) return false;
  return point === undefined || key === point;
}

/** Prints points as one document or as columns. */
export function printPoints(
  invocation: Invocation,
  points: readonly Point[],
  nameOf: (point: Point) => string,
): void {
  const { io, out } = invocation;
  const time = io.clock.wallMs();
  out.result({ schema: "plant.values/1", time, points }, () => {
    if (points.length === 0) return "no values";
    const rows = points.map((point) => [
      `${nameOf(point)}/${point.key}`,
      describeValue(point.value),
      describeUnit(point.unit),
      point.reason === undefined ? point.quality : `${point.quality}: ${point.reason}`,
      point.time.wall === 0 ? "–" : describeDuration(time - point.time.wall),
    ]);
    return columns(["POINT", "VALUE>", "UNIT", "QUALITY", "AGE>"], rows).join("\n");
  });
}

/** Prints every change until it is interrupted or `--for` is over. */
async function follow(invocation: Invocation, wants: (point: Point) => boolean): Promise<number> {
  const { io, out, signal } = invocation;
  const client = await invocation.client();
  out.talk("watching; end with Ctrl-C");
  let after: number | undefined;
  try {
    while (!signal.aborted) {
      after = await watchOnce(client, after, signal, (point) => {
        if (!wants(point)) return;
        const document = { schema: "plant.point/1", ...point };
        out.item(document, () => changeInWords(point, out));
      });
      await io.clock.sleep(0, signal);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  if (io.signal.aborted) throw new PlantError("CANCELLED");
  return 0;
}

/** One watch of the store. @returns the position to go on from. */
async function watchOnce(
  client: Client,
  after: number | undefined,
  signal: AbortSignal,
  hear: (point: Point) => void,
): Promise<number | undefined> {
  const args = after === undefined ? {} : { after };
  const parts = client.stream(services.state, "watch", args, { deadlineMs: watchMs, signal });
  let position = after;
  for (;;) {
    const part = await parts.next();
    if (part.done === true) {
      const end = (part.value as { position?: unknown } | null)?.position;
      return typeof end === "number" && end > 0 ? end : position;
    }
    for (const point of readPoints(part.value)) {
      position = Math.max(position ?? 0, point.revision);
      hear(point);
    }
  }
}

function changeInWords(point: Point, out: Output): string {
  const { scope, key, value, unit, quality, reason, time } = point;
  const name = scope.startsWith("device/") ? scope.slice("device/".length) : scope;
  const state = quality === "good" ? "" : `  ${out.paint("yellow", reason ?? quality)}`;
  const text = `${describeValue(value)}${unit === undefined ? "" : ` ${describeUnit(unit)}`}`;
  return `${out.time(time.wall, "clock")}  ${name}/${key}  ${text}${state}`;
}
