// The parts of one stream on their way from the connection to whoever reads them, paced by credit.
// It must not know sockets or what parts mean.
import { type Frames, plant, sizeOf } from "../mdp/mdp.ts";
import { PlantError } from "../util/errors.ts";
import { type Asking, Question, type QuestionAbout } from "./question.ts";

interface Taker<T> {
  readonly resolve: (result: IteratorResult<T, T>) => void;
  readonly reject: (error: unknown) => void;
}

/** Of a worker that knows no credit this much may wait to be read; then the stream fails. */
export interface StreamBounds {
  readonly partsMax: number;
  readonly bytesMax: number;
}

/**
 * An answer in parts, as an async generator: asked at the first `next`, cancelled by an early
 * `return`. Whoever reads slowly holds up this stream's worker and nothing else.
 */
export class PartStream<T> extends Question implements AsyncGenerator<T, T> {
  readonly #read: (body: Frames) => T;
  readonly #bounds: StreamBounds;
  #parts: Frames[] = [];
  #bytes = 0;
  /** Readers that wait for a part; none while parts wait. */
  #takers: Taker<T>[] = [];
  #final: Frames | undefined;
  #error: unknown;
  #isEnding = false;
  /** Parts taken, and their bytes, since credit was granted. */
  #taken = 0;
  #takenBytes = 0;

  constructor(
    link: Asking,
    about: QuestionAbout,
    to: { readonly read: (body: Frames) => T; readonly bounds: StreamBounds },
  ) {
    super(link, about, plant.flag.partials | plant.flag.credit);
    this.#read = to.read;
    this.#bounds = to.bounds;
  }

  onPartial(body: Frames): void {
    const taker = this.#takers.shift();
    if (taker !== undefined) {
      try {
        taker.resolve({ done: false, value: this.#take(body) });
      } catch (error) {
        taker.reject(error);
      }
      return;
    }
    this.#parts.push(body);
    this.#bytes += sizeOf(body);
    const { partsMax, bytesMax } = this.#bounds;
    if (this.#parts.length <= partsMax && (this.#bytes <= bytesMax || this.#parts.length === 1)) {
      return;
    }
    const detail = { limit: "parts waiting to be read", max: partsMax };
    this.link.abandon(this, new PlantError("LIMIT_REACHED", detail));
  }

  onFinal(body: Frames): void {
    this.#final = body;
    this.#end();
  }

  onError(error: PlantError): void {
    this.#error = error;
    this.#end();
  }

  /** The next part, in order; the last reply is the value of the end. */
  next(): Promise<IteratorResult<T, T>> {
    if (this.standing === "new") this.link.ask(this);
    const body = this.#parts.shift();
    if (body === undefined) {
      if (this.#isEnding) return this.#takeEnd();
      return new Promise((resolve, reject) => this.#takers.push({ resolve, reject }));
    }
    this.#bytes -= sizeOf(body);
    try {
      return Promise.resolve({ done: false, value: this.#take(body) });
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async return(value: T | PromiseLike<T>): Promise<IteratorResult<T, T>> {
    this.#leave();
    return { done: true, value: await value };
  }

  async throw(error: unknown): Promise<IteratorResult<T, T>> {
    this.#leave();
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#leave();
  }

  #end(): void {
    this.#isEnding = true;
    for (const { resolve, reject } of this.#takers.splice(0)) {
      this.#takeEnd().then(resolve, reject);
    }
  }

  /** The end is told once; whoever asks on hears that nothing is left. */
  #takeEnd(): Promise<IteratorResult<T, T>> {
    const [final, error] = [this.#final, this.#error];
    this.#final = undefined;
    this.#error = undefined;
    if (error !== undefined) return Promise.reject(error);
    if (final === undefined) return Promise.resolve({ done: true, value: undefined as T });
    try {
      return Promise.resolve({ done: true, value: this.#read(final) });
    } catch (thrown) {
      return Promise.reject(thrown);
    }
  }

  /** A part goes to its reader; credit goes back in halves of what the stream began with. */
  #take(body: Frames): T {
    this.#taken += 1;
    this.#takenBytes += sizeOf(body);
    if (this.#taken >= plant.creditAtStart / 2 || this.#takenBytes >= plant.creditBytes / 2) {
      this.link.grant(this, this.#taken);
      this.#taken = 0;
      this.#takenBytes = 0;
    }
    try {
      return this.#read(body);
    } catch (error) {
      this.#leave();
      throw error;
    }
  }

  /** Nothing more is wanted. */
  #leave(): void {
    if (this.standing === "new") this.standing = "over";
    this.link.abandon(this, undefined);
    this.#parts = [];
    this.#bytes = 0;
    this.#final = undefined;
    this.#error = undefined;
    this.#end();
  }
}
