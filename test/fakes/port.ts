// A port whose other end is a function: it answers late, in pieces, wrongly or not at all, refuses
// to open and can be unplugged. It must not know any protocol.
import type { Port, PortEvents } from "../../drivers/kit/kit.ts";
import type { Clock } from "../../src/util/clock.ts";
import { PlantError } from "../../src/util/errors.ts";

/** Bytes the other end sends, so long after the request. */
export interface Piece {
  readonly afterMs: number;
  readonly bytes: Uint8Array;
}

export interface FakePort extends Port {
  /** All frames written so far, with their times. */
  readonly written: { readonly bytes: Uint8Array; readonly atMs: number }[];
  /** Opens so far, refused ones included. */
  readonly opens: number;
  /** Pulls the plug: open fails until `plug`. */
  unplug(): void;
  plug(): void;
  /** Bytes that nobody asked for. */
  inject(bytes: Uint8Array): void;
  /** From here on a write never comes back, until the port is opened anew. */
  stall(): void;
}

export interface FakePortOptions {
  readonly clock: Clock;
  /** What the other end answers to a frame. */
  answer(frame: Uint8Array, atMs: number): readonly Piece[];
  readonly pairsAnswers?: boolean;
  readonly timeoutsMax?: number;
}

export function fakePort(options: FakePortOptions): FakePort {
  const { clock } = options;
  let events: PortEvents | undefined;
  let isPlugged = true;
  let opens = 0;
  let isStalled = false;
  const written: FakePort["written"] = [];
  const error = (reason: string) => new PlantError("PORT_UNUSABLE", { port: "fake", reason });
  const deliver = async ({ afterMs, bytes }: Piece, to: PortEvents) => {
    await clock.sleep(afterMs);
    if (events === to) to.bytes(Uint8Array.from(bytes));
  };
  return {
    name: "fake",
    pairsAnswers: options.pairsAnswers ?? false,
    timeoutsMax: options.timeoutsMax ?? 0,
    written,
    get opens() {
      return opens;
    },
    async open(wanted) {
      opens += 1;
      if (!isPlugged) throw error("there is no such device file");
      events = wanted;
      isStalled = false;
    },
    async write(data) {
      if (isStalled) return new Promise(() => {});
      if (events === undefined) throw error("it is not open");
      const to = events;
      const atMs = clock.monotonicMs();
      written.push({ bytes: data, atMs });
      for (const piece of options.answer(data, atMs)) void deliver(piece, to);
    },
    async dropInput() {},
    async close() {
      events = undefined;
    },
    unplug() {
      isPlugged = false;
      const gone = events;
      events = undefined;
      gone?.closed(error("it was unplugged"));
    },
    plug() {
      isPlugged = true;
    },
    inject: (bytes) => events?.bytes(bytes),
    stall() {
      isStalled = true;
    },
  };
}
