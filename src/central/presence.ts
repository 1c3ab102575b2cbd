// Who is there: what gateways say of themselves beside the durable streams. In memory only.
// It must not know the store.
import { type Body, decodeBody, type Envelope, type Stream } from "../batch/batch.ts";
import type { Stamp } from "../util/clock.ts";

/** What was heard of one gateway; times are milliseconds since 1970 UTC. */
export interface Presence {
  /** Told by its `up/on`, or by the broker in its place when it vanished. */
  readonly link?: "up" | "down";
  readonly linkSince?: number;
  /** When a batch last came, new or repeated. */
  readonly heardAt?: number;
  /** Highest sequence seen per stream. */
  readonly heads?: Readonly<Partial<Record<Stream, number>>>;
  /** Latest values beside the durable streams, with their place in order. */
  readonly live?: {
    readonly head: number;
    readonly counter: number;
    readonly points: Body<"live">["points"];
  };
}

type Heard = { readonly now: Stamp } & (
  | { readonly payload: Uint8Array }
  | { readonly envelope: Envelope }
);

/**
 * Takes an `up/on`: a signed envelope, or the unsigned last will, which only the broker's word
 * stands for and which therefore changes nothing but what the page shows.
 * @returns whether it was understood; an envelope is not, before it is opened.
 */
export function hearOn(presence: Map<string, Presence>, device: string, heard: Heard): boolean {
  const link = "envelope" in heard ? decodeBody("on", heard.envelope).status : lastWill(heard);
  if (link === undefined) return false;
  const known = presence.get(device) ?? {};
  const since = known.link === link ? known.linkSince : undefined;
  presence.set(device, { ...known, link, linkSince: since ?? heard.now.wall });
  return true;
}

function lastWill({ payload }: { readonly payload: Uint8Array }): "down" | undefined {
  if (payload.length > 256 || payload[0] !== 0x7b) return undefined;
  try {
    const will: unknown = JSON.parse(Buffer.from(payload).toString());
    const isDown = typeof will === "object" && will !== null && "status" in will;
    return isDown && will.status === "down" ? "down" : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Takes an `up/live`; of two, the one with the higher head generation, then counter, holds. */
export function hearLive(
  presence: Map<string, Presence>,
  device: string,
  envelope: Envelope,
  now: Stamp,
): void {
  const { counter, points } = decodeBody("live", envelope);
  const head = envelope.header.head ?? 0;
  const known = presence.get(device) ?? {};
  const held = known.live;
  const isOlder =
    held !== undefined && (head < held.head || (head === held.head && counter <= held.counter));
  if (isOlder) return;
  presence.set(device, { ...known, heardAt: now.wall, live: { head, counter, points } });
}
