// What peers and broker say to one another, whichever dialect carries it.
// It must not know bytes, sockets or clocks.
import type { Frames } from "./frame.ts";

/**
 * The dialects: our own; RFC 18; RFC 18 behind a leading empty frame; RFC 7; the words of plantd.
 * A message tells its dialect by its shape alone.
 */
export type Dialect = "plant" | "rfc18" | "rfc18-enveloped" | "rfc7" | "plantd";

/** What goes with every message about a request. */
export interface Head {
  /** Id of the request, unique per sender; below 2^53. */
  readonly id: number;
  /** Milliseconds left, or `noDeadline`. */
  readonly remainingMs: number;
  /** 16 bytes, of a message received a view of its head frame; to be written, `traceOf`, too. */
  readonly trace: Uint8Array;
  readonly flags: number;
}

/** `remainingMs` of a request without a deadline. */
export const noDeadline = 0xffff_ffff;
/** Parts a client takes before it has granted credit. */
export const creditAtStart = 256;
/**
 * Bytes of parts a worker may have under way, without their credit being back; one part always. A
 * client grants anew at the half of these or of `creditAtStart`, whichever comes first.
 */
export const creditBytes = 1_048_576;
/** Bits of `flags`; unknown bits are carried and ignored. */
export const flag = { partials: 1, credit: 2 } as const;

/** The one head of every request of a dialect that has none. */
export const foreignHead: Head = {
  id: 0,
  remainingMs: noDeadline,
  trace: new Uint8Array(16),
  flags: flag.partials,
};

interface About<K extends string> {
  readonly kind: K;
  readonly service: string;
  readonly head: Head;
}
interface WithBody {
  /** One frame or more; none only in a request for `mmi.*`. */
  readonly body: Frames;
}
interface WithCredit {
  /** Parts allowed beside those allowed before, 1 to 65,535. */
  readonly credit: number;
}
interface WithError {
  /** An error as JSON: `{code, message, detail, retryable}`. */
  readonly error: Uint8Array;
}

/** From a client to the broker. The head of a foreign client is `foreignHead`. */
export type FromClient =
  | (About<"request"> & WithBody)
  | About<"cancel">
  | (About<"credit"> & WithCredit);

/**
 * From a worker to the broker, as the broker needs it. `id` is the broker's own of the request,
 * -1 when the worker names an address that is not of the broker's making.
 */
export type FromWorker =
  | { readonly kind: "ready"; readonly service: string; readonly concurrency: number }
  | { readonly kind: "partial" | "final"; readonly id: number; readonly body: Frames }
  | { readonly kind: "error"; readonly id: number; readonly error: Uint8Array }
  /** A request it never began, with its body as it came. */
  | { readonly kind: "returned"; readonly id: number; readonly body: Frames }
  | { readonly kind: "heartbeat" }
  /** It takes no more and answers what it has; the broker's DISCONNECT lets it go. */
  | { readonly kind: "leave" }
  | { readonly kind: "disconnect" };

/** From the broker to a client. */
export type ToClient = (About<"partial" | "final"> & WithBody) | (About<"error"> & WithError);

/** From the broker to a worker. A foreign worker sees `head.id` as the client's address. */
export type ToWorker =
  | (About<"request"> & WithBody)
  | About<"cancel">
  | (About<"credit"> & WithCredit)
  | { readonly kind: "heartbeat" }
  /** Why the DISCONNECT that follows. */
  | ({ readonly kind: "refused" } & WithError)
  | { readonly kind: "disconnect" };

/** What a worker of ours says, with all that goes over the wire. */
export type OwnFromWorker =
  | { readonly kind: "ready"; readonly service: string; readonly concurrency: number }
  | (About<"partial" | "final" | "returned"> & WithBody)
  | (About<"error"> & WithError)
  | { readonly kind: "heartbeat" | "leave" | "disconnect" };

/** What a peer said to the broker, with who it is and which dialect it speaks. */
export type FromPeer =
  | { readonly dialect: Dialect; readonly side: "client"; readonly message: FromClient }
  | { readonly dialect: Dialect; readonly side: "worker"; readonly message: FromWorker };

/** What a dialect has words for, beside requests and last replies. */
export interface Abilities {
  /** Errors to a client, and from a worker. */
  readonly errors: boolean;
  readonly cancel: boolean;
  readonly credit: boolean;
  /** Replies in parts. */
  readonly partials: boolean;
  /** Several requests at one worker. */
  readonly concurrency: boolean;
}

const onlyParts: Abilities = {
  errors: false,
  cancel: false,
  credit: false,
  partials: true,
  concurrency: false,
};

/** What each dialect can say. */
export const abilities: Readonly<Record<Dialect, Abilities>> = {
  plant: { errors: true, cancel: true, credit: true, partials: true, concurrency: true },
  rfc18: onlyParts,
  "rfc18-enveloped": onlyParts,
  rfc7: { ...onlyParts, partials: false },
  plantd: onlyParts,
};
