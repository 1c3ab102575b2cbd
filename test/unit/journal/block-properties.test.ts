// Random records of all kinds through blocks and back, exactly; and random damage, which nothing
// but a code may tell. It must not know what the records mean to anybody.
import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import { encodeBlock, encodeBlocks } from "../../../src/journal/block.ts";
import { blockPoints, decodeBlock, type JournalRecord } from "../../../src/journal/journal.ts";
import { hasCode } from "../../../src/util/errors.ts";
import { seededRandom } from "../../../src/util/random.ts";

const seed = Number(process.env.PLANTD_SEED ?? process.hrtime()[1]);
const told = `PLANTD_SEED=${seed}`;
const head = {
  stream: "state",
  epoch: "0f".repeat(16),
  first: 2 ** 40,
  wallMs: 1_700_000_000_000,
  runMs: 12_345.5,
} as const;

/** Draws of one seed. */
class Draw {
  readonly #random;

  constructor(from: number) {
    this.#random = seededRandom(from);
  }

  below(top: number): number {
    return Math.floor(this.#random.unit() * top);
  }

  of<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }

  text(): string {
    const letters = ["a", "ü", "€", "\u{1f600}", "\ud83d", "\udc00", "\0", "\n", '"', "\u2028"];
    return Array.from({ length: this.below(12) }, () => this.of(letters)).join("");
  }

  json(depth: number): unknown {
    if (depth === 0) return this.plain();
    const more = () => this.json(depth - 1);
    return this.of([
      () => [more(), more()],
      () => ({ [this.text()]: more(), "": null }),
      () => [],
      () => this.plain(),
    ])();
  }

  plain(): unknown {
    const unit = this.#random.unit();
    return this.of<() => unknown>([
      () => this.of([0, 1, -1, 1e308, -1e308, 5e-324, 2 ** 53, -(2 ** 53), 2 ** 53 - 1, 1e21]),
      () => this.of([null, true, false, "", "0", "-0", "00", "1e3", " 1", "x".repeat(65_536)]),
      () => this.of(["18446744073709551615", "18446744073709551616", "-9223372036854775808"]),
      () => this.of(["-9223372036854775809", "9007199254740993", "1", "-1"]),
      () => this.below(100_000) / this.of([1, 10, 100, 1000, 3]),
      () => Math.fround(unit),
      () => (unit - 0.5) * 10 ** this.below(40),
      () => this.text(),
    ])();
  }

  stamp(): object {
    const wall = this.of([0, -5, 1_700_000_000_000, 2 ** 50 - 1]) + this.below(3);
    const mono = this.of([0, 1000, 2 ** 40]) + this.below(3);
    return { wall, boot: this.of(["ab", "cd"]).repeat(16), mono, sync: this.of(["none", "ntp"]) };
  }

  record(sequence: number): JournalRecord {
    const index = this.of([0, 1, 2, 3, 700, 2 ** 32 - 1]);
    const source = this.of([{}, { source: "driver.a" }, { source: this.text() }]);
    const time = this.stamp();
    switch (this.below(12)) {
      case 0: {
        const names = this.of([{}, { type: "f64" }, { unit: "°C", profile: this.text() }]);
        return { kind: "define", index, scope: this.text(), key: this.text(), ...names };
      }
      case 1:
        return { kind: "delete", index, time, ...source };
      case 2:
        return { kind: "event", event: this.json(4), time, ...source };
      case 3:
        return { kind: "line", text: this.of([this.text(), "plain"]) };
      case 4:
        return { kind: this.of(["correction", "base"]), body: this.json(3) };
      case 5:
        return { kind: "cover", to: sequence + this.of([0, 1, 5000]), body: this.json(2) };
      default: {
        const reason = this.of([{}, {}, { reason: "stale" }, { reason: this.text() }]);
        const quality = this.of(["good", "uncertain", "bad"]);
        return { kind: "point", index, value: this.json(1), quality, ...reason, time, ...source };
      }
    }
  }

