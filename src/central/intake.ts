// Carries messages from the MQTT broker through ingest to the disk, and the answers back:
// many messages in one commit, every answer after it. It must not know what a message says.

import { parseTopic } from "../batch/batch.ts";
import type { Clock, Stamp } from "../util/clock.ts";
import type { Log } from "../util/log.ts";
import { asError, type Running } from "../util/running.ts";
import {
  forgetDevice,
  type IngestEffect,
  type IngestInput,
  type IngestState,
  ingestStep,
} from "./ingest.ts";
import type { Change, Shelf } from "./shelf.ts";

/** Changes of one commit; the disk takes no more in one transaction. */
const changesPerCommitMax = 900;
/** Bytes of one commit, so that the wait for it stays short. */
const bytesPerCommitMax = 16_777_216;
/** Work for one commit ends after this long, so that answers and the page do not wait for it. */
const workMs = 50;
/** Bytes that may wait; beyond, the broker waits. */
const waitingBytesMax = 33_554_432;
const tickMs = 500;

export interface IntakeDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly shelf: Shelf;
  readonly state: IngestState;
  /** What `state.reader` reads through: filled between two commits. */
  readonly pending: Map<string, Uint8Array | undefined>;
  readonly now: () => Stamp;
  /** Sends one answer; a failure is the link's, and the gateway asks again. */
  readonly send: (topic: string, payload: Uint8Array) => Promise<void>;
  /** Hears which devices changed, after the commit. */
  readonly onChange: (devices: ReadonlySet<string>) => void;
}

export interface Intake extends Running {
  /** Takes a message; resolves at once while there is room, else when there is again. */
  take(topic: string, payload: Uint8Array): Promise<void> | void;
  readonly counters: {
    commits: number;
    commitsFailed: number;
    answersLost: number;
    /** Messages dropped by a defect of this version. */
    defects: number;
  };
}

interface Message {
  readonly topic: string;
  readonly payload: Uint8Array;
}

export function startIntake(deps: IntakeDeps): Intake {
  const { clock, log, state } = deps;
  const queue: Message[] = [];
  const counters = { commits: 0, commitsFailed: 0, answersLost: 0, defects: 0 };
  const stop = new AbortController();
  let waitingBytes = 0;
  let wake = new AbortController();
  let room = Promise.withResolvers<void>();
  let nextTick = clock.monotonicMs() + tickMs;

  /** One commit's worth of messages; then the answers. */
  async function round(): Promise<void> {
    const group = new Group({ ...deps, counters });
    const until = clock.monotonicMs() + workMs;
    let bytes = 0;
    while (!group.isFull && bytes < bytesPerCommitMax && clock.monotonicMs() < until) {
      const message = queue.shift();
      if (message === undefined) break;
      bytes += message.payload.length;
      waitingBytes -= message.payload.length;
      group.add({ kind: "message", ...message, now: deps.now() }, message);
    }
    if (waitingBytes < waitingBytesMax) {
      room.resolve();
      room = Promise.withResolvers();
    }
    if (clock.monotonicMs() >= nextTick) {
      nextTick = clock.monotonicMs() + tickMs;
      group.add({ kind: "tick", now: deps.now() });
    }
    if (await finish(group)) return;
    // The commit failed: each message alone, so that none holds up the others.
    for (const message of group.messages) {
      const alone = new Group({ ...deps, counters });
      alone.add({ kind: "message", ...message, now: deps.now() }, message);
      await finish(alone);
    }
  }

  async function finish(group: Group): Promise<boolean> {
    try {
      if (await group.commit()) counters.commits += 1;
    } catch (error) {
      counters.commitsFailed += 1;
      log.error("a commit failed; the gateways send again", { error: asError(error) });
      for (const device of group.devices) forgetDevice(state, device);
      return group.messages.length <= 1;
    } finally {
      deps.pending.clear();
    }
    for (const { topic, payload } of group.sends.values()) {
      deps.send(topic, payload).catch((error: unknown) => {
        counters.answersLost += 1;
        log.debug("an answer was not sent", { error: asError(error) });
      });
    }
    if (group.devices.size > 0) deps.onChange(group.devices);
    return true;
  }

  async function run(): Promise<Error | undefined> {
    try {
      while (!stop.signal.aborted) {
        if (queue.length === 0) {
          wake = new AbortController();
          const idle = AbortSignal.any([wake.signal, stop.signal]);
          await clock.sleep(Math.max(0, nextTick - clock.monotonicMs()), idle);
        }
        if (!stop.signal.aborted) await round();
      }
      return undefined;
    } catch (error) {
      return asError(error);
    }
  }

  const ended = run();
  return {
    ended,
    counters,
    take(topic, payload) {
      queue.push({ topic, payload });
      waitingBytes += payload.length;
      wake.abort();
      return waitingBytes < waitingBytesMax ? undefined : room.promise;
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      room.resolve();
      await ended;
    },
  };
}

type GroupDeps = IntakeDeps & { readonly counters: Intake["counters"] };

/** What goes into one commit, and what is sent after it. */
class Group {
  readonly messages: Message[] = [];
  readonly devices = new Set<string>();
  readonly sends = new Map<string, Extract<IngestEffect, { kind: "send" }>>();
  private readonly deps: GroupDeps;

  constructor(deps: GroupDeps) {
    this.deps = deps;
  }

  get isFull(): boolean {
    return this.deps.pending.size >= changesPerCommitMax;
  }

  add(input: IngestInput, message?: Message): void {
    const place = message === undefined ? undefined : parseTopic(message.topic);
    if (place !== undefined && this.deps.state.devices.has(place.device)) {
      this.devices.add(place.device);
    }
    if (message !== undefined) this.messages.push(message);
    for (const effect of this.step(input, place?.device)) {
      if (effect.kind === "send") this.sends.set(effect.slot, effect);
      else for (const { key, value } of effect.changes) this.put(key, value);
    }
    if (place !== undefined && this.deps.state.devices.has(place.device)) {
      this.devices.add(place.device);
    }
  }

  /** In the order of last writing: what is split over two transactions is whole up to any row. */
  private put(key: string, value: Uint8Array | undefined): void {
    this.deps.pending.delete(key);
    this.deps.pending.set(key, value);
  }

  /** A message that trips over a defect of ours is dropped alone: it must not stop the others. */
  private step(input: IngestInput, device: string | undefined): IngestEffect[] {
    const { state, log, counters } = this.deps;
    try {
      return ingestStep(state, input);
    } catch (error) {
      counters.defects += 1;
      log.error("a message was not understood by a defect", { device, error: asError(error) });
      if (device !== undefined) forgetDevice(state, device);
      return [];
    }
  }

  /** @returns whether there was anything to commit. */
  async commit(): Promise<boolean> {
    const changes: Change[] = [...this.deps.pending].map(([key, value]) =>
      value === undefined ? { key } : { key, value },
    );
    if (changes.length === 0) return false;
    await this.deps.shelf.commit(changes);
    return true;
  }
}
