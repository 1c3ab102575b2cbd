// The flow of batches while the gate is open: read, send, acknowledge, resend, split. Pure.
// It must not know greetings.
import {
  type BatchRecord,
  type Body,
  lastOf,
  lineageFingerprint,
  streams,
} from "../batch/batch.ts";
import { moveWatermark, reopen } from "./greeting.ts";
import { onLine } from "./lineage.ts";
import {
  acknowledge,
  launch,
  resendIfDue,
  rewind,
  type StreamState,
  split,
} from "./stream-state.ts";
import type { Doing, ReadAnswer, SyncState } from "./sync-state.ts";

/** Least time between two wants of a stream: the 5 s of the centre, less what the way may bend. */
const wantLeastMs = 4500;
/** Wait before a read is repeated that should have found something. */
const emptyReadMs = 1000;
/** Wait before a record that was refused alone goes up again. */
const refusedReadMs = 1000;

/** Reads what is to be sent next, the most urgent stream first, while the window has room. */
export function read(state: SyncState, doing: Doing): void {
  if (!state.isConnected || !state.isWelcome || state.isPaused) return;
  const { effects, moment } = doing;
  const all = Object.values(state.streams);
  let used = 0;
  for (const { flights, isReading, isCounted } of all) {
    used += flights.length + (isReading && isCounted ? 1 : 0);
  }
  for (const name of streams) {
    const stream = state.streams[name];
    if (stream.isReading || moment.nowMs < stream.readAtMs) continue;
    if (used >= state.window) return;
    const isBehind = stream.next <= stream.head;
    stream.isReading = true;
    stream.isCounted = isBehind;
    if (isBehind) used += 1;
    state.reads += 1;
    stream.readId = state.reads;
    effects.push({
      kind: "read",
      id: state.reads,
      stream: name,
      after: stream.next - 1,
      limit: stream.recordsMax,
      waitMs: isBehind ? 0 : state.settings.readWaitMs,
    });
  }
}

/** Records that were read go up as a batch, if they still follow and there is room. */
export function takeRecords(state: SyncState, answer: ReadAnswer, doing: Doing): void {
  const { effects, moment } = doing;
  const stream = state.streams[answer.stream];
  if (!stream.isReading || answer.id !== stream.readId || !state.isWelcome) return;
  stream.isReading = false;
  const { lineage } = state;
  const newest = lineage?.at(-1)?.epoch ?? "";
  const generation = state.generations[answer.epoch];
  const head = state.generations[newest];
  const nonce = state.nonces.at(-1);
  const first = answer.records[0];
  const end = answer.records.at(-1);
  if (generation === undefined || head === undefined || lineage === undefined) {
    reopen(state, doing);
    return;
  }
  stream.head = Math.max(answer.head, stream.next - 1);
  if (first === undefined || end === undefined) {
    if (stream.next <= stream.head) stream.readAtMs = moment.nowMs + emptyReadMs;
    return;
  }
  if (nonce === undefined || used(state) >= state.window) return;
  // A cover that took the place of what was sent may begin before what is next (rule 7).
  const isNext = first.sequence <= stream.next && lastOf(first) >= stream.next;
  if (!isNext) {
    reopen(state, doing);
    return;
  }
  const last = lastOf(end);
  const span = { first: first.sequence, last, count: answer.records.length };
  launch(stream, span, { nowMs: moment.nowMs, pace: state.pace });
  if (last >= stream.splitTo) stream.recordsMax = state.settings.batchRecordsMax;
  if (last >= stream.head) stream.readAtMs = moment.nowMs + state.settings.batchAgeMs;
  effects.push({
    kind: "batch",
    batch: {
      nonce,
      epoch: answer.epoch,
      generation,
      head,
      stream: answer.stream,
      first: first.sequence,
      last,
      lineage: lineageFingerprint(lineage),
      records: covered(stream, answer.records),
    },
  });
}

function used(state: SyncState): number {
  return Object.values(state.streams).reduce((sum, { flights }) => sum + flights.length, 0);
}

/** Rule 8: covers in the places of records that are refused for good. */
function covered(stream: StreamState, records: readonly BatchRecord[]): readonly BatchRecord[] {
  if (stream.coveredAt.size === 0) return records;
  return records.map((record): BatchRecord => {
    const code = stream.coveredAt.get(record.sequence);
    if (code === undefined) return record;
    const { sequence } = record;
    const kept = code === "BATCH_TOO_LARGE" ? {} : { record };
    const body = { reason: "refused", count: lastOf(record) - sequence + 1, code, ...kept };
    return { sequence, kind: "cover", to: lastOf(record), body };
  });
}

/**
 * Rule 5: an acknowledgement moves the watermark forward, never past what was sent. What an earlier
 * opening or life sent may have arrived since the welcome, so that the store's head is the bound.
 */
export function takeAck(state: SyncState, body: Body<"ack">, doing: Doing): void {
  const { effects, moment } = doing;
  const stream = state.streams[body.stream];
  const stands = onLine(state.lineage ?? [], body);
  if (stands === undefined || stands > stream.head) {
    effects.push({ kind: "ignored", reason: "it acknowledges what was not sent" });
    return;
  }
  if (body.epoch === state.lineage?.at(-1)?.epoch) state.isHeadKnown = true;
  if (stands <= stream.watermark) return;
  acknowledge(stream, { position: stands, nowMs: moment.nowMs }, state.pace);
  moveWatermark(stream, { name: body.stream, stands, effects });
}

/** Rule 5: a want rewinds, and lowers the watermark when it stands behind it. */
export function takeWant(state: SyncState, body: Body<"want">, doing: Doing): void {
  const { effects, moment } = doing;
  const stream = state.streams[body.stream];
  const stands = onLine(state.lineage ?? [], body);
  if (stands === undefined || stands >= stream.next) {
    effects.push({ kind: "ignored", reason: "it wants what was not sent" });
    return;
  }
  if (moment.nowMs - stream.wantedAtMs < wantLeastMs) {
    effects.push({ kind: "ignored", reason: "it wants too often" });
    return;
  }
  stream.wantedAtMs = moment.nowMs;
  rewind(stream, stands);
  if (stands < stream.watermark) moveWatermark(stream, { name: body.stream, stands, effects });
}

/** Rule 8: a refusal of what is on its way splits it. */
export function takeRefusal(
  state: SyncState,
  refusal: Pick<Body<"refuse">, "stream" | "first" | "last" | "code">,
  doing: Doing,
): void {
  const { effects, moment } = doing;
  const { stream: name, first, last, code } = refusal;
  const stream = state.streams[name];
  const flight = stream.flights.find((each) => each.first === first && each.last === last);
  if (flight === undefined) {
    effects.push({ kind: "ignored", reason: "it refuses what is not on its way" });
    return;
  }
  if (split(stream, flight, code)) {
    effects.push({ kind: "alarm", stream: name, sequence: first, code });
  }
  if (flight.count === 1) stream.readAtMs = moment.nowMs + refusedReadMs;
}

/** Sends again what waited too long for its acknowledgement. */
export function resend(state: SyncState, nowMs: number): void {
  if (!state.isWelcome) return;
  for (const stream of Object.values(state.streams)) resendIfDue(stream, nowMs, state.pace);
}
