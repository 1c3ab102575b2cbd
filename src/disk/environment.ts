// How the package is asked to open an environment, and what its types leave out of the answers.
// It must not know who opens it.
import { fileMaxOf } from "./fill.ts";

const tablesMax = 32;
/** The map is larger than the file ever gets: the package grows one that is full. */
const mapSpareBytes = 64 * 1_048_576;

/** Keys and values are bytes as they are, and copies. */
export const binary = { encoding: "binary", keyEncoding: "binary", cache: false } as const;

/** The options of the environment at `path`, for so much room. */
export function environmentOf(path: string, roomBytes: number) {
  const mapSize = fileMaxOf(roomBytes) + mapSpareBytes;
  // `safeRestore` is missing in the package's types. Without `eventTurnBatching` no promise of
  // the package's own rejects unheard when a commit fails, which would end the process.
  const safety = { overlappingSync: false, safeRestore: true, eventTurnBatching: false };
  return { path, noSubdir: false, mapSize, maxDbs: tablesMax, trackMetrics: true, ...safety };
}

/** The figures of an environment. */
export interface EnvironmentFigures {
  readonly pageSize: number;
  readonly lastPageNumber: number;
  readonly mapSize: number;
  /** Since opening, without the first pages. */
  readonly pagesWritten: number;
}

/** The figures of what the package tells of an environment. */
export function figuresOf(stats: unknown): EnvironmentFigures {
  return stats as EnvironmentFigures;
}

/** The pages of a table, by its figures. */
export function pagesOf(stats: unknown): number {
  const { treeBranchPageCount, treeLeafPageCount, overflowPages } = stats as {
    treeBranchPageCount: number;
    treeLeafPageCount: number;
    overflowPages: number;
  };
  return treeBranchPageCount + treeLeafPageCount + overflowPages;
}
