// One request on its way: what is asked, how far it has come, and whom its answer goes to.
// It must not know sockets or what bodies mean.
import type { Frames } from "../mdp/mdp.ts";
import { PlantError } from "../util/errors.ts";

/** What a caller may say about a request. */
export interface CallOptions {
  /** Time the whole request may take, in milliseconds. */
  readonly deadlineMs?: number;
  /** Cancels the request; it then fails with CANCELLED. */
  readonly signal?: AbortSignal;
  /** Trace id, 32 hexadecimal digits; one of the client's own when absent. */
  readonly trace?: string;
}

/** What a question needs of the connection it is asked by. */
export interface Asking {
  ask(question: Question): void;
  /** Ends a question, tells the worker, and tells its owner when there is an error. */
  abandon(question: Question, error: PlantError | undefined): void;
  /** Allows the worker further parts. */
  grant(question: Question, credit: number): void;
}

/** Where a question stands: not asked, waiting for a connection, sent, answered or given up. */
type Standing = "new" | "waiting" | "sent" | "over";

/** A request; exactly one of `onFinal` and `onError` is called, once. */
export abstract class Question {
  readonly link: Asking;
  readonly about: QuestionAbout;
  readonly flags: number;
  /** Set by the link. */
  id = 0;
  standing: Standing = "new";
  /** Monotonic time. */
  dueMs = 0;

  constructor(link: Asking, about: QuestionAbout, flags: number) {
    this.link = link;
    this.about = about;
    this.flags = flags;
  }

  abstract onPartial(body: Frames): void;
  abstract onFinal(body: Frames): void;
  abstract onError(error: PlantError): void;

  /** The signal aborted: an EventListener, so that no request needs a function of its own. */
  handleEvent(): void {
    this.link.abandon(this, new PlantError("CANCELLED"));
  }
}

export interface QuestionAbout {
  readonly service: string;
  readonly body: Frames;
  readonly deadlineMs: number;
  /** The deadline in it is in `deadlineMs`. */
  readonly options: CallOptions;
}

/** A request with one answer; parts are passed over. */
export class Single<T> extends Question {
  readonly #to: Settling<T>;

  constructor(link: Asking, about: QuestionAbout, to: Settling<T>) {
    super(link, about, 0);
    this.#to = to;
  }

  onPartial(): void {}

  onFinal(body: Frames): void {
    let value: T;
    try {
      value = this.#to.read(body);
    } catch (error) {
      this.#to.reject(error);
      return;
    }
    this.#to.resolve(value);
  }

  onError(error: PlantError): void {
    this.#to.reject(error);
  }
}

export interface Settling<T> {
  /** Makes the value of the answer; what it throws is how the request fails. */
  readonly read: (body: Frames) => T;
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}
