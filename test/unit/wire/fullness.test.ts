// When a peer counts as slow, and when as drained: by messages and by bytes, in every queue alike.
// It must not know sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Pool } from "../../../src/wire/pool.ts";
import { WaitingLine } from "../../../src/wire/waiting-line.ts";
import { isLittle, isMuch, Outbox } from "../../../src/wire/zmtp-outbox.ts";

/** Two queues with the same room and so many messages of one size. */
function filled(count: number, size: number) {
  const pool = new Pool();
  const line = new WaitingLine({ messagesMax: 16, bytesMax: 1600, pool });
  const outbox = new Outbox(pool);
  const frames = [Buffer.alloc(size)];
  for (let at = 0; at < count; at += 1) {
    assert.ok(line.push(frames, size));
    outbox.put(frames, size);
  }
  const limits = { messageBytesMax: 1600, framesMax: 1, sendQueueMax: 16, sendBytesMax: 1600 };
  return {
    slow: [line.isLong, isMuch(outbox, limits)],
    drained: [line.isShort, isLittle(outbox, limits)],
  };
}

const rows = {
  "nothing waits": { count: 0, size: 1, slow: false, drained: true },
  "an eighth of the messages": { count: 2, size: 1, slow: false, drained: true },
  "more than an eighth of the messages": { count: 3, size: 1, slow: false, drained: false },
  "half of the messages": { count: 8, size: 1, slow: false, drained: false },
  "more than half of the messages": { count: 9, size: 1, slow: true, drained: false },
  "an eighth of the bytes": { count: 1, size: 200, slow: false, drained: true },
  "more than an eighth of the bytes": { count: 1, size: 201, slow: false, drained: false },
  "half of the bytes": { count: 1, size: 800, slow: false, drained: false },
  "more than half of the bytes": { count: 1, size: 801, slow: true, drained: false },
};

for (const [name, { count, size, slow, drained }] of Object.entries(rows)) {
  test(`${name}: the peer is ${slow ? "" : "not "}slow, and ${drained ? "" : "not "}drained`, () => {
    const found = filled(count, size);
    assert.deepEqual(found.slow, [slow, slow]);
    assert.deepEqual(found.drained, [drained, drained]);
  });
}
