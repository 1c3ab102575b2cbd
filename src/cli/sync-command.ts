// `plant outbox …` and `plant enroll`: the way to the centre. It must not know MQTT.
import { describeCount, describeDuration, services } from "../status/status.ts";
import { PlantError } from "../util/errors.ts";
import { check, v } from "../util/shape.ts";
import type { Invocation } from "./command.ts";
import { columns } from "./output.ts";

/** Enrolment goes over the internet: it has longer than a call on the bus. */
const enrolMs = 30_000;

const stampShape = v.looseObject({ wall: v.number() });
const outboxShape = v.looseObject({
  enrolled: v.boolean(),
  link: v.string(),
  reason: v.optional(v.string()),
  words: v.optional(v.string()),
  paused: v.optional(v.boolean(), false),
  lastAck: v.optional(stampShape),
  streams: v.record(
    v.string(),
    v.looseObject({
      head: v.number(),
      watermark: v.number(),
      waiting: v.number(),
      oldest: v.optional(stampShape),
    }),
  ),
});

async function ask(
  invocation: Invocation,
  operation: string,
  args: object,
  deadlineMs = invocation.flags.timeoutMs,
): Promise<unknown> {
  const client = await invocation.client();
  return client.call(services.sync, operation, args, { deadlineMs, signal: invocation.signal });
}

/** What waits, per stream. */
export async function runOutbox(invocation: Invocation): Promise<number> {
  const { io, out } = invocation;
  const data = check(outboxShape, await ask(invocation, "status", {}), "REMOTE_SHAPE");
  const { enrolled, link, streams, paused } = data;
  const time = io.clock.wallMs();
  const waiting = Object.values(streams).reduce((sum, stream) => sum + stream.waiting, 0);
  const lastAck = data.lastAck?.wall ?? null;
  const facts = { time, enrolled, link, paused, waiting, lastAck, streams };
  const document = { schema: "plant.outbox/1", ...facts };
  out.result(document, () => {
    const held = paused ? " · publishing is paused, go on with: plant outbox resume" : "";
    const words = enrolled ? `link ${link}` : "not enrolled";
    const reason = data.words ?? data.reason;
    const why = reason === undefined || link === "up" ? held : `: ${reason}${held}`;
    const rows = Object.entries(streams).map(([name, stream]) => [
      name,
      describeCount(stream.waiting),
      stream.oldest === undefined || stream.waiting === 0
        ? "–"
        : describeDuration(time - stream.oldest.wall),
      describeCount(stream.watermark),
      describeCount(stream.head),
    ]);
    const names = ["STREAM", "WAITING>", "OLDEST>", "ACKNOWLEDGED>", "LAST>"];
    return [`${describeCount(waiting)} waiting · ${words}${why}`, ...columns(names, rows)].join(
      "\n",
    );
  });
  return 0;
}

/** Stops publishing. */
export async function runPause(invocation: Invocation): Promise<number> {
  await ask(invocation, "pause", {});
  const words = "publishing is paused; records wait here. Go on with: plant outbox resume";
  invocation.out.result({ schema: "plant.paused/1", paused: true }, () => words);
  return 0;
}

/** Publishes again. */
export async function runResume(invocation: Invocation): Promise<number> {
  await ask(invocation, "resume", {});
  const document = { schema: "plant.paused/1", paused: false };
  invocation.out.result(document, () => "publishing goes on");
  return 0;
}

const enrolledShape = v.looseObject({
  device: v.string(),
  centre: v.optional(v.string()),
  fingerprint: v.optional(v.string()),
});

/** Enrols at a centre with a one-time code; sync gives up an identity only with `--yes`. */
export async function runEnroll(invocation: Invocation): Promise<number> {
  const { io, out, args, flags } = invocation;
  const [url = "", given = ""] = args;
  const protocol = URL.canParse(url) ? new URL(url).protocol : "";
  if (protocol !== "https:" && protocol !== "http:") {
    throw new PlantError("USAGE", {
      message: `${url} is not an address such as https://hub.example`,
    });
  }
  const code = (given === "-" ? await io.readStdin() : given).trim();
  if (code === "") throw new PlantError("USAGE", { message: "the code is empty" });
  out.talk(`asking ${url} …`);
  const deadlineMs = Math.max(enrolMs, flags.timeoutMs);
  const request = { url, code, ...(flags.yes ? { replace: true } : {}) };
  const data = await ask(invocation, "enroll", request, deadlineMs);
  const enrolled = check(enrolledShape, data, "REMOTE_SHAPE");
  out.result({ schema: "plant.enrolled/1", ...enrolled }, () => {
    const { device, centre, fingerprint } = enrolled;
    const lines = [`enrolled as ${device}${centre === undefined ? "" : ` at ${centre}`}`];
    if (fingerprint !== undefined) lines.push(`fingerprint ${fingerprint}`);
    return lines.join("\n");
  });
  return 0;
}
