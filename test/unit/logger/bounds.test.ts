// The bounds of the logger, at their edges: what waits, what is counted, what is remembered, and
// that no field of a line goes by the redaction. No real time.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Keeper } from "../../../src/logger/keeper.ts";
import { setMax } from "../../../src/logger/levels.ts";
import type { Line } from "../../../src/logger/line.ts";
import { Quota } from "../../../src/logger/quota.ts";
import { Repeats } from "../../../src/logger/repeats.ts";
import { LineRing } from "../../../src/logger/ring.ts";
import { PlantError } from "../../../src/util/errors.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { openLogger } from "./bench.ts";

const secret = "password=hunter22";

const places: Record<string, object> = {
  "its service": { service: secret },
  "its context": { context: secret },
  "its message": { message: secret },
  "a time it cannot be": { timestamp: secret },
  "a field": { fields: { note: secret } },
  "the code of a line that is cut": { code: secret, fields: { pad: "x".repeat(9000) } },
  "the trace of a line that is cut": { trace: secret, fields: { pad: "x".repeat(9000) } },
};
for (const [name, line] of Object.entries(places)) {
  test(`a secret does not come through in ${name}`, async () => {
    const kept: string[] = [];
    const appendLines = async (lines: readonly string[]) => {
      kept.push(...lines);
      return undefined;
    };
    const { ask, logger } = await openLogger({ appendLines });
    await ask("append", { lines: [{ level: "error", message: "m", ...line }] });
    const [told] = (await ask("tail", {})).lines;
    await logger[Symbol.asyncDispose]();
    for (const text of [JSON.stringify(told), ...kept]) {
      assert.match(text, /password=\[redacted\]/);
      assert.doesNotMatch(text, /hunter/);
    }
    assert.equal(kept.length, 1);
  });
}

test("a text too long to be read as JSON is its own message", async () => {
  const { ask } = await openLogger();
  const long = (pad: number) =>
    JSON.stringify({ level: "error", message: "m", pad: "x".repeat(pad) });
  await ask("append", { lines: [long(60_000), long(70_000)] });
  const [read, unread] = (await ask("tail", {})).lines;
  assert.deepEqual([read.level, read.message], ["error", "m"]);
  assert.deepEqual([unread.level, unread.message.slice(0, 9)], ["info", '{"level":']);
});

test("a part that was silent for half a minute is not said to go by its level", async () => {
  const { ask, clock } = await openLogger();
  await ask("append", { lines: [], process: { parts: ["store"], level: "info", revision: "" } });
  const isApplied = async () => (await ask("levels", {})).levels[0].isApplied;
  await clock.advance(29_999);
  assert.equal(await isApplied(), true);
  await clock.advance(1);
  assert.equal(await isApplied(), undefined);
});

test("no more levels are taken up from what was kept than may be set", async () => {
  const rows = Object.fromEntries(
    Array.from({ length: setMax + 5 }, (_, at) => [`p${at}`, "warn"]),
  );
  const levelMemory = { load: async () => rows, keep: async () => {} };
  const { ask } = await openLogger({ levelMemory });
  assert.equal((await ask("levels", {})).levels.length, setMax);
});

type Append = ConstructorParameters<typeof Keeper>[0]["append"];

function keeperOf(append: Append) {
  const told: string[] = [];
  const clock = fakeClock();
  const mark = (position: number, sequence: number) => told.push(`${position} is ${sequence}`);
  const tellLost = (lines: number, code: string) => told.push(`${lines} lost by ${code}`);
  return { keeper: new Keeper({ clock, append, mark, tellLost }), clock, told };
}

test("lines that wait for the store are bounded by their characters, and there is room again", async () => {
  const { keeper, told } = keeperOf(async () => ({ first: 1 }));
  const half = "x".repeat(2_000_000);
  for (let round = 0; round < 2; round += 1) {
    for (const position of [1, 2, 3]) keeper.push(half, position);
    assert.equal(keeper.waiting, 2);
    assert.equal(keeper.lost, round + 1);
    keeper.save();
    await keeper.drain();
    assert.equal(keeper.waiting, 0);
  }
  const round = ["1 is 1", "2 is 2", "1 lost by STORE_BUSY"];
  assert.deepEqual(told, [...round, ...round]);
});

test("lines that a store will never take are lost at once, and those after them are kept", async () => {
  const { keeper, told, clock } = keeperOf(async ([text]) => {
    if (text === "bad") throw new PlantError("REQUEST_MALFORMED", { reason: "no" });
    return { first: 7 };
  });
  keeper.push("bad", 1);
  keeper.save();
  await clock.advance(0);
  assert.deepEqual([keeper.waiting, keeper.lost, keeper.code], [0, 1, "REQUEST_MALFORMED"]);
  keeper.push("good", 2);
  keeper.save();
  await clock.advance(0);
  assert.deepEqual(told, ["2 is 7", "1 lost by REQUEST_MALFORMED"]);
});

test("the end waits for the lines on their way", async () => {
  let isKept = false;
  const { keeper } = keeperOf(async () => {
    for (let turn = 0; turn < 5; turn += 1) await new Promise((done) => setImmediate(done));
    isKept = true;
    return undefined;
  });
  keeper.push("a", 1);
  await keeper.drain();
  assert.equal(isKept, true);
});

function line(body: string): Line {
  return { timestamp: "", level: "info", service: "a", context: "", body };
}

test("a line is only counted until its while is over, and not at that moment", () => {
  const repeats = new Repeats(5000);
  assert.equal(repeats.isAgain(line("a"), 1000), false);
  assert.equal(repeats.isAgain(line("a"), 5999), true);
  assert.equal(repeats.isAgain(line("a"), 6000), false);
  assert.deepEqual(
    repeats.take(6000).map(({ count, spanMs }) => [count, spanMs]),
    [[1, 4999]],
  );
});

test("a service may write what ten seconds allow, however long it was silent", () => {
  const quota = new Quota(2);
  const taken = (nowMs: number) => {
    let count = 0;
    while (quota.take("a", nowMs)) count += 1;
    return count;
  };
  assert.equal(taken(0), 20);
  assert.equal(taken(3_600_000), 20);
  assert.equal(taken(3_601_000), 2);
});

test("a gap is told by the line that ends it when it is a second old, not before", () => {
  const quota = new Quota(2);
  while (quota.take("a", 0));
  assert.equal(quota.take("a", 500), true);
  assert.deepEqual(quota.told(), []);
  assert.equal(quota.take("a", 1000), true);
  assert.deepEqual(quota.told(), [{ service: "a", lines: 1, spanMs: 1000 }]);
});

test("what left the ring stays known by its number, whether it had one then or got it later", () => {
  const push = (ring: LineRing) => ring.push(line("{}"), "text");
  const early = new LineRing({ linesMax: 1, bytesMax: 10_000 });
  early.mark(push(early), 41);
  push(early);
  assert.equal(early.streamBefore(7), 41);
  const late = new LineRing({ linesMax: 1, bytesMax: 10_000 });
  const first = push(late);
  push(late);
  late.mark(first, 42);
  assert.equal(late.streamBefore(7), 42);
  late.mark(2, 43);
  assert.equal(late.streamBefore(7), 42);
  assert.equal(late.at(3), undefined);
});
