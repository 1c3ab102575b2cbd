// How full the store is, and what a commit may still put into it: the room, and the end of the
// file. It must not know LMDB's answers, only how it lays out pages.
import { statfsSync, statSync } from "node:fs";
import { PlantError } from "../util/errors.ts";
import { costOf, mostOf, type Write } from "./need.ts";
import { freeRoomOf } from "./pages.ts";

/** Which part of the room a commit may use. */
export type Room = "common" | "urgent" | "reserve";

/** What a medium keeps for its own records when it says what is free. */
const mediumSpareBytes = 65_536;

/** How much of the reserve writes leave free. */
const reserveShare: Readonly<Record<Room, number>> = { common: 1, urgent: 0.5, reserve: 0 };
/** Pages that LMDB touches beside those of the data: branches, free list, named tables. */
const spareBytes = 64 * 1024;
/** Commits between two measures of the room in use. */
const measureEvery = 64;
/** The file may be larger than the room by this, for the holes between pages in use. */
const fileShare = 1.5;

/** How far the file of a store with this room may grow. */
export function fileMaxOf(roomBytes: number): number {
  return Math.ceil((roomBytes * fileShare) / 65_536) * 65_536;
}

/** The part of the room that common writes leave free. */
function reserveOf(roomBytes: number): number {
  return Math.min(8 * 1_048_576, roomBytes / 8);
}

export interface FillDeps {
  readonly folder: string;
  /** The data file. */
  readonly path: string;
  readonly roomBytes: number;
  readonly pageBytes: number;
  /** Counts the pages in use; takes a look at every table. */
  readonly pages: () => number;
}

export class Fill {
  readonly #deps: FillDeps;
  /** Never below what is in use: the last measure and all that was put since. */
  #liveBytes: number;
  #sinceMeasure = 0;
  /** Size of the file when it was last looked at. */
  #fileBytes = 0;

  constructor(deps: FillDeps, usedBytes: number) {
    this.#deps = deps;
    this.#liveBytes = usedBytes;
  }

  /** Pages in use, in bytes, or more. */
  get liveBytes(): number {
    return this.#liveBytes;
  }

  /**
   * Takes what a commit needs of the room; what only removes always fits.
   * @returns the bytes of keys and values put.
   * @throws PlantError STORE_FULL, LIMIT_REACHED.
   */
  admit(writes: readonly Write[], room: Room): number {
    const { roomBytes, pageBytes } = this.#deps;
    const { bytes, cost } = costOf(writes, pageBytes);
    this.#sinceMeasure += 1;
    const need = cost + spareBytes;
    const most = roomBytes - reserveOf(roomBytes) * reserveShare[room];
    if (this.#sinceMeasure >= measureEvery || this.#liveBytes + need > most) this.#measure();
    if (cost > 0 && this.#liveBytes + need > most) throw this.#full();
    this.#liveBytes += cost;
    return bytes;
  }

  /**
   * How far a commit may write into the file. It grows neither beyond its bound nor beyond what the
   * medium has: what is put then has to find its place between the pages in use, with as much to
   * spare; what only removes always finds one.
   * @throws PlantError STORE_FULL.
   */
  admitEnd(writes: readonly Write[], usedBytes: number): number {
    const { path, pageBytes } = this.#deps;
    const { bytes, longest, isPut } = mostOf(writes, pageBytes, this.#liveBytes);
    const end = usedBytes + bytes;
    if (end <= this.#mostBytes(end) || !isPut) return end;
    const free = freeRoomOf(path);
    const isEnough = free.pages * pageBytes >= 2 * bytes && free.longest >= 2 * longest;
    if (!isEnough) throw this.#full();
    return end;
  }

  /**
   * How far the file may grow. LMDB must not find out by itself that the medium is full: what it
   * writes about it harms its memory.
   */
  #mostBytes(wanted: number): number {
    const { folder, path, roomBytes } = this.#deps;
    const most = fileMaxOf(roomBytes);
    if (wanted <= this.#fileBytes) return most;
    this.#fileBytes = statSync(path).size;
    if (wanted <= this.#fileBytes) return most;
    const { bavail, bsize } = statfsSync(folder);
    return Math.min(most, this.#fileBytes + Math.max(0, bavail * bsize - mediumSpareBytes));
  }

  /** Measures unless nothing was put since the last time. */
  freshen(): void {
    if (this.#sinceMeasure > 0) this.#measure();
  }

  #measure(): void {
    this.#liveBytes = this.#deps.pages() * this.#deps.pageBytes;
    this.#sinceMeasure = 0;
  }

  #full(): PlantError {
    const { folder, roomBytes } = this.#deps;
    return new PlantError("STORE_FULL", { folder, roomBytes });
  }
}
