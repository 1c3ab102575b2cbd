// The broker's decisions: what each message, loss and moment of time leads to.
// It must not know sockets, clocks, or what bodies mean.
import { decodeFromPeer, type Frames, type FromPeer } from "../mdp/mdp.ts";
import { hasCode } from "../util/errors.ts";
import { hearClient } from "./asking.ts";
import { dropClient, loseWorker, meet, refuseChange } from "./peers.ts";
import { offer } from "./requests.ts";
import { forgetPeer } from "./room.ts";
import { countRefusal, countRefused } from "./speech.ts";
import type { Door, Effects, RefusalNote, State } from "./state.ts";
import { slowDown, speedUp } from "./streams.ts";
import { watch } from "./watch.ts";
import { hearWorker } from "./working.ts";

/** A message came in. */
export interface Message {
  readonly kind: "message";
  peer: string;
  /** The listener the peer comes in by. */
  door: Door;
  frames: Frames;
  nowMs: number;
}

/** What happens to the broker; times are monotonic, and nothing of it is kept. */
export type Input =
  | Readonly<Message>
  /** The connection of a peer is gone; much, or little again, waits for it; it cannot be paused. */
  | {
      readonly kind: "gone" | "slow" | "drained" | "unpausable";
      readonly peer: string;
      readonly nowMs: number;
    }
  | { readonly kind: "tick"; readonly nowMs: number };

const malformed: RefusalNote = {
  reason: "malformed",
  dialect: undefined,
  service: undefined,
  trace: undefined,
};

/**
 * Changes the state and returns what is to be done, in order; the list is the same one each time,
 * and is to be done with before the next step. Never throws for any input.
 */
export function step(state: State, input: Input): Effects {
  state.nowMs = input.nowMs;
  if (input.kind === "tick") state.effects.release();
  else state.effects.clear();
  switch (input.kind) {
    case "message":
      receive(state, input);
      break;
    case "tick":
      watch(state);
      break;
    case "gone":
      forget(state, input.peer);
      break;
    case "slow":
    case "drained":
      changePace(state, input.peer, input.kind === "slow");
      break;
    case "unpausable": {
      const worker = state.peers.get(input.peer)?.worker;
      if (worker !== undefined) worker.canPause = false;
    }
  }
  return state.effects;
}

function receive(state: State, input: Message): void {
  state.counters.messages += 1;
  let peer = state.peers.get(input.peer);
  if (peer !== undefined && peer.bannedUntilMs > 0) {
    if (state.nowMs < peer.bannedUntilMs) {
      countRefused(state, peer, "banned");
      return;
    }
    forgetPeer(state, peer);
    peer = undefined;
  }
  const heard = read(state, input);
  if (heard === undefined) return;
  peer ??= meet(state, input, heard);
  if (peer === undefined) return;
  const { client } = peer;
  if (peer.dialect !== heard.dialect || peer.side !== heard.side) refuseChange(state, peer, heard);
  else if (heard.side === "worker") hearWorker(state, peer, heard.message);
  else if (client !== undefined) hearClient(state, client, heard.message);
}

function read(state: State, { door, frames }: Message): FromPeer | undefined {
  try {
    return decodeFromPeer(frames);
  } catch (error) {
    if (!hasCode(error, "FRAME_MALFORMED")) throw error;
    countRefusal(state, door, malformed);
    return undefined;
  }
}

/** A peer is gone: its service is one worker poorer, and nobody waits for what it asked. */
function forget(state: State, name: string): void {
  const peer = state.peers.get(name);
  if (peer === undefined) return;
  if (peer.worker !== undefined) loseWorker(state, peer.worker);
  if (peer.client !== undefined) dropClient(state, peer.client);
  forgetPeer(state, peer);
}

function changePace(state: State, name: string, isSlow: boolean): void {
  const peer = state.peers.get(name);
  if (peer === undefined) return;
  const { client, worker } = peer;
  if (client !== undefined) {
    if (isSlow) slowDown(client);
    else speedUp(state, client);
  }
  if (worker === undefined) return;
  worker.isSlow = isSlow;
  if (isSlow) worker.service.idle.remove(worker);
  else offer(state, worker);
}
