// Points as they change and as they go, watch after watch, over a store that was away.
// It must not know how a change is shown.
import type { Client } from "../client/client.ts";
import { type Point, readPoints, services } from "../status/status.ts";
import { hasCode, PlantError } from "../util/errors.ts";
import { inspect, v } from "../util/shape.ts";
import type { Invocation } from "./command.ts";

/** A point that is no more. */
export interface Deletion {
  readonly scope: string;
  readonly key: string;
  readonly revision: number;
}

/** What is watched; a prefix is of the key where a scope is named, else of the scope. */
export interface Watched {
  readonly scope?: string;
  readonly prefix?: string;
  /** Revision after which to begin; from now on when absent. */
  readonly after?: number;
}

/** A watch ends at the store after 30 s at most; then it is asked again. */
const watchMs = 40_000;
/** Pause before another try while the store is away. */
const retryMs = 1000;

const partShape = v.looseObject({
  deleted: v.optional(
    v.array(v.looseObject({ scope: v.string(), key: v.string(), revision: v.number() })),
    [],
  ),
});
const endShape = v.looseObject({
  position: v.optional(v.number()),
  epoch: v.optional(v.string()),
});

/** Where the next watch goes on. */
interface Place {
  readonly after?: number;
  readonly epoch?: string;
}

/**
 * Tells of every change until it is interrupted or `--for` is over.
 * @throws PlantError WATCH_GONE when nothing is known of what was asked for, CANCELLED.
 */
export async function watchPoints(
  invocation: Invocation,
  watched: Watched,
  hear: (point: Point) => void,
  hearDeletion: (deletion: Deletion) => void = () => {},
): Promise<number> {
  const { io, out, signal } = invocation;
  const client = await invocation.client();
  out.talk("watching; end with Ctrl-C");
  const { after } = watched;
  let place: Place = after === undefined ? {} : { after };
  let isFirst = true;
  while (!signal.aborted) {
    const reached = { ...place };
    try {
      place = await watchOnce(invocation, { client, watched, place, reached }, hear, hearDeletion);
      isFirst = false;
      await io.clock.sleep(0, signal);
    } catch (error) {
      if (signal.aborted) break;
      place = await afterFailure(invocation, error, { reached, isFirst });
      await io.clock.sleep(retryMs, signal);
    }
  }
  if (io.signal.aborted) throw new PlantError("CANCELLED");
  return 0;
}

/** Where to go on after a failure that passes. @throws the others. */
async function afterFailure(
  { out }: Invocation,
  error: unknown,
  { reached, isFirst }: { readonly reached: Place; readonly isFirst: boolean },
): Promise<Place> {
  const code = error instanceof PlantError ? error.code : "";
  if (!isFirst && ["WATCH_GONE", "SEQUENCE_AHEAD", "SEQUENCE_GONE"].includes(code)) {
    out.talk(`not all of what changed meanwhile is known (${code}); going on from now`);
    return {};
  }
  const isAway = hasCode(error, "WORKER_LOST", "EXPIRED", "BROKER_LOST");
  if (!isAway && !(hasCode(error, "NO_SERVICE") && !isFirst)) throw error;
  out.talk(`the store is away (${code}); going on when it is back`);
  return reached;
}

interface Once {
  readonly client: Client;
  readonly watched: Watched;
  readonly place: Place;
  /** Moved along with what was told, for the case that the watch is cut off. */
  readonly reached: { after?: number; epoch?: string };
}

async function watchOnce(
  { signal }: Invocation,
  { client, watched, place, reached }: Once,
  hear: (point: Point) => void,
  hearDeletion: (deletion: Deletion) => void,
): Promise<Place> {
  const { scope, prefix } = watched;
  const scopes = scope === undefined ? {} : { scopes: [scope] };
  const args = { ...scopes, ...(prefix === undefined ? {} : { prefix }), ...place };
  const parts = client.stream(services.state, "watch", args, { deadlineMs: watchMs, signal });
  for (;;) {
    const part = await parts.next();
    if (part.done === true) return placeAfter(part.value, reached.after);
    const found = inspect(partShape, part.value);
    for (const deletion of found.ok ? found.value.deleted : []) {
      if (isWatched(deletion, watched)) hearDeletion(deletion);
    }
    for (const point of readPoints(part.value)) {
      if (isWatched(point, watched)) hear(point);
      reached.after = Math.max(reached.after ?? 0, point.revision);
    }
  }
}

function isWatched(
  one: { readonly scope: string; readonly key: string },
  { scope, prefix = "" }: Watched,
): boolean {
  if (scope === undefined) return one.scope.startsWith(prefix);
  return one.scope === scope && one.key.startsWith(prefix);
}

/** Where to go on after a watch that ended as it should. @param reached what it told. */
function placeAfter(end: unknown, reached: number | undefined): Place {
  const found = inspect(endShape, end ?? {});
  const { position = 0, epoch } = found.ok ? found.value : {};
  const after = position > 0 ? position : reached;
  return { ...(after === undefined ? {} : { after }), ...(epoch === undefined ? {} : { epoch }) };
}
