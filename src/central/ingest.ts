// What the centre does with each message of a gateway: verify, order, apply once, answer.
// The decisions alone: rows to write and answers to send. It must not know MQTT, disks or clocks.
import {
  checkTopic,
  decodeBatch,
  decodeBody,
  type Envelope,
  type EnvelopeHeader,
  open,
  parseTopic,
  type Stream,
} from "../batch/batch.ts";
import type { Stamp } from "../util/clock.ts";
import { hasCode, PlantError } from "../util/errors.ts";
import { type Answers, composeAck, composeRefuse, composeWant, composeWelcome } from "./answers.ts";
import { applyRecords, type BatchSpan, takeHead } from "./apply.ts";
import { type DeviceState, flushLatest, loadDevice } from "./device-state.ts";
import { expireHeld, type HeldBatch, HeldBatches } from "./held-batches.ts";
import { type Epoch, gateOf, positionOf } from "./lineage.ts";
import { hearLive, hearOn, type Presence } from "./presence.ts";
import { blockChange, epochChange } from "./rows.ts";
import type { Change, ShelfReader } from "./shelf.ts";
import { greet } from "./welcome.ts";

/** The most records a batch may hold. */
const recordsMax = 100_000;
/** How long an early batch waits for the ones before it until they are asked for. */
const patienceMs = 2000;
/** Least time between two wants for one stream. */
const wantEveryMs = 5000;

/** What comes in. */
export type IngestInput =
  | {
      readonly kind: "message";
      readonly topic: string;
      readonly payload: Uint8Array;
      readonly now: Stamp;
    }
  | { readonly kind: "tick"; readonly now: Stamp };

/** What is to be done, in this order: all writes in one commit, then the sends. */
export type IngestEffect =
  | { readonly kind: "write"; readonly changes: readonly Change[] }
  | {
      readonly kind: "send";
      readonly topic: string;
      readonly payload: Uint8Array;
      /** Of two sends with one slot in one commit the later is enough. */
      readonly slot: string;
    };

/** What ingest counts: names as in `/metrics`. */
const ingestCounters = [
  "batches_applied",
  "batches_repeated",
  "batches_held",
  "batches_refused",
  "records_applied",
  "records_covered",
  "records_orphaned",
  "greetings",
  "wants",
  "forks",
  "messages_forged",
  "messages_malformed",
  "messages_unplaced",
  "held_overflow",
] as const;
export type IngestCounter = (typeof ingestCounters)[number];

/** What ingest remembers between two messages; all of it can be read from the rows again. */
export interface IngestState {
  readonly reader: ShelfReader;
  readonly answers: Answers;
  readonly devices: Map<string, DeviceState>;
  readonly held: HeldBatches;
  readonly presence: Map<string, Presence>;
  readonly counters: Record<IngestCounter, number>;
}

export interface IngestOptions {
  /** Rows as they will be once everything written so far is committed. */
  readonly reader: ShelfReader;
  readonly answers: Answers;
  /** Early batches held per stream of an epoch, in bytes. */
  readonly heldBytesMax: number;
}

export function openIngest(options: IngestOptions): IngestState {
  const counters = Object.fromEntries(ingestCounters.map((name) => [name, 0]));
  return {
    reader: options.reader,
    answers: options.answers,
    devices: new Map(),
    held: new HeldBatches(options.heldBytesMax),
    presence: new Map(),
    counters: counters as Record<IngestCounter, number>,
  };
}

/** Forgets what was thought of a device: a commit failed, or it enrolled anew. */
export function forgetDevice(state: IngestState, device: string): void {
  state.devices.delete(device);
}

/** Takes one input; changes the state and says what is to be done. */
export function ingestStep(state: IngestState, input: IngestInput): IngestEffect[] {
  switch (input.kind) {
    case "message":
      return takeMessage(state, input);
    case "tick":
      return wantWhatIsLate(state, input.now);
  }
}

type MessageInput = Extract<IngestInput, { kind: "message" }>;

