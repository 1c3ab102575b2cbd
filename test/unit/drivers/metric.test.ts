// The two example workers, without sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { start } from "../../../drivers/metric/metric.ts";
import { PlantError } from "../../../src/util/errors.ts";
import { openLog } from "../../../src/util/log.ts";
import { seededRandom } from "../../../src/util/random.ts";
import { fakeBus } from "../../fakes/bus.ts";
import { fakeClock } from "../../fakes/clock.ts";

interface SetMany {
  readonly number: number;
  readonly run: string;
  readonly points: { key: string; value: number }[];
}

function setting() {
  const clock = fakeClock();
  const bus = fakeBus();
  const lines: string[] = [];
  const log = openLog({ service: "test", level: "warn", write: (line) => lines.push(line) });
  let looks = 0;
  const measure = () => {
    looks += 1;
    return {
      busyMs: looks * 300,
      idleMs: looks * 700,
      memoryTotalBytes: 1000,
      memoryFreeBytes: 400,
      load: 0.256,
      uptimeS: 12.6,
    };
  };
  const deps = { clock, log, random: seededRandom(1), client: bus.client(), measure };
  return { clock, bus, lines, deps };
}

test("the machine's state is published as points, each round under the next number", async () => {
  const { clock, bus, deps } = setting();
  bus.serve("org.plantd.State", { "set-many": () => ({ first: 1, last: 5, repeated: false }) });
  await using running = await start(deps, { endpoint: "none", intervalMs: 1000 });
  await clock.advance(2500);
  const sent = bus.calls.map(({ args }) => args as SetMany);
  assert.deepEqual(
    sent.map(({ number }) => number),
    [1, 2, 3],
  );
  assert.equal(new Set(sent.map(({ run }) => run)).size, 1);
  const values = Object.fromEntries(sent[1]!.points.map(({ key, value }) => [key, value]));
  assert.deepEqual(values, {
    "cpu-busy": 30,
    "memory-used": 600,
    "memory-total": 1000,
    load: 0.26,
    uptime: 13,
  });
  assert.ok(running);
});

test("a store that refuses is told of once, and asked again", async () => {
  const { clock, bus, deps, lines } = setting();
  bus.serve("org.plantd.State", {
    "set-many": () => {
      throw new PlantError("QUEUE_FULL", { service: "org.plantd.State", max: 1 });
    },
  });
  await using running = await start(deps, { endpoint: "none", intervalMs: 1000 });
  await clock.advance(3500);
  assert.equal(bus.calls.length, 4);
  assert.equal(lines.length, 1);
  assert.ok(running);
});
