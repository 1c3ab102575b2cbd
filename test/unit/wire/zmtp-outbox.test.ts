// What waits for a peer: the same bytes whatever is copied and whatever goes by reference.
// It must not know sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom, systemRandom } from "../../../src/util/random.ts";
import { Pool } from "../../../src/wire/pool.ts";
import { wireBytes } from "../../../src/wire/zmtp-codec.ts";
import { byReferenceMin, Outbox } from "../../../src/wire/zmtp-outbox.ts";
import { messageOf } from "../../fakes/zmtp-bytes.ts";

function put(outbox: Outbox, ...sizes: readonly number[]): Buffer {
  const frames = sizes.map((size) => Buffer.alloc(size, size & 255));
  outbox.put(frames, wireBytes(frames));
  return messageOf(...frames);
}

/** All that is taken, copied as the kernel would. */
function takeAll(outbox: Outbox): Buffer {
  const taken = outbox.take();
  return taken instanceof Uint8Array ? Buffer.from(taken) : Buffer.concat(taken);
}

test("messages of every size come out as the frames of the RFC", () => {
  const sizes = [0, 1, 40, 41, 255, 256, 4000, 4096, 8182, 8191, 8192, 65_535, 65_536, 200_000];
  for (const size of sizes) {
    const outbox = new Outbox(new Pool());
    const expected = Buffer.concat([
      put(outbox, 6, 1, size),
      put(outbox, size),
      put(outbox, size, 0, size),
    ]);
    assert.equal(outbox.bytes, expected.length);
    assert.ok(takeAll(outbox).equals(expected), `size ${size}`);
    assert.equal(outbox.settle(), 3);
    assert.equal(outbox.bytes, 0);
  }
});

test("a large frame goes by reference, a small one does not", () => {
  const outbox = new Outbox(new Pool());
  const large = Buffer.alloc(byReferenceMin);
  const small = Buffer.alloc(byReferenceMin - 1);
  outbox.put([small, large, small], wireBytes([small, large, small]));
  const taken = outbox.take();
  assert.ok(Array.isArray(taken));
  assert.equal(taken.filter((piece) => piece === large).length, 1);
  assert.equal(taken.filter((piece) => piece === small).length, 0);
});

test("what is put while something is taken waits for the next taking", () => {
  const outbox = new Outbox(new Pool());
  const first = put(outbox, 100, 10_000);
  const taken = outbox.take();
  const second = put(outbox, 50);
  assert.deepEqual([outbox.messages, outbox.fresh], [2, second.length]);
  assert.deepEqual(Buffer.concat(taken as Uint8Array[]), first);
  assert.equal(outbox.settle(), 1);
  assert.deepEqual([outbox.messages, outbox.bytes], [1, second.length]);
  assert.deepEqual(takeAll(outbox), second);
  assert.equal(outbox.settle(), 1);
  assert.deepEqual([outbox.messages, outbox.bytes], [0, 0]);
});

test("slabs are used again only when the kernel has let them go", () => {
  const outbox = new Outbox(new Pool());
  const other = new Outbox(new Pool());
  const expected = put(outbox, 7, 8, 9);
  const taken = outbox.take() as Buffer;
  put(other, 100, 100);
  put(outbox, 100, 100);
  assert.deepEqual(Buffer.from(taken), expected);
});

test("a dropped outbox is empty and can be used again", () => {
  const outbox = new Outbox(new Pool());
  put(outbox, 10);
  outbox.take();
  put(outbox, 20_000);
  assert.equal(outbox.drop(), 2);
  assert.deepEqual([outbox.messages, outbox.bytes, outbox.fresh], [0, 0, 0]);
  const expected = put(outbox, 5);
  assert.deepEqual(takeAll(outbox), expected);
});

test("commands stand between messages", () => {
  const outbox = new Outbox(new Pool());
  const before = put(outbox, 9000, 3);
  outbox.putBytes(Buffer.of(4, 1, 65));
  const after = put(outbox, 3);
  assert.deepEqual(takeAll(outbox), Buffer.concat([before, Buffer.of(4, 1, 65), after]));
  assert.equal(outbox.settle(), 2);
});

test("any mix of sizes, takings and settlings keeps every byte in order", () => {
  const seed = Math.floor(systemRandom.unit() * 2 ** 31);
  const dice = seededRandom(seed);
  for (let round = 0; round < 30; round += 1) {
    const outbox = new Outbox(new Pool());
    const expected: Buffer[] = [];
    const got: Buffer[] = [];
    let isTaken = false;
    for (let step = 0; step < 100; step += 1) {
      const choice = dice.unit();
      if (choice < 0.7) {
        const sizes = Array.from({ length: 1 + dice.unit() * 5 }, () => {
          return Math.floor(dice.unit() ** 4 * 30_000);
        });
        expected.push(put(outbox, ...sizes));
      } else if (choice < 0.85 && !isTaken) {
        got.push(takeAll(outbox));
        isTaken = true;
      } else if (isTaken) {
        outbox.settle();
        isTaken = false;
      }
    }
    if (isTaken) outbox.settle();
    got.push(takeAll(outbox));
    outbox.settle();
    assert.equal(outbox.messages, 0, `seed ${seed}`);
    assert.ok(Buffer.concat(got).equals(Buffer.concat(expected)), `seed ${seed}, round ${round}`);
  }
});
