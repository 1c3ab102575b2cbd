// Control messages between gateway and centre: their JSON bodies and what makes them well-formed.
// It must not know who answers what: that is the protocol's.
import { createHash } from "node:crypto";
import { PlantError } from "../util/errors.ts";
import { inspect, v } from "../util/shape.ts";
import { deviceId, type EnvelopeHeader, hexId, type MessageType } from "./envelope.ts";
import { streams } from "./records.ts";

/** Epochs a greeting may name; older ones have left the lineage by then. */
const lineageMax = 4096;

const sequence = v.pipe(
  v.number(),
  v.integer(),
  v.minValue(0),
  v.maxValue(Number.MAX_SAFE_INTEGER),
);
const stream = v.picklist(streams);
/** A number per stream; an absent stream stands at 0. */
const perStream = v.record(stream, v.optional(sequence));
const word = (max: number) => v.pipe(v.string(), v.minLength(1), v.maxLength(max));
const centreId = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{1,64}$/));

const epochEntry = v.strictObject({
  epoch: hexId,
  parent: v.nullable(hexId),
  cuts: perStream,
});

/**
 * One opening of the store. `cuts` is the last sequence of the parent per stream, as this epoch
 * names it: its own records begin behind.
 */
export type LineageEntry = v.InferOutput<typeof epochEntry>;

const hello = v.strictObject({
  centre: v.optional(centreId),
  version: word(64),
  lineage: v.pipe(v.array(epochEntry), v.minLength(1), v.maxLength(lineageMax)),
  streams: v.record(
    stream,
    v.optional(v.strictObject({ first: sequence, last: sequence, watermark: sequence })),
  ),
  generation: sequence,
  keySet: sequence,
});

const welcome = v.strictObject({
  centre: centreId,
  generations: v.record(hexId, sequence),
  positions: v.record(hexId, perStream),
  desired: v.optional(v.strictObject({ version: sequence, hash: word(64) })),
  serverTime: v.pipe(v.number(), v.integer()),
});

const position = {
  centre: centreId,
  epoch: hexId,
  stream,
  sequence,
  serverTime: v.pipe(v.number(), v.integer()),
};
const ack = v.strictObject(position);
const want = v.strictObject({ ...position, base: v.optional(v.boolean()) });
const refuse = v.strictObject({
  centre: centreId,
  epoch: hexId,
  stream,
  first: sequence,
  last: sequence,
  code: word(64),
  serverTime: v.pipe(v.number(), v.integer()),
});

/** As in headers: what is beyond is no time, and cannot be shown as one. */
const ms = v.pipe(v.number(), v.minValue(-(2 ** 50)), v.maxValue(2 ** 50));
const stamp = v.strictObject({
  wall: ms,
  boot: hexId,
  mono: ms,
  sync: v.picklist(["none", "rtc", "ntp", "central"]),
});
const livePoint = v.strictObject({
  scope: word(512),
  key: word(512),
  value: v.unknown(),
  type: v.optional(word(16)),
  unit: v.optional(word(64)),
  quality: v.picklist(["good", "uncertain", "bad"]),
  reason: v.optional(word(256)),
  time: stamp,
});
const live = v.strictObject({
  counter: sequence,
  points: v.pipe(v.array(livePoint), v.maxLength(10_000)),
});
const on = v.strictObject({ status: v.picklist(["up", "down"]), boot: hexId });

const schemas = { hello, welcome, ack, want, refuse, live, on } as const;
type Schemas = typeof schemas;

/** The body of each control message:
 * - `hello`: opens each connection, again every few minutes. `lineage` newest last; per stream the
 *   first kept and last sequence and the watermark; highest generation and key-set version known.
 * - `welcome`: answers under the greeting's nonce: this centre's id, a generation for each epoch of
 *   the greeting, the sequence each epoch's streams stand at.
 * - `ack`: everything up to `sequence` of an epoch's stream is committed.
 * - `want`: the centre stands at `sequence` and asks for what follows; `base` asks for a base.
 * - `refuse`: a batch cannot be applied, and why.
 * - `live`: latest values; of two, the one with the higher head generation, then counter, holds.
 * - `on`: the gateway is up, or leaves in order.
 */
