// What a line offers on the bus: status, read, write, health.
// It must not know how requests look on the wire.
import { asPlantError, PlantError } from "../../src/util/errors.ts";
import { check, v } from "../../src/util/shape.ts";
import type { Operation, WorkerRequest } from "../../src/worker/worker.ts";
import { codeOf, type DeviceDesk } from "./device-desk.ts";
import type { PointValue, ReadPlan, Sample } from "./device-plan.ts";
import type { Outcome } from "./exchange.ts";
import type { LineParts } from "./line-parts.ts";
import { pointOf } from "./reporter.ts";

const readArgs = v.object({ device: v.string(), point: v.string() });
const value = v.union([v.number(), v.string(), v.boolean(), v.null()]);
const writeArgs = v.object({
  device: v.string(),
  point: v.string(),
  value,
  expect: v.optional(value),
  verify: v.optional(v.boolean()),
});
type WriteArgs = v.InferOutput<typeof writeArgs>;

/** The result of a write. `unknown`: the frame went out, and nothing tells what became of it. */
export interface WriteResult {
  readonly result: "ok" | "failed" | "unknown";
  readonly code?: string;
  readonly before?: PointValue;
  readonly after?: PointValue;
}

/** Time kept back from a deadline for the way of the answer. */
const marginMs = 50;

/** The operations of a line, by name. */
export function operationsOf(parts: LineParts): Readonly<Record<string, Operation>> {
  return {
    status: () => statusOf(parts),
    health: () => healthOf(parts),
    read: (request) => readPoint(parts, request),
    write: (request) => writePoint(parts, request),
  };
}

function statusOf(parts: LineParts) {
  const { options, adapter, bus, desks, reporter } = parts;
  const { state, reason } = bus.state;
  return {
    line: options.name,
    kind: options.config.kind,
    settings: adapter.settings,
    state,
    ...(reason === undefined ? {} : { reason }),
    ...bus.report(),
    overruns: parts.overruns(),
    reports: reporter.figures,
    devices: [...desks.values()].map((desk) => desk.status),
  };
}

function healthOf({ bus, desks, options }: LineParts) {
  const { state, reason } = bus.state;
  const silent = [...desks.values()].filter((desk) => desk.status.state === "silent");
  const isOpen = state === "open";
  const checks = [
    { name: `line ${options.name}`, status: isOpen ? "pass" : "fail", output: reason ?? state },
    {
      name: `devices of ${options.name}`,
      status: silent.length === 0 ? "pass" : "warn",
      output: silent.map((desk) => desk.plan.name).join(" "),
    },
  ];
  const status = !isOpen ? "fail" : silent.length > 0 ? "warn" : "pass";
  return { status, checks };
}

function deskOf(parts: LineParts, device: string): DeviceDesk {
  const desk = parts.desks.get(device);
  const line = parts.options.name;
  if (desk === undefined) throw new PlantError("DEVICE_UNKNOWN", { device, line });
  if (!desk.plan.isEnabled) throw new PlantError("DEVICE_DISABLED", { device, line });
  return desk;
}

function deadlineOf(parts: LineParts, request: WorkerRequest): number {
  const leftMs = Math.max(0, request.remainingMs() - marginMs);
  return parts.deps.clock.monotonicMs() + leftMs;
}

/** One read in the lane of people; its samples are recorded like polled ones. */
async function readNow(
  parts: LineParts,
  desk: DeviceDesk,
  plan: { readonly read: ReadPlan; readonly deadlineMs: number },
): Promise<Outcome<readonly Sample[]>> {
  const outcome = await parts.bus.request(plan.read.exchange("write", plan.deadlineMs));
  desk.noteAnswer(outcome);
  if (outcome.is === "ok") parts.record(desk.timed(outcome.value, outcome.at), "now");
  return outcome;
}

async function readPoint(parts: LineParts, request: WorkerRequest) {
  const { device, point } = check(readArgs, request.args);
  const desk = deskOf(parts, device);
  const read = desk.plan.planRead(point);
  const outcome = await readNow(parts, desk, { read, deadlineMs: deadlineOf(parts, request) });
  if (outcome.is !== "ok") throw failureOf(parts, device, outcome);
  const sample = outcome.value.find((one) => one.point === point);
  if (sample === undefined) throw new PlantError("POINT_UNKNOWN", { device, point });
  return pointOf({ ...sample, device, time: outcome.at }, desk.infoOf(point));
}

