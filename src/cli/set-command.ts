// `plant set`: finds the line of a device and asks its driver for one write, at most once.
// It must not know how a driver writes.
import type { Client } from "../client/client.ts";
import { describeValue, listServices, services } from "../status/status.ts";
import { isCode, PlantError } from "../util/errors.ts";
import { check, v } from "../util/shape.ts";
import type { Invocation } from "./command.ts";
import { parseTarget } from "./values-command.ts";

const linesMs = 1500;

const driverShape = v.looseObject({
  line: v.string(),
  devices: v.optional(v.array(v.looseObject({ name: v.string() })), []),
});

const resultShape = v.looseObject({
  result: v.picklist(["ok", "failed", "unknown"]),
  code: v.optional(v.string()),
  before: v.optional(v.unknown()),
  after: v.optional(v.unknown()),
});

interface Request {
  readonly device: string;
  readonly point: string;
  readonly value: unknown;
  readonly expect?: unknown;
  readonly verify?: boolean;
}

/** Exit 0 only when the device confirmed the write. */
export async function runSet(invocation: Invocation): Promise<number> {
  const { args, options, out, flags, signal } = invocation;
  const { device, point } = parseTarget(args[0]);
  if (device === undefined || point === undefined || point === "" || device === "") {
    throw new PlantError("USAGE", { message: "name what to set as DEVICE/POINT" });
  }
  const value = parseValue(args[1] ?? "");
  const client = await invocation.client();
  const service = await findDriver(client, device);
  const expect = options.expect === undefined ? {} : { expect: parseValue(String(options.expect)) };
  const verify = options.verify === true ? { verify: true } : {};
  const request: Request = { device, point, value, ...expect, ...verify };
  const call = { deadlineMs: flags.timeoutMs, signal };
  const data = check(
    resultShape,
    await client.call(service, "write", request, call),
    "REMOTE_SHAPE",
  );
  const { result, code, before, after } = data;
  if (result !== "ok") {
    // Silence after the frame went out says nothing about the device's state: it is not known.
    const known = result === "unknown" ? "WRITE_UNKNOWN" : isCode(code) ? code : "WRITE_FAILED";
    const line = service.slice(services.driver.length);
    const facts = {
      line,
      reason: code,
      found: after ?? before,
      expected: request.expect,
      written: value,
    };
    throw new PlantError(known, { device, point, before, after, result, ...facts });
  }
  const document = { schema: "plant.write/1", device, point, value, ...data };
  out.result(document, () => {
    const was = before === undefined ? "" : `, was ${describeValue(before)}`;
    const reads = after === undefined ? "" : `, reads ${describeValue(after)}`;
    return `${device}/${point} set to ${describeValue(value)}${was}${reads}`;
  });
  return 0;
}

/** The driver that says the device is its own. @throws PlantError DEVICE_UNKNOWN. */
async function findDriver(client: Client, device: string): Promise<string> {
  const names = (await listServices(client, linesMs)).filter((name) =>
    name.startsWith(services.driver),
  );
  const asked = await Promise.allSettled(
    names.map(async (name) => {
      const data = await client.call(name, "status", {}, { deadlineMs: linesMs });
      const isOwn = check(driverShape, data).devices.some((one) => one.name === device);
      return isOwn ? name : undefined;
    }),
  );
  for (const answer of asked) {
    if (answer.status === "fulfilled" && answer.value !== undefined) return answer.value;
  }
  const silent = asked.filter(({ status }) => status === "rejected").length;
  const line = silent > 0 ? `a line that answers (${silent} did not)` : "any line";
  throw new PlantError("DEVICE_UNKNOWN", { device, line });
}

/**
 * A value as typed: JSON where it is JSON, `on` and `off` as booleans, else the text itself. A
 * whole number beyond 2^53 stays text, so that none of its digits is lost.
 */
export function parseValue(text: string): unknown {
  if (text === "on") return true;
  if (text === "off") return false;
  try {
    const value: unknown = JSON.parse(text);
    const isExact = typeof value !== "number" || Math.abs(value) <= Number.MAX_SAFE_INTEGER;
    return isExact ? value : text;
  } catch {
    return text; // not JSON: a plain word
  }
}
