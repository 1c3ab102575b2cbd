// The store as sync sees it: its position, records to send, watermarks. Answers are checked here.
// It must not know what is sent where.
import type { BatchRecord, Stream } from "../batch/batch.ts";
import type { CallOptions, Client } from "../client/client.ts";
import { check, v } from "../util/shape.ts";
import type { StorePosition } from "./lineage.ts";

const service = "org.plantd.State";
/** The name under which the store keeps this consumer's watermarks. */
const consumer = "sync";
const callMs = 10_000;
/** What the store gives in one answer at most. */
const limitMax = 10_000;
const bytesMaxMax = 4_194_304;

const sequence = v.pipe(v.number(), v.integer(), v.minValue(0));
const epoch = v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/));
const stream = v.picklist(["event", "state", "log", "metric"]);
const streamPosition = v.object({
  first: sequence,
  head: sequence,
  watermark: sequence,
  oldest: v.optional(v.unknown()),
});
const positionSchema = v.object({
  lineage: v.pipe(
    v.array(
      v.object({
        epoch,
        parent: v.optional(v.nullable(epoch), null),
        cuts: v.optional(v.record(stream, v.optional(sequence)), {}),
      }),
    ),
    v.minLength(1),
  ),
  streams: v.record(stream, v.optional(streamPosition)),
});
const stamp = v.object({
  wall: v.number(),
  boot: epoch,
  mono: v.number(),
  sync: v.picklist(["none", "rtc", "ntp", "central"]),
});
const timed = { sequence, time: stamp, source: v.optional(v.string()) };
const index = sequence;
const record = v.variant("kind", [
  v.object({
    kind: v.literal("point"),
    ...timed,
    index,
    value: v.unknown(),
    quality: v.picklist(["good", "uncertain", "bad"]),
    reason: v.optional(v.string()),
  }),
  v.object({
    kind: v.literal("define"),
    sequence,
    index,
    scope: v.string(),
    key: v.string(),
    type: v.optional(v.string()),
    unit: v.optional(v.string()),
    profile: v.optional(v.string()),
  }),
  v.object({ kind: v.literal("delete"), ...timed, index }),
  v.object({ kind: v.literal("event"), ...timed, event: v.unknown() }),
  v.object({ kind: v.literal("line"), sequence, text: v.string() }),
  v.object({ kind: v.picklist(["correction", "base"]), sequence, body: v.unknown() }),
  v.object({ kind: v.literal("cover"), sequence, to: sequence, body: v.unknown() }),
]);
const changesSchema = v.object({
  epoch,
  records: v.array(record),
  last: sequence,
  head: sequence,
});

export interface Changes {
  readonly epoch: string;
  readonly records: readonly BatchRecord[];
  readonly head: number;
}

/** What to read. */
export interface ChangesRequest {
  readonly stream: Stream;
  readonly after: number;
  readonly limit: number;
  readonly bytesMax: number;
  readonly waitMs: number;
}

/**
 * @param options `register`: from now on the store holds records until the centre has them.
 * @throws PlantError of the client; REQUEST_MALFORMED for an answer that is not understood.
 */
export async function askPosition(
  client: Client,
  { register, ...options }: CallOptions & { readonly register: boolean },
): Promise<StorePosition> {
  const args = { consumer, register };
  const answer = await client.call(service, "position", args, { deadlineMs: callMs, ...options });
  return check(positionSchema, answer) as StorePosition;
}

/** @throws as `askPosition`. */
export async function readChanges(
  client: Client,
  request: ChangesRequest,
  signal: AbortSignal,
): Promise<Changes> {
  const deadlineMs = request.waitMs + callMs;
  const limit = Math.min(request.limit, limitMax);
  const bytesMax = Math.min(request.bytesMax, bytesMaxMax);
  // What is damaged is told the centre by a cover: it must not keep back what came after it.
  const args = { ...request, limit, bytesMax, coversDamage: true };
  const answer = await client.call(service, "changes", args, { deadlineMs, signal });
  return check(changesSchema, answer) as Changes;
}

/** @throws as `askPosition`. */
export async function moveStoreWatermark(
  client: Client,
  move: { readonly stream: Stream; readonly sequence: number; readonly welcome: boolean },
): Promise<void> {
  await client.call(service, "ack", { consumer, ...move }, { deadlineMs: callMs });
}

/** An alarm about a record that the centre refuses. @throws as `askPosition`. */
export async function raiseAlarm(
  client: Client,
  alarm: { readonly run: string; readonly number: number; readonly detail: object },
): Promise<void> {
  const { run, number, detail } = alarm;
  const message = "The centre refuses a record; a cover stands in its place";
  const events = [{ kind: "record-refused", severity: "alarm", message, detail }];
  const args = { source: "sync", run, number, flush: "now", events };
  await client.call(service, "append-event", args, { deadlineMs: callMs });
}