function failureOf(
  parts: LineParts,
  device: string,
  outcome: Exclude<Outcome<unknown>, { is: "ok" }>,
): PlantError {
  const line = parts.options.name;
  const code = codeOf(outcome);
  if (outcome.is === "exception") {
    const { exception } = outcome;
    const words = parts.adapter.exceptionWords?.(exception) ?? "no words for it";
    return new PlantError(code, { device, line, exception, words });
  }
  if (outcome.is === "fault") return new PlantError(code, { device, line, fault: outcome.fault });
  const { reason = "it is not open" } = parts.bus.state;
  return new PlantError(code, {
    ...{ device, line, reason, port: parts.options.name, service: parts.options.name },
    ...{ limit: "the queue of the line", max: parts.options.config.queueMax },
  });
}

async function writePoint(parts: LineParts, request: WorkerRequest): Promise<WriteResult> {
  const args = check(writeArgs, request.args);
  const desk = deskOf(parts, args.device);
  desk.plan.planWrite(args.point, args.value);
  const result = await carryOut(parts, desk, { args, deadlineMs: deadlineOf(parts, request) });
  const { clock, boot, clockSync } = parts.deps;
  const time = {
    wall: clock.wallMs(),
    boot,
    mono: Math.round(clock.monotonicMs()),
    sync: clockSync?.() ?? "none",
  } as const;
  parts.reporter.event({
    kind: "write",
    severity: result.result === "ok" ? "info" : "warning",
    message: `${args.device}/${args.point} = ${String(args.value)}: ${result.result}`,
    detail: { line: parts.options.name, ...args, ...result },
    time,
  });
  parts.hasten(args.device);
  return result;
}

/** A write with its guard before and its look after. The frame goes out once or not at all. */
async function carryOut(
  parts: LineParts,
  desk: DeviceDesk,
  order: { readonly args: WriteArgs; readonly deadlineMs: number },
): Promise<WriteResult> {
  const { args, deadlineMs } = order;
  const { point } = args;
  const plan = desk.plan.planWrite(point, args.value);
  const look = () => readNow(parts, desk, { read: desk.plan.planRead(point), deadlineMs });
  // A point that is only a command cannot be looked at: said before anything goes out.
  if (args.expect !== undefined || args.verify === true) desk.plan.planRead(point);
  let before: PointValue | undefined;
  if (args.expect !== undefined) {
    const expected = expectedValue(desk, point, args.expect);
    const outcome = await look();
    if (outcome.is !== "ok") return { result: "failed", code: codeOf(outcome) };
    before = valueIn(outcome.value, point);
    if (before !== expected) return { result: "failed", code: "WRITE_GUARDED", before };
  }
  const known = before === undefined ? {} : { before };
  const outcome = await parts.bus.request(plan.exchange(deadlineMs));
  desk.noteAnswer(outcome);
  if (outcome.is !== "ok") return { result: isSurelyNot(outcome), code: codeOf(outcome), ...known };
  if (args.verify !== true) return { result: "ok", ...known };
  const seen = await look();
  if (seen.is !== "ok") return { result: "unknown", code: codeOf(seen), ...known };
  const after = valueIn(seen.value, point);
  if (after === plan.value) return { result: "ok", ...known, after };
  return { result: "failed", code: "WRITE_UNVERIFIED", ...known, after };
}

/** An expected value in the resolution of the device; one it cannot hold is taken as it is. */
function expectedValue(desk: DeviceDesk, point: string, expected: PointValue): PointValue {
  try {
    return desk.plan.planWrite(point, expected).value;
  } catch (error) {
    if (asPlantError(error).code !== "VALUE_REFUSED") throw error;
    return expected;
  }
}

function valueIn(samples: readonly Sample[], point: string): PointValue {
  return samples.find((sample) => sample.point === point)?.value ?? null;
}

/** Whether the device has surely not carried out a write: it refused, or never saw it. */
function isSurelyNot(outcome: Exclude<Outcome<unknown>, { is: "ok" }>): "failed" | "unknown" {
  if (outcome.is === "unsent") return "failed";
  return outcome.is === "exception" && !outcome.isUnreachable ? "failed" : "unknown";
}
