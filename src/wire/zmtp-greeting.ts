// A peer's greeting as it comes in, in any number of pieces.
// It must not know what follows it, or sockets.
import { greetingBytes, isGreetingSoFar, knowsPing } from "./zmtp-codec.ts";

export class Greeting {
  readonly #bytes = Buffer.alloc(greetingBytes);
  #count = 0;

  get isWhole(): boolean {
    return this.#count === greetingBytes;
  }

  /** Whether the peer of a whole greeting answers PING. */
  get isPingable(): boolean {
    return knowsPing(this.#bytes);
  }

  /**
   * Takes the bytes of a chunk that are still missing.
   * @returns how many; nothing as soon as they cannot be a greeting of a peer of ours.
   */
  take(chunk: Buffer): number | undefined {
    const taken = chunk.copy(this.#bytes, this.#count);
    this.#count += taken;
    return isGreetingSoFar(this.#bytes, this.#count) ? taken : undefined;
  }
}