  records(count: number): JournalRecord[] {
    const records: JournalRecord[] = [];
    let sequence: number = head.first;
    for (let at = 0; at < count; at += 1) {
      const record = this.record(sequence);
      records.push(record);
      sequence = (record.kind === "cover" ? (record.to as number) : sequence) + 1;
    }
    return records;
  }
}

/** Numbered as a reader gets them. */
function numbered(records: readonly JournalRecord[]): JournalRecord[] {
  let next: number = head.first;
  return records.map((record) => {
    const sequence = next;
    next = (record.kind === "cover" ? (record.to as number) : sequence) + 1;
    return { ...record, sequence };
  });
}

test("random records of all kinds come back exactly", () => {
  for (let round = 0; round < 60; round += 1) {
    const draw = new Draw(seed + round);
    const records = draw.records(1 + draw.below(60));
    const expected = numbered(records);
    const blocks = [...encodeBlocks(head, records, 2)].map(({ bytes }) => decodeBlock(bytes));
    const found = blocks.flatMap(({ records: held }) => held);
    assert.deepEqual(found, expected, `${told} round ${round}`);
    const points = expected.filter(({ kind }) => kind === "point");
    const columns = [...encodeBlocks(head, records, 2)].map(({ bytes }) => blockPoints(bytes));
    assert.deepEqual(
      columns.flatMap((each) => each?.values ?? []),
      points.map(({ value }) => value),
      `${told} round ${round}`,
    );
    assert.deepEqual(
      columns.flatMap((each) => [...(each?.index ?? [])]),
      points.map(({ index }) => index),
      `${told} round ${round}`,
    );
  }
});

test("records of format 1 come back as JSON has them", () => {
  for (let round = 0; round < 20; round += 1) {
    const draw = new Draw(seed + round);
    const records = draw.records(30).filter(({ kind }) => kind !== "cover");
    const [block] = [...encodeBlocks(head, records, 1)];
    if (block === undefined) continue;
    assert.deepEqual(
      decodeBlock(block.bytes).records,
      JSON.parse(JSON.stringify(numbered(records))),
      `${told} round ${round}`,
    );
  }
});

/** Reads a block in all ways; what it throws must be a code of damage. */
function readsOrTells(bytes: Uint8Array): boolean {
  let isRead = true;
  for (const read of [decodeBlock, blockPoints]) {
    try {
      read(bytes);
    } catch (error) {
      assert.ok(hasCode(error, "STORE_DAMAGED", "STORE_FORMAT_NEWER"), `${told}: ${error}`);
      isRead = false;
    }
  }
  return isRead;
}

test("a block with any bit flipped, or cut off anywhere, is damage", () => {
  const draw = new Draw(seed);
  for (const format of [1, 2] as const) {
    const records = draw.records(12).filter(({ kind }) => kind !== "cover");
    for (const { bytes } of encodeBlocks(head, records, format)) {
      for (let round = 0; round < 400; round += 1) {
        const wrong = Buffer.from(bytes);
        const at = draw.below(wrong.length);
        wrong[at] = (wrong[at] ?? 0) ^ (1 << draw.below(8));
        assert.equal(readsOrTells(wrong), false, `${told} byte ${at}`);
        assert.equal(readsOrTells(bytes.subarray(0, draw.below(bytes.length))), false, told);
      }
    }
  }
});

test("wrong bytes behind a checksum that fits are told by a code all the same", () => {
  const draw = new Draw(seed);
  for (let round = 0; round < 40; round += 1) {
    // Small blocks are not compressed: the wrong bytes reach the sections.
    const records = draw.records(1 + draw.below(3));
    const bytes = encodeBlock(head, records);
    if (bytes.length > 4000) continue;
    for (let flip = 0; flip < 60; flip += 1) {
      const wrong = Buffer.from(bytes);
      const at = 4 + draw.below(wrong.length - 4);
      wrong[at] = (wrong[at] ?? 0) ^ (1 << draw.below(8));
      wrong.writeUInt32BE(crc32(wrong.subarray(4)), 0);
      readsOrTells(wrong);
    }
  }
});
