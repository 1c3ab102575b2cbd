// What a power cut leaves of files: the record up to a moment, with some of what was not flushed.
// Pure; it must not know what the files hold.
import { dirname } from "node:path";
import type { Random } from "../../src/util/random.ts";
import type { Entry } from "./record.ts";

/**
 * What becomes of what no flush covers: nothing of it stays; all of it; some pages of it, each as
 * it was at some time; the same with pages torn at sectors; the same with pages full of noise, but
 * for those that changed in one sector alone.
 */
export const variants = ["flushed", "all", "some", "torn", "garbled"] as const;
export type Variant = (typeof variants)[number];

/** Files by path: pages by number, and the length. */
export interface FileImage {
  readonly pages: ReadonlyMap<number, Uint8Array>;
  readonly length: number;
}

/** What lies on the device: files, and folders without content of their own. */
export type Image = ReadonlyMap<string, FileImage | "folder">;

export const pageBytes = 4096;
const sectorBytes = 512;
/** What a failed entry says of a flush. */
const flushFailed = "f".charCodeAt(0);
const noPage = new Uint8Array(pageBytes);

/** A file: what is flushed, and since then each page's and the length's states, oldest first. */
class RecordedFile {
  readonly pages = new Map<number, Uint8Array>();
  length = 0;
  readonly pending = new Map<number, Uint8Array[]>();
  readonly lengths: number[] = [];
  /** Pages whose flush failed: the kernel takes them for clean, and no later flush writes them. */
  readonly stuck = new Map<number, Uint8Array[]>();

  newest(page: number): Uint8Array {
    const newest = this.pending.get(page)?.at(-1) ?? this.stuck.get(page)?.at(-1);
    return newest ?? this.pages.get(page) ?? noPage;
  }

  get newestLength(): number {
    return this.lengths.at(-1) ?? this.length;
  }

  write(at: number, bytes: Uint8Array): number[] {
    const touched: number[] = [];
    for (let done = 0; done < bytes.length; ) {
      const page = Math.floor((at + done) / pageBytes);
      const from = (at + done) % pageBytes;
      const count = Math.min(pageBytes - from, bytes.length - done);
      const next = Uint8Array.from(this.newest(page));
      next.set(bytes.subarray(done, done + count), from);
      this.#push(page, next);
      touched.push(page);
      done += count;
    }
    if (at + bytes.length > this.newestLength) this.lengths.push(at + bytes.length);
    return touched;
  }

  #push(page: number, next: Uint8Array): void {
    const states = this.pending.get(page);
    if (states === undefined) this.pending.set(page, [next]);
    else states.push(next);
  }

  resize(length: number): void {
    if (length < this.newestLength) {
      const edge = Math.floor(length / pageBytes);
      for (const page of new Set([...this.pages.keys(), ...this.pending.keys()])) {
        if (page < edge) continue;
        const next = Uint8Array.from(this.newest(page));
        next.fill(0, page === edge ? length % pageBytes : 0);
        this.#push(page, next);
      }
    }
    this.lengths.push(length);
  }

  flushPages(pages: Iterable<number>): void {
    for (const page of pages) {
      const newest = this.pending.get(page)?.at(-1);
      if (newest !== undefined) this.pages.set(page, newest);
      this.pending.delete(page);
      this.stuck.delete(page);
    }
  }

  flush(): void {
    this.flushPages([...this.pending.keys()]);
    this.length = this.newestLength;
    this.lengths.length = 0;
  }

  /** A flush that failed: what it was to write may be on the device or not, from now on. */
  failFlush(): void {
    for (const [page, states] of this.pending) {
      this.stuck.set(page, [...(this.stuck.get(page) ?? []), ...states]);
    }
    this.pending.clear();
  }

  image(variant: Variant, random: Random): FileImage {
    if (variant === "flushed") return { pages: this.pages, length: this.length };
    const pages = new Map(this.pages);
    for (const page of new Set([...this.stuck.keys(), ...this.pending.keys()])) {
      const old = this.pages.get(page) ?? noPage;
      const states = [old, ...(this.stuck.get(page) ?? []), ...(this.pending.get(page) ?? [])];
      pages.set(page, leftOf(variant, states, random));
    }
    if (variant === "all") return { pages, length: this.newestLength };
    const lengths = [this.length, ...this.lengths];
    return { pages, length: pick(lengths, random) };
  }
}

/** What is left of a page that went through `states`, the first of them flushed. */
function leftOf(variant: Variant, states: readonly Uint8Array[], random: Random): Uint8Array {
  const newest = states.at(-1) ?? noPage;
  if (variant === "all") return newest;
  const chosen = pick(states, random);
  // A device writes a sector wholly or not at all; of more than one it may make noise.
  if (variant === "garbled" && changedSectors(states) > 1 && random.unit() < 0.5) {
    const noise = new Uint8Array(pageBytes);
    for (let at = 0; at < pageBytes; at += sectorBytes) {
      noise.fill(Math.floor(random.unit() * 256), at, at + sectorBytes);
    }
    return noise;
  }
  if (variant !== "torn") return chosen;
  const torn = Uint8Array.from(chosen);
  for (let at = 0; at < pageBytes; at += sectorBytes) {
    torn.set(pick(states, random).subarray(at, at + sectorBytes), at);
  }
  return torn;
}