function takeMessage(state: IngestState, input: MessageInput): IngestEffect[] {
  try {
    const place = parseTopic(input.topic);
    const device = place === undefined ? undefined : deviceOf(state, place.device);
    if (place === undefined || device === undefined) {
      state.counters.messages_forged += 1;
      return [];
    }
    if (place.tail === "up/on" && hearOn(state.presence, device.id, input)) return [];
    const envelope = open(input.payload, ({ kid, device: sender }) =>
      kid === device.kid && sender === device.id ? device.publicKey : undefined,
    );
    checkTopic(input.topic, envelope.header);
    return takeEnvelope(state, device, { envelope, payload: input.payload, now: input.now });
  } catch (error) {
    if (hasCode(error, "ENVELOPE_FORGED")) state.counters.messages_forged += 1;
    else if (
      hasCode(
        error,
        "ENVELOPE_MALFORMED",
        "MESSAGE_MALFORMED",
        "BATCH_MALFORMED",
        "BATCH_TOO_LARGE",
      )
    ) {
      state.counters.messages_malformed += 1;
    } else throw error;
    return [];
  }
}

/** The device as the rows tell; read once. */
export function deviceOf(state: IngestState, id: string): DeviceState | undefined {
  const known = state.devices.get(id);
  if (known !== undefined) return known;
  const device = loadDevice(state.reader, id);
  if (device !== undefined) state.devices.set(id, device);
  return device;
}

interface Opened {
  readonly envelope: Envelope;
  readonly payload: Uint8Array;
  readonly now: Stamp;
}

function takeEnvelope(state: IngestState, device: DeviceState, opened: Opened): IngestEffect[] {
  const { envelope, now } = opened;
  switch (envelope.header.type) {
    case "hello": {
      state.counters.greetings += 1;
      const greeting = decodeBody("hello", envelope);
      const changes = greet(device, greeting, now);
      const welcome = composeWelcome(state.answers, device, { envelope, greeting, now });
      // A greeting may have given up what a held batch waited for.
      return [{ kind: "write", changes }, welcome, ...applyHeld(state, device, now)];
    }
    case "batch":
      return takeBatch(state, device, opened);
    case "live":
      hearLive(state.presence, device.id, envelope, now);
      return [];
    case "on":
      hearOn(state.presence, device.id, { envelope, now });
      return [];
    default:
      state.counters.messages_unplaced += 1;
      return [];
  }
}

/** Header fields a batch cannot do without. */
interface BatchHeader extends BatchSpan {
  readonly generation: number;
  readonly head: number;
}

function batchHeader(header: EnvelopeHeader): BatchHeader {
  const { epoch, generation, head, stream, first, last } = header;
  if (
    epoch === undefined ||
    generation === undefined ||
    head === undefined ||
    stream === undefined ||
    first === undefined ||
    last === undefined ||
    first < 1 ||
    last < first - 1
  ) {
    throw new PlantError("ENVELOPE_MALFORMED", { reason: "a batch names its place" });
  }
  return { epoch, generation, head, stream, first, last };
}

function takeBatch(state: IngestState, device: DeviceState, opened: Opened): IngestEffect[] {
  const { envelope, now } = opened;
  const header = batchHeader(envelope.header);
  const epoch = device.lineage.epochs.get(header.epoch);
  const head = [...device.lineage.epochs.values()].find(
    ({ generation }) => generation === header.head,
  );
  if (epoch === undefined || head === undefined || epoch.generation !== header.generation) {
    // Never greeted in this place: the gateway greets again within minutes and is told where to go.
    state.counters.messages_unplaced += 1;
    return [];
  }
  const taken = takeHead(state.reader, device, head);
  if (taken.isFork) state.counters.forks += 1;
  const effects: IngestEffect[] = [];
  if (taken.changes.length > 0) effects.push({ kind: "write", changes: taken.changes });
  noteBatch(state, device, header, now);

  if (header.last <= positionOf(epoch, header.stream)) {
    state.counters.batches_repeated += 1;
    return [...effects, composeAck(state.answers, device, place(epoch, opened, header.stream))];
  }
  const isEarly = header.first > positionOf(epoch, header.stream) + 1;
  if (isEarly || gateOf(device.lineage, epoch.id, header.stream) !== undefined) {
    hold(state, device, header, opened);
    return effects;
  }
  effects.push(...applyBatch(state, device, header, opened));
  return [...effects, ...applyHeld(state, device, now)];
}

function place(epoch: Epoch, opened: Opened, stream: Stream) {
  const { nonce } = opened.envelope.header;
  return { nonce, epoch: epoch.id, stream, sequence: positionOf(epoch, stream), now: opened.now };
}

function hold(state: IngestState, device: DeviceState, header: BatchHeader, opened: Opened): void {
  const { epoch, stream, first } = header;
  const batch = { device: device.id, epoch, stream, first, ...opened, since: opened.now.mono };
  if (state.held.add(batch)) state.counters.batches_held += 1;
  else state.counters.held_overflow += 1;
}

