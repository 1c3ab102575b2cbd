// `plant values`: current points, and points as they change.
// It must not know which device they come from.
import {
  describeDuration,
  describeUnit,
  describeValue,
  listPoints,
  type Point,
} from "../status/status.ts";
import { PlantError } from "../util/errors.ts";
import type { Invocation } from "./command.ts";
import { columns, type Output } from "./output.ts";
import { watchPoints } from "./point-watch.ts";

/** Points that one command prints. */
const pointsMax = 20_000;
/** Characters of a value in a table. */
const valueMax = 48;

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
  if (options.stale === true && shown.length === 0 && wanted.length > 0) {
    invocation.out.talk(`all ${wanted.length} values are good`);
  }
  printPoints(invocation, shown, (point) => point.scope.slice("device/".length));
  return 0;
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

/** A long text would push what stands beside it off the screen; `plant state get` has all of it. */
function shortened(text: string): string {
  return text.length > valueMax ? `${text.slice(0, valueMax - 1)}…` : text;
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
      shortened(describeValue(point.value)),
      describeUnit(point.unit),
      point.reason === undefined ? point.quality : `${point.quality}: ${point.reason}`,
      point.time.wall === 0 ? "–" : describeDuration(time - point.time.wall),
    ]);
    return columns(["POINT", "VALUE>", "UNIT", "QUALITY", "AGE>"], rows).join("\n");
  });
}

/** Prints every change until it is interrupted or `--for` is over. */
function follow(invocation: Invocation, wants: (point: Point) => boolean): Promise<number> {
  const { out } = invocation;
  return watchPoints(invocation, {}, (point) => {
    if (wants(point)) printChange(point, out);
  });
}

/** Prints a point as it is now. */
export function printChange(point: Point, out: Output): void {
  out.item({ schema: "plant.point/1", ...point }, () => changeInWords(point, out));
}

function changeInWords(point: Point, out: Output): string {
  const { scope, key, value, unit, quality, reason, time } = point;
  const name = scope.startsWith("device/") ? scope.slice("device/".length) : scope;
  const state = quality === "good" ? "" : `  ${out.paint("yellow", reason ?? quality)}`;
  const text = `${describeValue(value)}${unit === undefined ? "" : ` ${describeUnit(unit)}`}`;
  return `${out.time(time.wall, "clock")}  ${name}/${key}  ${text}${state}`;
}
