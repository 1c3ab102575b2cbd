// A gateway driven by hand: epochs, records and signed envelopes as a real one would send them.
// It must not know the centre.
import {
  type BatchRecord,
  type Body,
  decodeBody,
  type EnvelopeFields,
  encodeBatch,
  encodeBody,
  type LineageEntry,
  lastOf,
  open,
  type Stream,
  seal,
  topicOf,
} from "../../src/batch/batch.ts";
import type { Stamp } from "../../src/util/clock.ts";
import {
  generateSigningKey,
  keyId,
  publicKeyFrom,
  type SigningKey,
} from "../../src/util/ed25519.ts";

export const boot = "b".repeat(32);

export function stampAt(wall: number, mono = wall): Stamp {
  return { wall, boot, mono, sync: "ntp" };
}

/** An epoch's id from a letter or number. */
export function epochId(name: string | number): string {
  return Buffer.from(String(name).padStart(16, "0").slice(-16)).toString("hex");
}

export function defineRecord(sequence: number, index: number, key: string): BatchRecord {
  return { sequence, kind: "define", index, scope: "device/pump", key, type: "i64", unit: "m" };
}

export function pointRecord(sequence: number, index: number, value: unknown): BatchRecord {
  return { sequence, kind: "point", index, value, quality: "good", time: stampAt(sequence) };
}

export interface Message {
  readonly topic: string;
  readonly payload: Uint8Array;
}

export interface FakeGateway {
  readonly id: string;
  readonly key: SigningKey;
  readonly kid: string;
  /** The greeting's nonce that all envelopes carry. */
  nonce: string;
  generations: Record<string, number>;
  seal(fields: Partial<EnvelopeFields> & Pick<EnvelopeFields, "type">, body: Uint8Array): Message;
  hello(lineage: readonly LineageEntry[], rest?: Partial<Body<"hello">>): Message;
  /** A batch of records of `epoch`, under the newest epoch `head`. */
  batch(
    at: { epoch: string; head?: string; stream?: Stream; first?: number },
    records: readonly BatchRecord[],
  ): Message;
}

export function fakeGateway(id: string, key: SigningKey = generateSigningKey()): FakeGateway {
  const kid = keyId(key.publicKey);
  const gateway: FakeGateway = {
    id,
    key,
    kid,
    nonce: `${"n".repeat(21)}A`,
    generations: {},
    seal(fields, body) {
      const full: EnvelopeFields = {
        device: id,
        nonce: gateway.nonce,
        ...stampAt(1),
        ...fields,
      };
      return { topic: topicOf(full), payload: seal(full, body, { key, kid }) };
    },
    hello: (lineage, rest = {}) =>
      gateway.seal(
        { type: "hello" },
        encodeBody("hello", {
          version: "1",
          lineage: [...lineage],
          streams: {},
          generation: 0,
          keySet: 1,
          ...rest,
        }),
      ),
    batch({ epoch, head = epoch, stream = "state", first }, records) {
      const from = records[0]?.sequence ?? first ?? 1;
      const newest = records.at(-1);
      return gateway.seal(
        {
          type: "batch",
          epoch,
          generation: gateway.generations[epoch] ?? 0,
          head: gateway.generations[head] ?? 0,
          stream,
          first: from,
          last: newest === undefined ? from - 1 : lastOf(newest),
        },
        encodeBatch(records),
      );
    },
  };
  return gateway;
}

/** What the centre said in an answer. */
export type Heard =
  | ({ type: "welcome" } & Body<"welcome">)
  | ({ type: "ack" } & Body<"ack">)
  | ({ type: "want" } & Body<"want">)
  | ({ type: "refuse" } & Body<"refuse">);

/** Opens an answer that must be signed by `publicKey`. */
export function hear(payload: Uint8Array, publicKey: Uint8Array): Heard & { nonce: string } {
  const envelope = open(payload, () => publicKeyFrom(publicKey));
  const { type, nonce } = envelope.header;
  switch (type) {
    case "welcome":
      return { type, nonce, ...decodeBody(type, envelope) };
    case "ack":
      return { type, nonce, ...decodeBody(type, envelope) };
    case "want":
      return { type, nonce, ...decodeBody(type, envelope) };
    case "refuse":
      return { type, nonce, ...decodeBody(type, envelope) };
    default:
      throw new Error(`the centre sent a ${type}`);
  }
}
