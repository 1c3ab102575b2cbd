// What the broker says: to workers, to clients, and of refusals to whoever reads the log.
// It must not know when to say it.
import {
  encodeToClient,
  encodeToWorker,
  type Frames,
  type Head,
  plant,
  sizeOf,
  type ToWorker,
} from "../mdp/mdp.ts";
import type { Code } from "../util/catalogue.ts";
import { type Detail, wireErrorOf } from "../util/errors.ts";
import type { Refusal } from "./answers.ts";
import type { Client, Peer, RefusalNote, Request, Service, State, Worker } from "./state.ts";

/** One note of the same in this time, and so many of one principal. */
const noteMs = 60_000;
const notesMax = 64;

/** Sends to a worker and notes that it heard from us. */
export function tell(state: State, worker: Worker, message: ToWorker): void {
  const frames = encodeToWorker(worker.peer.dialect, message);
  if (frames === undefined) return;
  worker.saidMs = state.nowMs;
  state.effects.send(worker.peer.name, frames);
}

/** What goes with every message to the worker about a request. */
export function headOf(state: State, request: Request): Head {
  const { id, trace, dueMs, flags } = request;
  const remainingMs =
    dueMs === Number.POSITIVE_INFINITY
      ? plant.noDeadline
      : Math.min(plant.noDeadline, Math.max(0, Math.floor(dueMs - state.nowMs)));
  return { id, remainingMs, trace, flags };
}

/** What goes with an answer to a request that the broker did not take. */
export function answeredHead(head: Head): Head {
  return { id: head.id, remainingMs: 0, trace: plant.traceOf(head), flags: head.flags };
}

/** Sends a part or the last reply to the client, in its dialect. */
export function reply(
  state: State,
  request: Request,
  message: { readonly kind: "partial" | "final"; readonly body: Frames },
): void {
  const { client, service, key, trace, flags } = request;
  if (client === undefined) return;
  const { kind, body } = message;
  const head: Head = { id: key, remainingMs: 0, trace, flags };
  const frames = encodeToClient(client.peer.dialect, { kind, service: service.name, head, body });
  if (frames === undefined) return;
  const size = sizeOf(body);
  state.counters.bytesOut += size;
  if (client.isSlow) {
    client.slowMessages += 1;
    client.slowBytes += size;
  }
  state.effects.send(client.peer.name, frames);
}

/** Tells a client what went wrong, where its dialect has words for it. */
export function sayError(
  state: State,
  client: Client,
  about: { readonly service: string; readonly head: Head; readonly error: Uint8Array },
): void {
  const { dialect, name } = client.peer;
  const { service, head, error } = about;
  const frames = encodeToClient(dialect, { kind: "error", service, head, error });
  if (frames !== undefined) state.effects.send(name, frames);
}

/** Tells the client of a request what became of it. */
export function sayFailed(state: State, request: Request, error: Uint8Array): void {
  const { client, service, key, trace, flags } = request;
  if (client === undefined) return;
  const head: Head = { id: key, remainingMs: 0, trace, flags };
  sayError(state, client, { service: service.name, head, error });
}

/** DISCONNECT in the words of a dialect; before it, why, where there are words for that. */
export function sendAway(
  state: State,
  { name: peer, dialect }: Pick<Peer, "name" | "dialect">,
  error?: Uint8Array,
): void {
  const said: ToWorker[] = [{ kind: "disconnect" }];
  if (error !== undefined) said.unshift({ kind: "refused", error });
  for (const message of said) {
    const frames = encodeToWorker(dialect, message);
    if (frames !== undefined) state.effects.send(peer, frames);
  }
}

/** An error as bytes, in memory of their own: some are kept for long. */
export function errorOf(code: Code, detail: Detail): Uint8Array {
  return new Uint8Array(Buffer.from(JSON.stringify(wireErrorOf(code, detail))));
}

/** An error about a service; made once. */
export function serviceError(service: Service, code: Code): Uint8Array {
  let error = service.errors.get(code);
  if (error === undefined) {
    const { name, policy } = service;
    const detail = { service: name };
    error = errorOf(code, code === "QUEUE_FULL" ? { ...detail, max: policy.queueMax } : detail);
    service.errors.set(code, error);
  }
  return error;
}

/** An error about a limit; made once. */
export function limitError(state: State, limit: string, max: number): Uint8Array {
  let error = state.errors.get(limit);
  if (error === undefined) {
    error = errorOf("LIMIT_REACHED", { limit, max });
    state.errors.set(limit, error);
  }
  return error;
}

/**
 * Counts a refusal, and tells the log of it once a minute for each principal, reason and service: a
 * peer that comes back has another name.
 */
export function countRefusal(
  state: State,
  peer: { readonly principal: string },
  about: RefusalNote,
): void {
  state.refused[about.reason] += 1;
  if (isNoted(state, peer.principal, `${about.reason} ${about.service ?? ""}`)) return;
  state.effects.push({ kind: "note", principal: peer.principal, about });
}

/** Counts a refusal of a known peer. */
export function countRefused(state: State, peer: Peer, reason: Refusal, service?: string): void {
  const { dialect, share } = peer;
  countRefusal(state, share, { reason, dialect, service, trace: undefined });
}

/**
 * Whether this was noted in the last minute, or too much else of the same principal was; if not,
 * it is from here on.
 */
export function isNoted(
  { noted, nowMs }: Pick<State, "noted" | "nowMs">,
  principal: string,
  about: string,
): boolean {
  let notes = noted.get(principal);
  if (notes === undefined) {
    notes = new Map();
    noted.set(principal, notes);
  }
  const lastMs = notes.get(about);
  if (lastMs !== undefined && nowMs - lastMs < noteMs) return true;
  notes.delete(about);
  if (notes.size >= notesMax) {
    const [oldest] = notes;
    if (oldest !== undefined && nowMs - oldest[1] < noteMs) return true;
    notes.delete(oldest?.[0] ?? about);
  }
  notes.set(about, nowMs);
  return false;
}
