// Cuts of the power over one recording: where each falls, what it leaves, and the files made so.
// It must not know what the files hold.
import { closeSync, ftruncateSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { seededRandom } from "../../src/util/random.ts";
import type { Entry } from "./record.ts";
import { type FileImage, type Image, pageBytes, Replay, type Variant, variants } from "./replay.ts";

/** One cut: the power goes before this entry, or while it is done. */
export interface Cut {
  /** Its number among all of the recording. */
  readonly number: number;
  /** Entries that were done. */
  readonly at: number;
  readonly variant: Variant;
  /** Whether the next write had begun. */
  readonly isWithin: boolean;
  readonly seed: number;
}

/** Cut `number` of `count` over a record of `entries` entries: spread evenly, later ones later. */
export function cutOf(number: number, count: number, entries: number, seed: number): Cut {
  const random = seededRandom((seed ^ Math.imul(number + 1, 0x9e3779b1)) >>> 0);
  const span = entries / count;
  const at = Math.min(entries, Math.floor(number * span + random.unit() * Math.max(1, span)));
  const variant = variants[number % variants.length] ?? "flushed";
  const isWithin = variant !== "flushed" && variant !== "all" && random.unit() < 0.5;
  return { number, at, variant, isWithin, seed: Math.floor(random.unit() * 2 ** 32) };
}

/** Makes the files of an image: what lay below `from` is made below `to`, which is emptied. */
export function makeFiles(image: Image, from: string, to: string): void {
  rmSync(to, { recursive: true, force: true });
  mkdirSync(to, { recursive: true });
  const paths = [...image.keys()].sort();
  for (const path of paths) {
    const content = image.get(path);
    if (content === undefined || !hasFolders(image, path, from)) continue;
    const target = join(to, path.slice(from.length));
    if (content === "folder") mkdirSync(target, { recursive: true });
    else makeFile(target, content);
  }
}

/** A name is there only with the folders that lead to it. */
function hasFolders(image: Image, path: string, root: string): boolean {
  for (let folder = dirname(path); folder.length > root.length; folder = dirname(folder)) {
    if (image.get(folder) !== "folder") return false;
  }
  return true;
}

function makeFile(path: string, { pages, length }: FileImage): void {
  const file = openSync(path, "w", 0o600);
  try {
    const rows = [...pages].sort(([a], [b]) => a - b);
    for (const [page, bytes] of rows) {
      const at = page * pageBytes;
      if (at >= length) break;
      writeSync(file, bytes, 0, Math.min(pageBytes, length - at), at);
    }
    ftruncateSync(file, length);
  } finally {
    closeSync(file);
  }
}

/** Plays a record up to one cut after the other; cuts come in the order of their numbers. */
export class Player {
  readonly #entries: readonly Entry[];
  readonly #replay: Replay;
  readonly #mark: (text: string) => void;
  #at = 0;

  /** @param mark hears each mark when the record has come to it. */
  constructor(
    entries: readonly Entry[],
    options: { readonly ignoresFlushes?: boolean; readonly mark: (text: string) => void },
  ) {
    this.#entries = entries;
    this.#replay = new Replay(options);
    this.#mark = options.mark;
  }

  /** What a cut leaves. */
  imageAt(cut: Cut): Image {
    for (; this.#at < cut.at; this.#at += 1) {
      const entry = this.#entries[this.#at];
      if (entry === undefined) break;
      if (entry.kind === "marked") this.#mark(entry.data.toString());
      else this.#replay.apply(entry);
    }
    const next = this.#entries[this.#at];
    if (cut.isWithin && next !== undefined) this.#replay.begin(next);
    return this.#replay.image(cut.variant, seededRandom(cut.seed));
  }

  get replay(): Replay {
    return this.#replay;
  }
}
