// The bytes of every MDP message as rows, and what a peer's own side of each dialect makes of them.
// It must not know the broker's rules.
import { readFileSync } from "node:fs";
import { type Dialect, type Frames, plant } from "../../src/mdp/mdp.ts";
import { enveloped, type ForeignPeer, plantd, rfc7, rfc18 } from "./foreign-peers.ts";

export type Way = "FromClient" | "ToClient" | "FromWorker" | "ToWorker";

/** One message: what the peer means, and its bytes as hexadecimal text. */
export interface Row {
  readonly name: string;
  readonly dialect: Dialect;
  readonly way: Way;
  readonly frames: readonly string[];
  /** In the words of the peer. */
  readonly message: unknown;
}

export type Values = Readonly<Record<string, unknown>>;

const file = new URL("../vectors/mdp.json", import.meta.url);
export const rows = JSON.parse(readFileSync(file, "utf8")) as readonly Row[];

/** The peers that are not ours, by dialect. */
export const foreignPeers: Readonly<Record<Exclude<Dialect, "plant">, ForeignPeer>> = {
  rfc18,
  "rfc18-enveloped": enveloped,
  rfc7,
  plantd,
};

export const hex = (text: string) => Buffer.from(text, "hex");
const bytesIn = new Set(["body", "client", "error", "trace"]);

/** Hexadecimal texts of a row as bytes. */
function revive(key: string, value: unknown): unknown {
  if (typeof value === "string" && bytesIn.has(key)) return Uint8Array.from(hex(value));
  if (Array.isArray(value)) return value.map((one) => revive(key, one));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, revive(name, one)]));
}

/** What the peer means, with bytes for texts. */
export const messageOf = (row: Row) => revive("", row.message) as Values;

/** Bytes compare as plain arrays, and heads by what they say, whatever class holds them. */
export function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return [...value];
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  if ("remainingMs" in value) {
    const { id, remainingMs, trace, flags } = value as plant.Head;
    return { id, remainingMs, trace: plain(trace), flags };
  }
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, plain(one)]));
}

/** What a peer's own side of its dialect makes of a message, and reads from frames. */
export function ownSideOf({ dialect, way }: Pick<Row, "dialect" | "way">) {
  const side = (dialect === "plant" ? plant : foreignPeers[dialect]) as unknown as Values;
  return {
    encode: side[`encode${way}`] as (message: unknown) => Frames,
    decode: side[`decode${way}`] as (frames: Frames) => unknown,
  };
}

const foreign = { id: 0, remainingMs: plant.noDeadline, trace: new Uint8Array(16), flags: 1 };

/** The request id in a client address; -1 when it is not of the broker's making. */
export function idIn(address: unknown): number {
  if (!(address instanceof Uint8Array) || address.length !== 8) return -1;
  const id = Buffer.from(address).readBigUInt64BE();
  return id < 2n ** 53n ? Number(id) : -1;
}

/** What a peer says or hears, as the broker has it. */
export function neutralOf({ dialect, way }: Pick<Row, "dialect" | "way">, message: Values): Values {
  const { client, service, head, ...rest } = message;
  const { kind } = message;
  if (service === undefined && client === undefined) return message;
  if (dialect === "plant") {
    if (way !== "FromWorker" || kind === "ready") return message;
    return { ...rest, id: (head as plant.Head).id };
  }
  if (kind === "ready") return { ...message, concurrency: 1 };
  if (way === "FromWorker") return { ...rest, id: idIn(client) };
  const id = way === "ToWorker" ? idIn(client) : 0;
  return { ...rest, service: service ?? "echo", head: { ...foreign, id } };
}