export type Body<T extends keyof Schemas> = v.InferOutput<Schemas[T]>;

/** The bytes of a control message's body. */
export function encodeBody<T extends keyof Schemas>(_type: T, body: Body<T>): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(body));
}

/**
 * The body of an opened envelope of a type.
 * @throws PlantError MESSAGE_MALFORMED when the type is another or the body is not of it.
 */
export function decodeBody<T extends keyof Schemas>(
  type: T,
  envelope: { readonly header: EnvelopeHeader; readonly body: Uint8Array },
): Body<T> {
  if (envelope.header.type !== type) {
    throw new PlantError("MESSAGE_MALFORMED", { type, reason: `it is a ${envelope.header.type}` });
  }
  let raw: unknown;
  try {
    raw = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(envelope.body));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) {
      throw new PlantError("MESSAGE_MALFORMED", { type, reason: "it is not JSON" });
    }
    throw error;
  }
  const checked = inspect<Schemas[T]>(schemas[type], raw);
  if (checked.ok) return checked.value;
  const flaw = checked.flaws[0];
  const reason = `${flaw?.path.join(".") || "it"}: ${flaw?.message}`;
  throw new PlantError("MESSAGE_MALFORMED", { type, reason });
}

/** Fingerprint of a lineage, as batches carry it: 16 bytes of its SHA-256, base64url. */
export function lineageFingerprint(lineage: readonly LineageEntry[]): string {
  const hash = createHash("sha256");
  for (const { epoch, parent, cuts } of lineage) {
    const numbers = streams.map((name) => cuts[name] ?? 0);
    hash.update(`${epoch} ${parent ?? "-"} ${numbers.join(" ")}\n`);
  }
  return hash.digest().subarray(0, 16).toString("base64url");
}

/** The unsigned last will of a gateway: a hint, never believed on its own. */
export function willPayload(boot: string): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ v: 1, status: "down", boot }));
}

const tails: Readonly<Record<string, readonly MessageType[]>> = {
  "up/hello": ["hello"],
  "up/s/state": ["batch"],
  "up/s/event": ["batch"],
  "up/s/log": ["batch"],
  "up/s/metric": ["batch"],
  "up/live": ["live"],
  "up/on": ["on"],
  "up/twin": ["twin"],
  "down/welcome": ["welcome"],
  "down/ack": ["ack", "want", "refuse"],
  "down/desired": ["desired"],
  "down/cmd": ["cmd"],
};

/** The topic of a message of a device, `plantd/v1/<device>/…`. */
export function topicOf(header: Pick<EnvelopeHeader, "device" | "type" | "stream">): string {
  const { device, type, stream: name } = header;
  const tail =
    type === "batch"
      ? `up/s/${name}`
      : Object.keys(tails).find((each) => tails[each]?.includes(type));
  return `plantd/v1/${device}/${tail}`;
}

/** The device and the rest of a topic of ours; undefined for any other topic. */
export function parseTopic(topic: string): { device: string; tail: string } | undefined {
  const parts = /^plantd\/v1\/([^/]+)\/(.+)$/.exec(topic);
  const [, device = "", tail = ""] = parts ?? [];
  return v.is(deviceId, device) && (tail in tails || tail === "down/keyset")
    ? { device, tail }
    : undefined;
}

/**
 * Holds that an envelope came in by the topic it belongs to.
 * @throws PlantError ENVELOPE_FORGED when device, type or stream are another's.
 */
export function checkTopic(topic: string, header: EnvelopeHeader): void {
  if (topicOf(header) === topic) return;
  const { device, type } = header;
  throw new PlantError("ENVELOPE_FORGED", { device, type, topic });
}