/** Sectors of a page that differ between its flushed state and its newest one. */
function changedSectors(states: readonly Uint8Array[]): number {
  const [old = noPage] = states;
  const newest = states.at(-1) ?? old;
  let count = 0;
  for (let at = 0; at < pageBytes; at += sectorBytes) {
    const range = [at, at + sectorBytes] as const;
    if (Buffer.compare(old.subarray(...range), newest.subarray(...range)) !== 0) count += 1;
  }
  return count;
}

function pick<T>(all: readonly T[], random: Random): T {
  return all[Math.floor(random.unit() * all.length)] as T;
}

type Named = RecordedFile | "folder";

/** A change of names that its folders have not flushed: a rename changes two at once. */
interface NameChange {
  readonly folders: readonly string[];
  readonly names: readonly { readonly path: string; readonly named: Named | undefined }[];
}

export interface ReplayOptions {
  /** As if no flush had happened: the control, which must find losses. */
  readonly ignoresFlushes?: boolean;
}

/** The files of a record, entry by entry. */
export class Replay {
  readonly #options: ReplayOptions;
  readonly #inodes = new Map<number, Named>();
  readonly #names = new Map<string, Named>();
  #changes: NameChange[] = [];
  readonly #folders = new Map<number, string>();
  /** Inodes whose bytes changed unseen, through a shared mapping. */
  readonly mapped = new Set<string>();

  constructor(options: ReplayOptions = {}) {
    this.#options = options;
  }

  apply(entry: Entry): void {
    const { kind, inode, number, path, data } = entry;
    const file = this.#inodes.get(inode);
    switch (kind) {
      case "created":
        this.#create(inode, path, new RecordedFile());
        return;
      case "made":
        this.#create(inode, path, "folder");
        this.#folders.set(inode, path);
        return;
      case "opened":
        if (entry.isFolder) this.#folders.set(inode, path);
        return;
      case "written":
        if (file instanceof RecordedFile) {
          const touched = file.write(number, data);
          if (entry.isFlushed && !this.#options.ignoresFlushes) {
            file.flushPages(touched);
            // What it wrote can be read again, so the length holds it.
            file.length = Math.max(file.length, number + data.length);
          }
        }
        return;
      case "resized":
        if (file instanceof RecordedFile) file.resize(number);
        return;
      case "flushed":
        if (!this.#options.ignoresFlushes) this.#flush(entry);
        return;
      case "renamed":
        this.#rename(entry);
        return;
      case "removed":
        this.#change([{ path, named: undefined }]);
        return;
      case "linked":
        this.#change([{ path, named: file }]);
        return;
      case "mapped":
        for (const [name, named] of this.#current()) if (named === file) this.mapped.add(name);
        return;
      case "failed":
        if (file instanceof RecordedFile && number === flushFailed) file.failFlush();
        return;
      case "marked":
        return;
    }
  }

  /** The power goes while this is done: a write may have reached the device in part. */
  begin(entry: Entry): void {
    const file = this.#inodes.get(entry.inode);
    if (entry.kind !== "written" || !(file instanceof RecordedFile)) return;
    file.write(entry.number, entry.data);
  }

  #create(inode: number, path: string, named: Named): void {
    this.#inodes.set(inode, named);
    this.#change([{ path, named }]);
  }

  #change(names: NameChange["names"]): void {
    this.#changes.push({ folders: names.map(({ path }) => dirname(path)), names });
  }

  #rename({ inode, isFolder, path, data }: Entry): void {
    const named = this.#inodes.get(inode);
    if (named === undefined) return;
    const to = data.toString();
    const names = [
      { path, named: undefined },
      { path: to, named },
    ];
    if (!isFolder) {
      this.#change(names);
      return;
    }
    // All that lies in a folder moves with it.
    for (const [name, one] of this.#current()) {
      if (!name.startsWith(`${path}/`)) continue;
      names.push({ path: name, named: undefined });
      names.push({ path: to + name.slice(path.length), named: one });
    }
    for (const [number, name] of this.#folders) {
      if (name === path || name.startsWith(`${path}/`)) {
        this.#folders.set(number, to + name.slice(path.length));
      }
    }
    this.#changes.push({ folders: [dirname(path), dirname(to)], names });
  }

  #flush({ inode, isFolder }: Entry): void {
    const file = this.#inodes.get(inode);
    if (file instanceof RecordedFile) file.flush();
    const path = isFolder ? this.#folders.get(inode) : undefined;
    if (path === undefined) return;
    for (const change of this.#changes) {
      if (change.folders.includes(path)) applyNames(this.#names, change);
    }
    this.#changes = this.#changes.filter(({ folders }) => !folders.includes(path));
  }

  /** Names as the process sees them. */
  #current(): Map<string, Named> {
    const names = new Map(this.#names);
    for (const change of this.#changes) applyNames(names, change);
    return names;
  }

  /** What a cut leaves here. */
  image(variant: Variant, random: Random): Image {
    const names = new Map(this.#names);
    for (const change of this.#changes) {
      if (variant === "all" || (variant !== "flushed" && random.unit() < 0.5)) {
        applyNames(names, change);
      }
    }
    const image = new Map<string, FileImage | "folder">();
    for (const [path, named] of names) {
      image.set(path, named === "folder" ? named : named.image(variant, random));
    }
    return image;
  }

  /** How many pages and names are not flushed. */
  get pendingCount(): number {
    let count = this.#changes.length;
    for (const named of this.#inodes.values()) if (named !== "folder") count += named.pending.size;
    return count;
  }
}

function applyNames(names: Map<string, Named>, change: NameChange): void {
  for (const { path, named } of change.names) {
    if (named === undefined) names.delete(path);
    else names.set(path, named);
  }
}
