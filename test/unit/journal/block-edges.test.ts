// Blocks behind checksums that fit: what is newer than this release, what says another count than
// it has, and how many records there are in one. It must not know where blocks are kept.
import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32 } from "node:zlib";

import { blockPoints, decodeBlock, encodeBlock, encodeBlocks } from "../../../src/journal/block.ts";
import type { JournalRecord } from "../../../src/journal/journal.ts";
import { hasCode, type PlantError } from "../../../src/util/errors.ts";
import { seededRandom } from "../../../src/util/random.ts";

const head = {
  stream: "event",
  epoch: "0123456789abcdef".repeat(2),
  first: 100,
  wallMs: 5,
  runMs: 7,
} as const;
const lines = (count: number, text = "x"): JournalRecord[] =>
  Array.from({ length: count }, () => ({ kind: "line", text }));
/** Sections do not hold it, so that it is kept as a text of JSON. */
const odd: JournalRecord = { kind: "line", text: "x", colour: "red" };

/** A block with other bytes in its head, and the checksum of them. */
function changed(block: Uint8Array, change: (bytes: Buffer) => void): Buffer {
  const bytes = Buffer.from(block);
  change(bytes);
  bytes.writeUInt32BE(crc32(bytes.subarray(4)), 0);
  return bytes;
}

const changes: Record<string, [PlantError["code"], (bytes: Buffer) => void]> = {
  "of a newer version": ["STORE_FORMAT_NEWER", (bytes) => bytes.writeUInt8(3, 4)],
  "in a layout of later": ["STORE_FORMAT_NEWER", (bytes) => bytes.writeUInt8(4, 6)],
  "of no known stream": ["STORE_DAMAGED", (bytes) => bytes.writeUInt8(4, 5)],
  "that says one record more": ["STORE_DAMAGED", (bytes) => bytes.writeUInt32BE(3, 8)],
  "that says one record less": ["STORE_DAMAGED", (bytes) => bytes.writeUInt32BE(1, 8)],
  "that says another end": ["STORE_DAMAGED", (bytes) => bytes.writeBigUInt64BE(102n, 24)],
};
for (const [name, [code, change]] of Object.entries(changes)) {
  test(`a block ${name} is refused as ${code}, in sections and in lines`, () => {
    for (const records of [lines(2), [odd, odd]]) {
      const block = encodeBlock(head, records);
      assert.equal(decodeBlock(changed(block, () => {})).records.length, 2);
      const refused = (error: unknown) => hasCode(error, code);
      assert.throws(() => decodeBlock(changed(block, change)), refused);
    }
  });
}

test("a cover that holds more records than its block says is damage", () => {
  const cover = { kind: "cover", to: 102, body: {} };
  const block = encodeBlock(head, [cover]);
  const [record] = decodeBlock(block).records;
  assert.deepEqual(record, { ...cover, sequence: 100 });
  const more = changed(block, (bytes) => bytes.writeUInt32BE(2, 8));
  assert.throws(
    () => decodeBlock(more),
    (error) => hasCode(error, "STORE_DAMAGED"),
  );
  assert.equal(blockPoints(block), undefined);
});

const counts = { 1: 1000, 2: 4096 } as const;
for (const format of [1, 2] as const) {
  test(`a block of format ${format} has ${counts[format]} records at most, all in order`, () => {
    const max = counts[format];
    const blocks = [...encodeBlocks(head, lines(2 * max + 1), format)];
    const found = blocks.map(({ first, last }) => [first - head.first, last - head.first]);
    assert.deepEqual(found, [
      [0, max - 1],
      [max, 2 * max - 1],
      [2 * max, 2 * max],
    ]);
  });
}

test("records cut in two for their size go on behind what covers among them stand for", () => {
  const noise = Buffer.from(seededRandom(1).bytes(900_000)).toString("base64");
  const covers = [200, 300, 400].map((to) => ({ kind: "cover", to, body: { noise } }));
  const blocks = [...encodeBlocks(head, covers, 2)];
  const found = blocks.flatMap(({ bytes }) => decodeBlock(bytes).records);
  assert.ok(blocks.length > 1);
  assert.deepEqual(
    found.map(({ sequence, to }) => [sequence, to]),
    [
      [100, 200],
      [201, 300],
      [301, 400],
    ],
  );
  const ends = blocks.map(({ first, last }) => last - first + 1);
  assert.equal(
    ends.reduce((sum, count) => sum + count),
    301,
  );
});
