// From points to the fewest requests: neighbours are read together, and small gaps with them when
// that is quicker than another request. Pure. It must not know lines or devices.
import { isBitTable, limits, type Request, type Table } from "./pdu.ts";
import type { Profile, ProfilePoint } from "./profile.ts";
import { registersOf } from "./registers.ts";

/** A range read by one request, and the points in it. */
export interface Block {
  readonly table: Table;
  readonly address: number;
  readonly count: number;
  readonly points: readonly string[];
}

/** What a second request costs on this line. */
export interface RequestCost {
  /** Time of one character in milliseconds; 0 on TCP. */
  readonly characterMs: number;
  readonly silenceMs: number;
  readonly turnaroundMs: number;
}

/** Gap in registers on TCP, where bytes cost next to nothing. */
const tcpGap = 64;
/** Characters of a request and of the frame around an answer. */
const overheadCharacters = 13;

/**
 * The widest gap, in registers, that is cheaper read along than left out by a second request:
 * gap × 2 × character < 13 × character + 2 × silence + turnaround.
 */
export function gapMax({ characterMs, silenceMs, turnaroundMs }: RequestCost): number {
  if (characterMs === 0) return tcpGap;
  const saved = overheadCharacters * characterMs + 2 * silenceMs + turnaroundMs;
  return Math.max(0, Math.ceil(saved / (2 * characterMs)) - 1);
}

/** Blocks that hold all of `points`, ordered by table and address. No point is ever divided. */
export function planBlocks(
  profile: Profile,
  points: readonly string[],
  cost: RequestCost,
): readonly Block[] {
  const registerGap = Math.min(profile.limits.gap ?? Number.POSITIVE_INFINITY, gapMax(cost));
  const wanted = points
    .flatMap((name) => {
      const point = profile.points[name];
      return point === undefined ? [] : [{ name, point }];
    })
    .sort((a, b) => compare(a.point, b.point));
  const blocks: (Block & { points: string[] })[] = [];
  for (const { name, point } of wanted) {
    const { table, address } = point;
    const isBit = isBitTable(table);
    const end = address + registersOf(point);
    const most = isBit ? (profile.limits.bits ?? limits.readBits) : registersMax(profile);
    const gap = isBit ? registerGap * 16 : registerGap;
    const last = blocks.at(-1);
    const lastEnd = last === undefined ? 0 : last.address + last.count;
    const fits =
      last !== undefined &&
      last.table === table &&
      address - lastEnd <= gap &&
      Math.max(end, lastEnd) - last.address <= most;
    if (fits) {
      const count = Math.max(end, lastEnd) - last.address;
      blocks[blocks.length - 1] = { ...last, count, points: [...last.points, name] };
    } else blocks.push({ table, address, count: end - address, points: [name] });
  }
  return blocks;
}

function registersMax(profile: Profile): number {
  return profile.limits.registers ?? limits.readRegisters;
}

function compare(a: ProfilePoint, b: ProfilePoint): number {
  if (a.table !== b.table) return a.table < b.table ? -1 : 1;
  return a.address - b.address;
}

/** The request that reads a block. */
export function requestOf({ table, address, count }: Block): Request {
  return { is: "read", table, address, count };
}
