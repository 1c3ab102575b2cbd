// Faults of a simulated line: how they are named, and what they do to a reply. Pure.
// It must not know ports, protocols or devices.

/** What can be wrong with a reply. */
export const faultKinds = [
  "late",
  "silent",
  "half",
  "crc",
  "noise",
  "exception",
  "unit",
  "disconnect",
] as const;
export type FaultKind = (typeof faultKinds)[number];

/** A fault in force. */
export interface Fault {
  readonly kind: FaultKind;
  /** How late a late reply is. */
  readonly ms: number;
  /** Modbus exception code of an exception. */
  readonly exception: number;
  /** The unit it befalls; every unit of the line when absent. */
  readonly unit?: number | undefined;
  /** Replies it still befalls; for ever when absent. */
  readonly count?: number | undefined;
}

/** A fault as a caller names it; what is absent is 1,000 ms and exception 4. */
export type FaultRequest = { readonly kind: FaultKind } & Partial<Omit<Fault, "kind">>;

/** A fault with everything filled in. */
export function completeFault(request: FaultRequest): Fault {
  return { ms: 1000, exception: 4, ...request };
}

/** A line of the control channel. */
export type Command =
  | { readonly is: "fault"; readonly line: string | undefined; readonly fault: FaultRequest }
  | { readonly is: "heal"; readonly line: string | undefined }
  | { readonly is: "malformed"; readonly problem: string };

const usage = `fault [line=NAME] kind=${faultKinds.join("|")} [ms=] [exception=] [unit=] [count=]`;

/** Reads `fault line=rs485-1 kind=late ms=800` or `heal line=rs485-1`. */
export function parseCommand(text: string): Command {
  const [verb = "", ...words] = text.trim().split(/\s+/);
  const named = new Map<string, string>();
  for (const word of words) {
    const at = word.indexOf("=");
    const key = word.slice(0, at);
    if (at < 1 || !["line", "kind", "ms", "exception", "unit", "count"].includes(key)) {
      return { is: "malformed", problem: `what is ${word}? ${usage}` };
    }
    named.set(key, word.slice(at + 1));
  }
  const line = named.get("line");
  if (verb === "heal") return { is: "heal", line };
  if (verb !== "fault") return { is: "malformed", problem: `${usage}, or heal [line=NAME]` };
  const kind = faultKinds.find((known) => known === named.get("kind"));
  if (kind === undefined) return { is: "malformed", problem: usage };
  const numbers: Record<string, number> = {};
  for (const [key, most] of [
    ["ms", 600_000],
    ["exception", 255],
    ["unit", 255],
    ["count", 1_000_000],
  ] as const) {
    const digits = named.get(key);
    if (digits === undefined) continue;
    if (!/^\d{1,7}$/.test(digits) || Number(digits) > most) {
      return { is: "malformed", problem: `${key} must be a whole number up to ${most}` };
    }
    numbers[key] = Number(digits);
  }
  return { is: "fault", line, fault: { kind, ...numbers } };
}

/** A reply and the ways its protocol can go wrong, made only when needed. */
export interface Reply {
  readonly bytes: Uint8Array;
  /** The reply with a checksum, or whatever guards it, that is wrong. */
  corrupted(): Uint8Array;
  /** A well-formed reply in the name of another device. */
  misaddressed(): Uint8Array;
  /** A well-formed refusal. */
  refused(exception: number): Uint8Array;
}

/** What goes out in place of a reply. */
export interface Sending {
  readonly afterMs: number;
  readonly bytes: Uint8Array;
  /** The connection is cut instead of, or after, the bytes. */
  readonly isCut: boolean;
}

/** Bytes of noise before a reply; none of them begins a frame or ends a line. */
const noise = Uint8Array.of(0x00, 0xff, 0xf7, 0x80, 0xfe, 0x00, 0xff);

/** What a fault makes of a reply; without one the reply goes out as it is. */
export function spoil(fault: Fault | undefined, reply: Reply): Sending | undefined {
  const now = (bytes: Uint8Array): Sending => ({ afterMs: 0, bytes, isCut: false });
  if (fault === undefined) return now(reply.bytes);
  switch (fault.kind) {
    case "late":
      return { afterMs: fault.ms, bytes: reply.bytes, isCut: false };
    case "silent":
      return undefined;
    case "half":
      return now(reply.bytes.subarray(0, Math.ceil(reply.bytes.length / 2)));
    case "crc":
      return now(reply.corrupted());
    case "noise":
      return now(Uint8Array.from([...noise, ...reply.bytes]));
    case "exception":
      return now(reply.refused(fault.exception));
    case "unit":
      return now(reply.misaddressed());
    case "disconnect":
      return { afterMs: 0, bytes: new Uint8Array(0), isCut: true };
  }
}
