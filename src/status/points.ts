// Current points of the store as their readers need them: one shape, page after page.
// It must not know who shows them.
import type { Client } from "../client/client.ts";
import { inspect, v } from "../util/shape.ts";

const pointShape = v.looseObject({
  scope: v.string(),
  key: v.string(),
  value: v.unknown(),
  type: v.optional(v.string()),
  unit: v.optional(v.string()),
  quality: v.fallback(v.picklist(["good", "uncertain", "bad"]), "uncertain"),
  reason: v.optional(v.string()),
  time: v.fallback(v.looseObject({ wall: v.number() }), { wall: 0 }),
  revision: v.fallback(v.number(), 0),
  source: v.fallback(v.string(), ""),
});

/** A point of the store. @see docs/reference/services.md, org.plantd.State */
export type Point = v.InferOutput<typeof pointShape>;

const partShape = v.looseObject({
  points: v.optional(v.array(v.unknown()), []),
  next: v.optional(v.unknown()),
});

/** Identifies a point among all. */
export function pointId(point: { readonly scope: string; readonly key: string }): string {
  return `${point.scope}\u0000${point.key}`;
}

/** The points of one answer; what does not look like a point is left out. */
export function readPoints(data: unknown): Point[] {
  const part = inspect(partShape, data);
  if (!part.ok) return [];
  return part.value.points.flatMap((item) => {
    const point = inspect(pointShape, item);
    return point.ok ? [point.value] : [];
  });
}

/** Which points, how many at most, and how long each page may take. */
export interface ListPoints {
  readonly scope?: string;
  readonly prefix?: string;
  readonly max: number;
  readonly deadlineMs: number;
  /** Hears after each page how many points there are so far. */
  readonly onPage?: (count: number) => void;
}

/**
 * Current points in the order of scope and key, page after page.
 * @throws PlantError as `Client.call`.
 */
export async function listPoints(client: Client, options: ListPoints): Promise<Point[]> {
  const { scope, prefix, max, deadlineMs } = options;
  const points: Point[] = [];
  let after: unknown;
  while (points.length < max) {
    const limit = Math.min(1000, max - points.length);
    const args = { scope, prefix, after, limit };
    const data = await client.call("org.plantd.State", "list", args, { deadlineMs });
    const page = readPoints(data);
    points.push(...page);
    options.onPage?.(points.length);
    after = (data as { next?: unknown } | null)?.next;
    if (after === undefined || after === null || page.length === 0) break;
  }
  return points;
}
