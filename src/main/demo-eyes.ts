// Looks at the two pages of the demo: what the gateway says of itself, what the centre holds.
// It must not know how to break or mend anything.
import type { Clock } from "../util/clock.ts";
import { v } from "../util/shape.ts";
import { askPage } from "./local-page.ts";

/** Where to look. */
export interface Sight {
  readonly clock: Clock;
  readonly page: string;
  readonly centrePage: string;
  /** Name of the gateway at the centre. */
  readonly gateway: string;
}

/** What one look sees; what does not answer is absent. */
export interface Glance {
  readonly verdict?: string;
  /** Records not yet acknowledged by the centre. */
  readonly waiting?: number;
  /** Latest values at the centre. */
  readonly values?: readonly SeenValue[];
  /** Age of the newest of them. */
  readonly ageMs?: number;
}

/** A value at the centre. */
export type SeenValue = v.InferOutput<typeof valueShape>;

const lookMs = 1500;

const statusShape = v.object({
  verdict: v.object({ state: v.string() }),
  outbox: v.object({ waiting: v.nullish(v.number()) }),
});
const valueShape = v.object({
  scope: v.string(),
  key: v.string(),
  quality: v.string(),
  time: v.object({ wall: v.number() }),
});
const valuesShape = v.object({ values: v.array(valueShape) });

/** Looks once at both pages. */
export async function look(sight: Sight, signal: AbortSignal): Promise<Glance> {
  const { clock, page, centrePage, gateway } = sight;
  const [status, held] = await Promise.all([
    read(statusShape, `${page}api/v1/status`, signal),
    read(valuesShape, `${centrePage}api/v1/devices/${gateway}/values`, signal),
  ]);
  const waiting = status?.outbox.waiting ?? undefined;
  const newest = Math.max(...(held?.values ?? []).map((value) => value.time.wall));
  return {
    ...(status === undefined ? {} : { verdict: status.verdict.state }),
    ...(waiting === undefined ? {} : { waiting }),
    ...(held === undefined ? {} : { values: held.values }),
    ...(Number.isFinite(newest) ? { ageMs: Math.max(0, clock.wallMs() - newest) } : {}),
  };
}

/** A page that is down, slow or says something else is not seen. */
async function read<S extends v.GenericSchema>(
  shape: S,
  url: string,
  signal: AbortSignal,
): Promise<v.InferOutput<S> | undefined> {
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(lookMs)]);
    const { text } = await askPage({ url, signal: limit });
    const result = v.safeParse(shape, JSON.parse(text));
    return result.success ? result.output : undefined;
  } catch {
    return undefined;
  }
}
