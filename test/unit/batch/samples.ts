// Records and keys that the tests of batches share. It must not know what is tested with them.
import type { BatchRecord, EnvelopeFields } from "../../../src/batch/batch.ts";
import { keyId, signingKeyFromSeed } from "../../../src/util/ed25519.ts";

const boot = "00112233445566778899aabbccddeeff";
const at = (wall: number) => ({ wall, boot, mono: wall - 1_700_000_000_000, sync: "ntp" as const });

export const key = signingKeyFromSeed(new Uint8Array(32).fill(7));
export const kid = keyId(key.publicKey);

export const fields: EnvelopeFields = {
  device: "gw-1",
  type: "batch",
  nonce: "AAAAAAAAAAAAAAAAAAAAAA",
  epoch: "0123456789abcdef0123456789abcdef",
  generation: 4,
  head: 5,
  stream: "state",
  first: 10,
  last: 27,
  lineage: "BBBBBBBBBBBBBBBBBBBBBB",
  boot,
  wall: 1_700_000_001_000,
  mono: 1000,
  sync: "ntp",
};

const values: readonly unknown[] = [
  230.1,
  230,
  -0.001,
  1e300,
  Math.fround(0.1),
  -0,
  null,
  true,
  false,
  "running",
  "",
  "18446744073709551615",
  "-9223372036854775808",
  { nested: [1, "two", null] },
  "\ud800",
];

/** One record of every kind, sequences 10 to 32. */
export const records: readonly BatchRecord[] = [
  { sequence: 10, kind: "define", index: 3, scope: "device/meter", key: "voltage", unit: "V" },
  ...values.map(
    (value, index): BatchRecord => ({
      sequence: 11 + index,
      kind: "point",
      index: index % 4,
      value,
      quality: index === 3 ? "bad" : "good",
      ...(index === 3 ? { reason: "no-answer" } : {}),
      time: at(1_700_000_000_500 + index * 7),
      source: "driver.line1",
    }),
  ),
  { sequence: 26, kind: "delete", index: 3, time: at(1_700_000_000_900) },
  {
    sequence: 27,
    kind: "event",
    event: { kind: "alarm" },
    time: at(1_700_000_000_901),
    source: "x",
  },
  { sequence: 28, kind: "line", text: '{"level":"info"}' },
  { sequence: 29, kind: "correction", body: { boot, offset: 5 } },
  { sequence: 30, kind: "cover", to: 31, body: { reason: "quota" } },
  { sequence: 32, kind: "base", body: { points: [] } },
];
