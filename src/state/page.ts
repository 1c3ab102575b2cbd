// The bytes of one page of a checkpoint: the points of 64 indices in columns, as JSON, compressed.
// It must not know where pages are kept, or their checksums.
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { PlantError } from "../util/errors.ts";
import { syncs } from "./point.ts";
import { indicesPerPage, type Point, type PointTable } from "./points.ts";

/** A page that a later version wrote otherwise is not read. */
const version = 1;
/** A page that grows beyond this is not expanded: 64 values and names as long as they may be. */
const pageBytesMax = 67_108_864;
const fast = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

/** Columns, each as long as `index`; words by their place in `words`, from 1, and 0 for none. */
interface Columns {
  readonly v: number;
  readonly words: string[];
  readonly index: number[];
  readonly key: string[];
  readonly value: unknown[];
  readonly revision: number[];
  readonly wall: number[];
  readonly mono: number[];
  readonly scope: number[];
  readonly type: number[];
  readonly unit: number[];
  readonly profile: number[];
  readonly quality: number[];
  readonly reason: number[];
  readonly source: number[];
  readonly boot: number[];
  readonly sync: number[];
  /** Running time at which a point goes; 0 for those that stay. */
  readonly due: number[];
}

/** The bytes of a page, the number of its points first; undefined when none of its points is there. */
export function encodePage(table: PointTable, page: number): Uint8Array | undefined {
  const found = table.slotsOfPage(page);
  if (found.length === 0) return undefined;
  const { slots } = table;
  const columns = emptyColumns();
  const numbers = new Map<string, number>();
  const refer = (word: string | undefined): number => {
    if (word === undefined) return 0;
    const known = numbers.get(word);
    if (known !== undefined) return known;
    columns.words.push(word);
    numbers.set(word, columns.words.length);
    return columns.words.length;
  };
  for (const slot of found) {
    const { scope, key, value, type, unit, quality, reason, time, revision, source } =
      slots.pointOf(slot);
    columns.index.push(slots.index[slot] as number);
    columns.key.push(key);
    columns.value.push(value);
    columns.revision.push(revision);
    columns.wall.push(time.wall);
    columns.mono.push(time.mono);
    columns.scope.push(refer(scope));
    columns.type.push(refer(type));
    columns.unit.push(refer(unit));
    columns.profile.push(refer(slots.profileOf(slot)));
    columns.quality.push(refer(quality));
    columns.reason.push(refer(reason));
    columns.source.push(refer(source));
    columns.boot.push(refer(time.boot));
    columns.sync.push(refer(time.sync));
    columns.due.push(table.dueOf(slot) ?? 0);
  }
  return Buffer.concat([Buffer.of(found.length), zstdCompressSync(JSON.stringify(columns), fast)]);
}

function emptyColumns(): Columns {
  const numbers = (): number[] => [];
  return {
    v: version,
    words: [],
    index: numbers(),
    key: [],
    value: [],
    revision: numbers(),
    wall: numbers(),
    mono: numbers(),
    scope: numbers(),
    type: numbers(),
    unit: numbers(),
    profile: numbers(),
    quality: numbers(),
    reason: numbers(),
    source: numbers(),
    boot: numbers(),
    sync: numbers(),
    due: numbers(),
  };
}

/**
 * Takes the points of a page over into a table.
 * @throws PlantError STORE_DAMAGED, STORE_FORMAT_NEWER.
 */
export function takePage(table: PointTable, page: number, bytes: Uint8Array): void {
  const columns = parse(bytes);
  const { words } = columns;
  const word = (column: readonly number[], at: number) => words[(column[at] ?? 0) - 1];
  columns.index.forEach((index, at) => {
    const [scope, key] = [word(columns.scope, at), columns.key[at]];
    const [revision, wall] = [columns.revision[at], columns.wall[at]];
    const [boot, sync] = [word(columns.boot, at), word(columns.sync, at)] as const;
    const isOfPage = Math.floor(index / indicesPerPage) === page;
    if (!isOfPage || scope === undefined || key === undefined || revision === undefined) {
      throw damaged(page);
    }
    const known = syncs.find((one) => one === sync);
    if (wall === undefined || boot === undefined || known === undefined) throw damaged(page);
    const due = columns.due[at] ?? 0;
    table.take(
      {
        index,
        scope,
        key,
        type: word(columns.type, at) as Point["type"],
        unit: word(columns.unit, at),
        profile: word(columns.profile, at),
      },
      {
        value: columns.value[at] ?? null,
        quality: word(columns.quality, at) as Point["quality"],
        reason: word(columns.reason, at),
        time: { wall, boot, mono: columns.mono[at] ?? 0, sync: known },
        source: word(columns.source, at),
      },
      { revision, due: due === 0 ? undefined : due },
    );
  });
}

function parse(bytes: Uint8Array): Columns {
  let columns: Columns;
  try {
    const text = zstdDecompressSync(bytes.subarray(1), { maxOutputLength: pageBytesMax }).toString(
      "utf8",
    );
    columns = JSON.parse(text) as Columns;
  } catch (error) {
    const reason = "a page of the checkpoint does not expand";
    throw new PlantError("STORE_DAMAGED", { reason }, { cause: error });
  }
  if (columns.v > version) {
    throw new PlantError("STORE_FORMAT_NEWER", { found: `page ${columns.v}`, known: version });
  }
  return columns;
}

function damaged(page: number): PlantError {
  return new PlantError("STORE_DAMAGED", { reason: `page ${page} of the checkpoint is cut short` });
}
