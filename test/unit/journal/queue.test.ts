// The queue over a disk that says what it is told to say: who hears of a commit that failed, and
// what is refused before it waits. It must not know what the records mean.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Disk } from "../../../src/disk/disk.ts";
import { type AppendRequest, CommitQueue } from "../../../src/journal/queue.ts";
import { hasCode, PlantError } from "../../../src/util/errors.ts";
import { fakeClock } from "../../fakes/clock.ts";

const known = { run: "1", recent: [{ number: 1, first: 3, last: 4 }], runSeconds: 0 };
const failed = new PlantError("STORE_FAILED", { folder: "f", reason: "EIO" });

function stage(commit: () => Promise<void>) {
  const told: string[] = [];
  const queue = new CommitQueue(
    {
      clock: fakeClock(),
      disk: { commit } as unknown as Disk,
      format: 2,
      epoch: "e".repeat(32),
      runMs: () => 0,
      heads: { state: 0, event: 0, log: 4, metric: 0 },
      sources: new Map([["driver", known]]),
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
