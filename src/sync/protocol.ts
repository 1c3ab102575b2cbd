// The gateway's side of the upstream protocol: what to send, ask and store after each input. Pure.
// It must not know sockets, disks, clocks or keys.
import { read, resend, takeAck, takeRecords, takeRefusal, takeWant } from "./flow.ts";
import { close, greet, reopen, takePosition, takeWelcome } from "./greeting.ts";
import type { Doing, DownMessage, Moment, SyncEffect, SyncInput, SyncState } from "./sync-state.ts";

/** Takes one input; returns what is to be done, in order. */
export function step(state: SyncState, input: SyncInput, moment: Moment): SyncEffect[] {
  const effects: SyncEffect[] = [];
  state.steppedAtMs = moment.nowMs;
  const doing: Doing = { effects, moment };
  switch (input.kind) {
    case "connected":
      state.isConnected = true;
      state.window = Math.max(1, Math.min(input.window, state.settings.windowMax));
      reopen(state, doing, 0);
      break;
    case "disconnected":
      state.isConnected = false;
      close(state, effects);
      break;
    case "position":
      takePosition(state, input.position, doing);
      break;
    case "position-failed":
      state.isAsking = false;
      break;
    case "records":
      takeRecords(state, input.answer, doing);
      break;
    case "read-failed":
      if (state.streams[input.stream].readId === input.id) reopen(state, doing);
      break;
    case "message":
      takeMessage(state, input.message, doing);
      break;
    case "too-large":
      takeRefusal(state, { ...input, code: "BATCH_TOO_LARGE" }, doing);
      break;
    case "pause":
      state.isPaused = input.isPaused;
      break;
    case "tick":
      break;
    default:
      input satisfies never;
  }
  greet(state, doing);
  resend(state, moment.nowMs);
  read(state, doing);
  return effects;
}

/** The monotonic time at which `step` wants a tick; Infinity when only inputs matter. */
export function dueMs(state: SyncState): number {
  if (!state.isConnected) return Number.POSITIVE_INFINITY;
  let due = state.isAsking ? Number.POSITIVE_INFINITY : state.helloAtMs;
  if (!state.isWelcome) return due;
  for (const stream of Object.values(state.streams)) {
    due = Math.min(due, stream.resendAtMs);
    // A read that is due already waits for room in the window, not for time.
    if (!stream.isReading && stream.readAtMs > state.steppedAtMs) {
      due = Math.min(due, stream.readAtMs);
    }
  }
  return due;
}

/** Nothing counts that answers another opening, comes too early or from another centre. */
function takeMessage(state: SyncState, message: DownMessage, doing: Doing): void {
  const { effects } = doing;
  const ignore = (reason: string) => effects.push({ kind: "ignored", reason });
  if (!state.nonces.includes(message.nonce)) {
    ignore("it answers another opening");
    return;
  }
  if (message.type === "welcome") {
    if (message.nonce !== state.nonces.at(-1)) ignore("it answers an earlier greeting");
    else takeWelcome(state, message.body, doing);
    return;
  }
  if (!state.isWelcome) {
    ignore("no welcome came yet");
    return;
  }
  if (message.body.centre !== state.centre) {
    ignore("it comes from another centre");
    reopen(state, doing);
    return;
  }
  effects.push({ kind: "confirm" });
  switch (message.type) {
    case "ack":
      takeAck(state, message.body, doing);
      break;
    case "want":
      takeWant(state, message.body, doing);
      break;
    case "refuse":
      takeRefusal(state, message.body, doing);
      break;
    default:
      message satisfies never;
  }
}
