// The parts of one stream on their way from the connection to whoever reads them.
// It must not know sockets or what parts mean.
import { plant } from "../mdp/mdp.ts";
import type { PlantError } from "../util/errors.ts";

/** One part, the last reply, or what went wrong. */
export type Part =
  | { readonly kind: "partial" | "final"; readonly body: readonly Uint8Array[] }
  | { readonly kind: "error"; readonly error: PlantError };

/** Holds at most as many parts as the client has granted credit for. */
export class PartQueue {
  /** Flags of a request whose parts are wanted and paced. */
  static readonly flags = plant.flag.partials | plant.flag.credit;

  readonly #parts: Part[] = [];
  #wake: () => void = () => {};
  #taken = 0;

  push(part: Part): void {
    this.#parts.push(part);
    this.#wake();
  }

  /** The next part, in order; waits for it. */
  async take(): Promise<Part> {
    for (;;) {
      const part = this.#parts.shift();
      if (part !== undefined) {
        if (part.kind === "partial") this.#taken += 1;
        return part;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Credit to grant for parts taken since the last grant; 0 while it is not worth a message. */
  creditDue(): number {
    if (this.#taken < plant.creditAtStart / 2) return 0;
    const due = this.#taken;
    this.#taken = 0;
    return due;
  }
}
