// The queue over a disk that says what it is told to say: who hears of a commit that failed, and
// what is refused before it waits. It must not know what the records mean.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Disk } from "../../../src/disk/disk.ts";
import type { AppendRequest } from "../../../src/journal/append.ts";
import { CommitQueue } from "../../../src/journal/queue.ts";
import { hasCode, PlantError } from "../../../src/util/errors.ts";
import { fakeClock } from "../../fakes/clock.ts";

const known = { run: "1", recent: [{ number: 1, first: 3, last: 4 }], runSeconds: 0 };
const failed = new PlantError("STORE_FAILED", { folder: "f", reason: "EIO" });

function stage(commit: Disk["commit"], count = 1) {
  const told: string[] = [];
  const queue = new CommitQueue(
    {
      clock: fakeClock(),
      disk: { commit } as unknown as Disk,
      format: 2,
      epoch: "e".repeat(32),
      runMs: () => 0,
      heads: { state: 0, event: 0, log: 4, metric: 0 },
      sources: new Map(
        Array.from({ length: count }, (_, at) => [at === 0 ? "driver" : `driver ${at}`, known]),
      ),
      flushed: ({ streams }) => told.push(`flushed ${streams}`),
    },
    { flushMaxMs: 50, recordsPerCommitMax: 10 },
  );
  const append = (name: string, more: Partial<AppendRequest> = {}) =>
    queue.append({
      stream: "log",
      flush: "now",
      recordsMax: 1,
      build: () => {
        told.push(`${name} built`);
        return [{ kind: "line", text: name }];
      },
      settle: (isFlushed) => told.push(`${name} settled ${isFlushed}`),
      ...more,
    });
  return { append, told, queue };
}

const repeated = { source: { source: "driver", run: "1", number: 1 } };

test("who repeats a request hears of a failed commit, and settles nothing", async () => {
  const { append, told, queue } = stage(async () => {
    throw failed;
  });
  const again = append("again", repeated);
  const fresh = append("fresh");
  for (const one of [again, fresh]) {
    await assert.rejects(one, (error) => hasCode(error, "STORE_FAILED"));
  }
  assert.deepEqual(told, ["fresh built", "fresh settled false"]);
  assert.equal(queue.heads.log, 4);
});

test("who repeats a request gets the numbers of the first, and settles nothing", async () => {
  const { append, told, queue } = stage(async () => {});
  const again = append("again", repeated);
  const fresh = append("fresh");
  assert.deepEqual(await again, { first: 3, last: 4, repeated: true });
  assert.deepEqual(await fresh, { first: 5, last: 5, repeated: false });
  await queue.drain();
  assert.deepEqual(told, ["fresh built", "fresh settled true", "flushed log"]);
});

test("a request of more records than a commit takes is refused, and none of it waits", async () => {
  const { append, told, queue } = stage(async () => {});
  await append("whole", { recordsMax: 10 });
  await assert.rejects(append("more", { recordsMax: 11 }), (e) => hasCode(e, "LIMIT_REACHED"));
  assert.equal(queue.stats().waiting, 0);
  assert.ok(!told.includes("more built"));
});

test("what waits is five commits at most", async () => {
  const { append, queue } = stage(async () => {});
  const five = Array.from({ length: 5 }, (_, at) => append(`${at}`, { recordsMax: 10 }));
  await assert.rejects(append("more"), (error) => hasCode(error, "STORE_BUSY"));
  await Promise.all(five);
  await append("more");
  await queue.drain();
});

test("where only what is urgent has room, it is kept and the rest is refused", async () => {
  const rooms: (string | undefined)[] = [];
  const { append, told, queue } = stage(async (_, room) => {
    rooms.push(room);
    if (room === "common") throw new PlantError("STORE_FULL", { folder: "f", roomBytes: 1 });
  });
  const full = (error: unknown) => hasCode(error, "STORE_FULL");
  const refused = assert.rejects(append("value"), full);
  const { first } = await append("event", { room: "urgent" });
  await refused;
  assert.equal(first, 5);
  assert.deepEqual(rooms, ["common", "urgent"]);
  assert.deepEqual(told, [
    ...["value built", "event built", "value settled false", "event settled false"],
    ...["event built", "event settled true", "flushed log"],
  ]);
  await queue.drain();
  assert.equal(queue.stats().waiting, 0);
});

test("while room is short, what is urgent goes without what is not", async () => {
  let isFull = true;
  const rooms: (string | undefined)[] = [];
  const { append, queue } = stage(async (_, room) => {
    rooms.push(room);
    if (isFull && room === "common") throw new PlantError("STORE_FULL", { roomBytes: 1 });
  });
  const full = (error: unknown) => hasCode(error, "STORE_FULL");
  await assert.rejects(append("value"), full);
  const refused = assert.rejects(append("value"), full);
  const event = append("event", { room: "urgent" });
  await Promise.all([refused, event]);
  assert.deepEqual(rooms, ["common", "common", "urgent"]);
  isFull = false;
  await Promise.all([append("value"), append("event", { room: "urgent" })]);
  await queue.drain();
  assert.equal(rooms.at(-1), "common");
});

test("sources beyond their limit are forgotten, no more in one commit than it takes", async () => {
  const sizes: number[] = [];
  const { append, queue } = stage(async (writes) => {
    sizes.push(writes.length);
  }, 6000);
  for (const number of [2, 3, 4]) {
    await append("line", { source: { source: "driver", run: "1", number } });
  }
  assert.deepEqual(sizes.slice(0, 2), [1000, 908]);
  assert.equal(queue.stats().sources, 4096);
  assert.equal(sizes[2], 2);
  await append("line", { source: { source: "another", run: "1", number: 1 } });
  assert.equal(sizes[3], 3);
  assert.equal(queue.stats().sources, 4096);
});
