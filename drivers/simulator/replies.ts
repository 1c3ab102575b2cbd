// The way of replies out of a simulator: spoilt by the fault in force, late, paced by the speed of
// the line. It must not know protocols.
import type { Clock } from "../../src/util/clock.ts";
import type { Asked } from "./dialog.ts";
import { completeFault, type Fault, type FaultRequest, type Sending, spoil } from "./fault.ts";

/** Where bytes go. */
export interface Sink {
  write(bytes: Uint8Array): Promise<void> | void;
  /** Cuts the connection. */
  cut(): Promise<void> | void;
}

/** What passed, in numbers. */
export interface ReplyCounters {
  requests: number;
  replies: number;
  /** Replies a fault changed, held up or kept back. */
  spoilt: number;
  /** Requests left without a reply because too many waited. */
  refused: number;
}

/** Sends replies. */
export interface Replies {
  readonly counters: ReplyCounters;
  /** Sends the reply of a request in its time; returns at once. */
  send(asked: Asked, sink: Sink): void;
  fault(request: FaultRequest): void;
  /** Ends all faults; late replies under way still go out. */
  heal(): void;
  /** Drops what waits, and waits for what is going out. */
  stop(): Promise<void>;
}

/** More replies at one time are not kept waiting. */
const waitingMax = 1000;
/** Bytes written at once on a paced line. */
const paceBytes = 16;

/** @param characterMs time of one character on the line; 0 sends at once. */
export function openReplies(deps: { readonly clock: Clock }, characterMs: number): Replies {
  const counters: ReplyCounters = { requests: 0, replies: 0, spoilt: 0, refused: 0 };
  const waiting = new Set<Promise<void>>();
  const over = new AbortController();
  let fault: Fault | undefined;

  const faultFor = (unit: number): Fault | undefined => {
    if (fault === undefined || (fault.unit !== undefined && fault.unit !== unit)) return undefined;
    const inForce = fault;
    if (fault.count !== undefined) {
      fault = fault.count > 1 ? { ...fault, count: fault.count - 1 } : undefined;
    }
    counters.spoilt += 1;
    return inForce;
  };

  const carryOut = async (sending: Sending, sink: Sink, leadMs: number): Promise<void> => {
    const waitMs = sending.afterMs + leadMs;
    if (waitMs > 0) await deps.clock.sleep(waitMs, over.signal);
    if (over.signal.aborted) return;
    if (characterMs === 0) {
      if (sending.bytes.length > 0) await sink.write(sending.bytes);
    } else await pace(sending.bytes, sink);
    if (sending.isCut) await sink.cut();
    counters.replies += 1;
  };
  const pace = async (bytes: Uint8Array, sink: Sink): Promise<void> => {
    for (let at = 0; at < bytes.length && !over.signal.aborted; at += paceBytes) {
      const part = bytes.subarray(at, at + paceBytes);
      await deps.clock.sleep(part.length * characterMs, over.signal);
      await sink.write(part);
    }
  };

  return {
    counters,
    send(asked, sink) {
      counters.requests += 1;
      if (asked.reply === undefined) return;
      if (waiting.size >= waitingMax) {
        counters.refused += 1;
        return;
      }
      const sending = spoil(faultFor(asked.unit), asked.reply);
      if (sending === undefined) return;
      const task = carryOut(sending, sink, asked.requestBytes * characterMs);
      waiting.add(task);
      void task.finally(() => waiting.delete(task));
    },
    fault(request) {
      fault = completeFault(request);
    },
    heal() {
      fault = undefined;
    },
    async stop() {
      over.abort();
      await Promise.all(waiting);
    },
  };
}