/** Applies one batch that is in its turn: history, definitions, latest, position; then an ack. */
function applyBatch(
  state: IngestState,
  device: DeviceState,
  header: BatchHeader,
  opened: Opened,
): IngestEffect[] {
  const { stream, first, last } = header;
  const epoch = device.lineage.epochs.get(header.epoch);
  if (epoch === undefined) return [];
  const { body } = opened.envelope;
  let outcome: ReturnType<typeof applyRecords>;
  try {
    const records = decodeBatch(body, { first, last }, recordsMax);
    outcome = applyRecords(state.reader, device, header, records);
  } catch (error) {
    if (!hasCode(error, "BATCH_MALFORMED", "BATCH_TOO_LARGE")) throw error;
    state.counters.batches_refused += 1;
    const { nonce } = opened.envelope.header;
    const refusal = { nonce, epoch: epoch.id, stream, first, last, code: error.code };
    return [composeRefuse(state.answers, device, { ...refusal, now: opened.now })];
  }
  const from = Math.max(first, positionOf(epoch, stream) + 1);
  const moved: Epoch = {
    ...epoch,
    position: { ...epoch.position, [stream]: last },
    appliedAt: opened.now.wall,
  };
  device.lineage.epochs.set(epoch.id, moved);
  state.counters.batches_applied += 1;
  state.counters.records_applied += outcome.applied;
  state.counters.records_covered += outcome.covered;
  state.counters.records_orphaned += outcome.orphaned;
  const block = { generation: epoch.generation, from, to: last, bytes: opened.payload };
  const changes = [
    blockChange(device.id, stream, block),
    ...outcome.changes,
    ...flushLatest(device),
    epochChange(device.id, moved),
  ];
  return [
    { kind: "write", changes },
    composeAck(state.answers, device, place(moved, opened, stream)),
  ];
}

/** Applies what waited for its turn, as long as something's turn has come. */
function applyHeld(state: IngestState, device: DeviceState, now: Stamp): IngestEffect[] {
  const effects: IngestEffect[] = [];
  for (;;) {
    const batch = state.held.take(device.id, (held) => isInTurn(device, held));
    if (batch === undefined) return effects;
    const header = batchHeader(batch.envelope.header);
    const opened = { envelope: batch.envelope, payload: batch.payload, now };
    const epoch = device.lineage.epochs.get(header.epoch);
    if (epoch !== undefined && header.last <= positionOf(epoch, header.stream)) {
      effects.push(composeAck(state.answers, device, place(epoch, opened, header.stream)));
    } else effects.push(...applyBatch(state, device, header, opened));
  }
}

function isInTurn(device: DeviceState, { epoch: id, stream, first }: HeldBatch): boolean {
  const epoch = device.lineage.epochs.get(id);
  if (epoch === undefined || first > positionOf(epoch, stream) + 1) return false;
  return gateOf(device.lineage, id, stream) === undefined;
}

/** Asks for what has not come although batches behind it have. */
function wantWhatIsLate(state: IngestState, now: Stamp): IngestEffect[] {
  const effects: IngestEffect[] = [];
  for (const queue of expireHeld(state.held, now.mono)) {
    const device = deviceOf(state, queue.device);
    const epoch = device?.lineage.epochs.get(queue.epoch);
    const oldest = queue.oldest();
    if (device === undefined || epoch === undefined || oldest === undefined) continue;
    if (now.mono - oldest.since < patienceMs) continue;
    if (queue.wantedAt !== undefined && now.mono - queue.wantedAt < wantEveryMs) continue;
    queue.wantedAt = now.mono;
    state.counters.wants += 1;
    const lack = gateOf(device.lineage, epoch.id, queue.stream);
    const lacking = lack?.epoch ?? epoch;
    const at = place(lacking, { ...oldest, now }, queue.stream);
    effects.push(composeWant(state.answers, device, at));
  }
  return effects;
}

/** Remembers for the page what a gateway has and when it spoke. */
function noteBatch(state: IngestState, device: DeviceState, header: BatchHeader, now: Stamp): void {
  const presence = state.presence.get(device.id) ?? {};
  const { stream, last } = header;
  const known = presence.heads?.[stream] ?? 0;
  const heads = { ...presence.heads, [stream]: Math.max(known, last) };
  state.presence.set(device.id, { ...presence, heads, heardAt: now.wall });
}
