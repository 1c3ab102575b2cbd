// What the store was asked and what it acknowledged, by the marks up to a moment. Pure; it must not
// know how the store keeps it.
import type { Mix, Request, Turn } from "./workload.ts";
import { tagOf } from "./workload.ts";

/** What a recorded process is to do in one life. */
export interface Order {
  readonly mix: Mix;
  readonly seed: number;
  readonly life: number;
  readonly turns: readonly Turn[];
  /** Requests are numbered from the one after this. */
  readonly firstId: number;
}

/** One mark of a recorded process. */
export type Mark =
  | { readonly what: "opening" | "closing" | "closed" }
  | { readonly what: "unopened" | "ended"; readonly code: string }
  | { readonly what: "opened"; readonly epochs: readonly string[] }
  | { readonly what: "asked"; readonly request: Request }
  | {
      readonly what: "answered";
      readonly id: number;
      readonly data: Readonly<Record<string, unknown>>;
    }
  | { readonly what: "refused"; readonly id: number; readonly code: string };

/** What one write of a request leaves: records of a stream, or a key without a value. */
export interface Write {
  readonly id: number;
  readonly stream: "state" | "event" | "log";
  /** Scope and key of a point. */
  readonly place?: string;
  /** Absent for a deletion. */
  readonly tag?: string;
  /** The point may go by itself. */
  readonly isPassing?: boolean;
}

export interface Asked {
  readonly request: Request;
  readonly writes: readonly Write[];
  /** The answer; absent while there is none. */
  data?: Readonly<Record<string, unknown>>;
}

/** Everything known at a moment; copied for a backup. */
interface Book {
  readonly asked: Map<number, Asked>;
  /** Requests without an answer: they may have been carried out, or not. */
  readonly open: Set<number>;
  /** Last write of each place by an acknowledged request. */
  readonly values: Map<string, Write>;
  /** Watermarks acknowledged to the consumer, and asked for, by stream. */
  readonly marks: Map<string, number>;
  readonly highestAck: Map<string, number>;
  epochs: readonly string[];
  isOpening: boolean;
  isConsumerKnown: boolean;
}

export class Ledger {
  #book: Book = emptyBook();
  readonly #backups = new Map<string, Book>();
  #restoring: Book | undefined;

  /** What may be there: before, and while a backup is put back, two. */
  get books(): readonly Book[] {
    return this.#restoring === undefined ? [this.#book] : [this.#book, this.#restoring];
  }

  /** Takes the text of a mark. */
  read(text: string): void {
    this.take(JSON.parse(text) as Mark);
  }

  take(mark: Mark): void {
    const book = this.#book;
    switch (mark.what) {
      case "opening":
        book.isOpening = true;
        return;
      case "opened":
        book.isOpening = false;
        book.epochs = mark.epochs;
        return;
      case "asked":
        this.#ask(mark.request);
        return;
      case "answered":
        this.#answer(mark.id, mark.data);
        return;
      case "refused": {
        // A refusal in time is an answer: nothing was done. Others leave it open.
        if (refusalsInTime.includes(mark.code)) {
          book.open.delete(mark.id);
          book.asked.delete(mark.id);
        }
        if (book.asked.get(mark.id)?.request.operation === "backup-restore") {
          throw new Error(`the backup was not put back: ${mark.code}`);
        }
        return;
      }
      case "closing":
      case "closed":
      case "unopened":
      case "ended":
        return;
    }
  }

  #ask(request: Request): void {
    const book = this.#book;
    book.asked.set(request.id, { request, writes: writesOf(request) });
    book.open.add(request.id);
    const { stream, sequence } = request.args as { stream?: string; sequence?: number };
    if (request.operation === "ack" && stream !== undefined && sequence !== undefined) {
      book.highestAck.set(stream, Math.max(book.highestAck.get(stream) ?? 0, sequence));
    }
    if (request.operation === "backup-restore") {
      const backup = this.#backups.get(request.args.path as string);
      if (backup === undefined) throw new Error("a backup that nobody made is put back");
      this.#restoring = copyOf(backup);
      this.#restoring.isOpening = true;
    }
  }

  #answer(id: number, data: Readonly<Record<string, unknown>>): void {
    const asked = this.#book.asked.get(id);
    if (asked === undefined) throw new Error(`an answer to ${id}, which was never asked`);
    const { operation, args } = asked.request;
    if (operation === "backup-restore") {
      this.#book = this.#restoring ?? this.#book;
      this.#restoring = undefined;
      return;
    }
    const book = this.#book;
    asked.data = data;
    book.open.delete(id);
    for (const write of asked.writes) {
      if (write.place !== undefined) book.values.set(write.place, write);
    }
    if (operation === "ack") book.marks.set(args.stream as string, data.watermark as number);
    if (operation === "position") book.isConsumerKnown = true;
    if (operation === "backup-create") this.#backups.set(data.path as string, copyOf(book));
  }
}

/** Refusals by which nothing was done. */
const refusalsInTime = [
  "SCOPE_NOT_FOUND",
  "SEQUENCE_AHEAD",
  "STATE_CONFLICT",
  "STATE_NOT_FOUND",
  "CONSUMER_UNKNOWN",
];

function emptyBook(): Book {
  return {
    asked: new Map(),
    open: new Set(),
    values: new Map(),
    marks: new Map(),
    highestAck: new Map(),
    epochs: [],
    isOpening: false,
    isConsumerKnown: false,
  };
}

function copyOf(book: Book): Book {
  return {
    ...book,
    asked: new Map(book.asked),
    open: new Set(book.open),
    values: new Map(book.values),
    marks: new Map(book.marks),
    highestAck: new Map(book.highestAck),
  };
}

export type { Book };

/** The place of a point in one text. */
export function placeOf(scope: string, key: string): string {
  return `${scope} ${key}`;
}

interface GivenPoint {
  readonly scope: string;
  readonly key: string;
  readonly value: unknown;
  readonly ttlMs?: number;
}

function writesOf({ id, operation, args }: Request): Write[] {
  const tagged = (value: unknown) => ({ tag: tagOf(value) ?? "" });
  switch (operation) {
    case "set": {
      const place = placeOf(args.service as string, args.key as string);
      return [{ id, stream: "state", place, ...tagged(args.value) }];
    }
    case "delete":
      return [{ id, stream: "state", place: placeOf(args.service as string, args.key as string) }];
    case "set-many":
      return (args.points as GivenPoint[]).map((point) => ({
        id,
        stream: "state",
        place: placeOf(point.scope, point.key),
        ...tagged(point.value),
        ...(point.ttlMs === undefined ? {} : { isPassing: true }),
      }));
    case "compare-and-set": {
      const { scope, key, value } = args as unknown as GivenPoint;
      return [{ id, stream: "state", place: placeOf(scope, key), ...tagged(value) }];
    }
    case "import":
      return (args.lines as string[]).slice(1).map((line) => {
        const { scope, key, value } = JSON.parse(line) as GivenPoint;
        return { id, stream: "state", place: placeOf(scope, key), ...tagged(value) };
      });
    case "append-event":
      return (args.events as { message: string }[]).map(({ message }) => ({
        id,
        stream: "event",
        ...tagged(message),
      }));
    case "append-lines":
      return (args.lines as string[]).map((line) => ({ id, stream: "log", ...tagged(line) }));
    default:
      return [];
  }
}
