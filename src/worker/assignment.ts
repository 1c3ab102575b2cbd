// One request being served: its arguments, its signal, its credit for parts.
// It must not know sockets or what operations do.
import { type Frames, plant } from "../mdp/mdp.ts";
import type { Code } from "../util/catalogue.ts";
import type { Clock } from "../util/clock.ts";
import { PlantError } from "../util/errors.ts";

/** One request as an operation sees it. */
export interface WorkerRequest {
  readonly operation: string;
  /** The JSON arguments (the last frame), unchecked: `undefined` when the body holds none. */
  readonly args: unknown;
  /** The body frames as they came, the operation's name first. */
  readonly body: readonly Uint8Array[];
  /** Trace id, 32 hexadecimal digits. */
  readonly trace: string;
  /** Aborts at the deadline, when the client cancels, and when the broker is lost. */
  readonly signal: AbortSignal;
  /** Milliseconds left of the client's deadline; Infinity without one. */
  remainingMs(): number;
  /** Sends one part of a stream; waits while the client has granted no credit. */
  partial(data: unknown): Promise<void>;
}

/** Parts sent before the process may turn to other work, where no credit makes it pause. */
const partsPerTurn = 64;

type Send = (kind: "partial" | "final", data: unknown) => void;

export class Assignment {
  readonly head: plant.Head;
  readonly operation: string;
  /** Monotonic time of the client's deadline. */
  readonly dueMs: number;
  readonly send: Send;
  readonly #clock: Clock;
  readonly #body: Frames;
  readonly #abort = new AbortController();
  #credit: number;
  #wake: (() => void)[] = [];
  #parts = 0;

  constructor(clock: Clock, head: plant.Head, body: Frames, send: Send) {
    this.head = head;
    this.send = send;
    this.#clock = clock;
    this.#body = body;
    this.operation = textOf(body[0]);
    this.dueMs =
      head.remainingMs === plant.noDeadline
        ? Number.POSITIVE_INFINITY
        : clock.monotonicMs() + head.remainingMs;
    const isPaced = (head.flags & plant.flag.credit) !== 0;
    this.#credit = isPaced ? plant.creditAtStart : Number.POSITIVE_INFINITY;
  }

  get trace(): string {
    return Buffer.from(this.head.trace).toString("hex");
  }

  get isAborted(): boolean {
    return this.#abort.signal.aborted;
  }

  /** @throws PlantError why it ended, when it has. */
  checkGoesOn(): void {
    this.#abort.signal.throwIfAborted();
  }

  /** Tells the operation to stop; the signal's reason is a PlantError with this code. */
  abort(code: Code): void {
    this.#abort.abort(new PlantError(code, { waitedMs: this.head.remainingMs }));
    this.#wakeAll();
  }

  grant(credit: number): void {
    this.#credit += credit;
    this.#wakeAll();
  }

  /** @throws PlantError REQUEST_MALFORMED when the arguments are no JSON. */
  request(): WorkerRequest {
    const { operation, trace } = this;
    return {
      operation,
      trace,
      args: parseArgs(this.#body),
      body: this.#body,
      signal: this.#abort.signal,
      remainingMs: () => Math.max(0, this.dueMs - this.#clock.monotonicMs()),
      partial: (data) => this.#partial(data),
    };
  }

  async #partial(data: unknown): Promise<void> {
    if ((this.head.flags & plant.flag.partials) === 0) return;
    while (this.#credit <= 0 && !this.isAborted) {
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
    this.#abort.signal.throwIfAborted();
    this.#credit -= 1;
    this.send("partial", { success: true, data });
    this.#parts += 1;
    if (this.#parts % partsPerTurn === 0) await this.#clock.sleep(0);
  }

  #wakeAll(): void {
    const waiting = this.#wake;
    this.#wake = [];
    for (const wake of waiting) wake();
  }
}

function textOf(frame: Uint8Array | undefined): string {
  if (frame === undefined) return "";
  return Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength).toString("utf8");
}

function parseArgs(body: Frames): unknown {
  if (body.length < 2) return undefined;
  const text = textOf(body[body.length - 1]);
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    const reason = "the arguments are not JSON";
    throw new PlantError("REQUEST_MALFORMED", { reason }, { cause: error });
  }
}
