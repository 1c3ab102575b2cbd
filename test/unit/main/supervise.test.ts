// Parts in one process: their order, and every way they can end. No sockets, no real time.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type PartPlan, supervise } from "../../../src/main/supervise.ts";
import { PlantError } from "../../../src/util/errors.ts";
import { openLog } from "../../../src/util/log.ts";
import { fakeClock } from "../../fakes/clock.ts";

interface FakePart {
  readonly plan: PartPlan;
  end(error?: Error): void;
}

function setUp() {
  const clock = fakeClock();
  const told: string[] = [];
  const lines: string[] = [];
  const events: string[] = [];
  const stopping = new AbortController();
  const log = openLog({ service: "t", level: "info", write: (line) => lines.push(line) });
  const notifier = {
    send: (...words: readonly string[]) => {
      told.push(words[0] ?? "");
    },
    watchdogMs: 400,
    async [Symbol.asyncDispose]() {},
  };
  const part = (name: string, ways: { start?: Error; stop?: Error | "never" } = {}): FakePart => {
    let settle: (error: Error | undefined) => void = () => {};
    const ended = new Promise<Error | undefined>((resolve) => {
      settle = resolve;
    });
    return {
      end: settle,
      plan: {
        name,
        start: async () => {
          if (ways.start !== undefined) throw ways.start;
          events.push(`+${name}`);
          return {
            proof: { part: name, check: async () => true },
            running: {
              ended,
              async [Symbol.asyncDispose]() {
                if (ways.stop === "never") await new Promise(() => {});
                if (ways.stop instanceof Error) throw ways.stop;
                events.push(`-${name}`);
                settle(undefined);
              },
            },
          };
        },
      },
    };
  };
  const run = (...parts: readonly FakePart[]) =>
    supervise(
      { clock, log, notifier, signal: stopping.signal },
      { plans: parts.map(({ plan }) => plan), stopMs: 1000 },
    );
  return { clock, told, lines, events, stopping, part, run };
}

test("parts start in order, beat, and end in reverse with 0 when asked", async () => {
  const { clock, told, events, stopping, part, run } = setUp();
  const code = run(part("a"), part("b"));
  await clock.advance(250);
  assert.deepEqual(told, ["READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"]);
  stopping.abort();
  assert.equal(await code, 0);
  assert.deepEqual(events, ["+a", "+b", "-b", "-a"]);
  assert.equal(told.at(-1), "STOPPING=1");
});

test("a part that ends with an error ends the others, with 1 and its code in the log", async () => {
  const { clock, lines, events, part, run } = setUp();
  const b = part("b");
  const code = run(part("a"), b);
  await clock.advance(10);
  b.end(new PlantError("BROKER_UNREACHABLE", { endpoint: "ipc:///x" }));
  assert.equal(await code, 1);
  assert.deepEqual(events, ["+a", "+b", "-b", "-a"]);
  assert.ok(lines.some((line) => /"code":"BROKER_UNREACHABLE".*"part":"b"/.test(line)));
});

test("a part that ends without being asked is a failure too", async () => {
  const { clock, part, run } = setUp();
  const a = part("a");
  const code = run(a);
  await clock.advance(10);
  a.end();
  assert.equal(await code, 1);
});

test("a part that does not start ends those before it; nothing says ready", async () => {
  const { told, events, part, run } = setUp();
  const code = await run(part("a"), part("b", { start: new Error("no port") }), part("c"));
  assert.equal(code, 1);
  assert.deepEqual(events, ["+a", "-a"]);
  assert.ok(!told.includes("READY=1"));
});

test("a part whose settings are wrong ends the process with 9", async () => {
  const { part, run } = setUp();
  const error = new PlantError("CONFIG_INVALID", { count: 1, flaws: [] });
  assert.equal(await run(part("a", { start: error })), 9);
});

test("asked to end while starting, it starts nothing more", async () => {
  const { stopping, events, part, run } = setUp();
  stopping.abort();
  assert.equal(await run(part("a")), 0);
  assert.deepEqual(events, []);
});

test("a part that cannot end is left behind when the time is over", async () => {
  const { clock, lines, stopping, part, run } = setUp();
  const code = run(part("a", { stop: "never" }));
  await clock.advance(10);
  stopping.abort();
  await clock.advance(1500);
  assert.equal(await code, 1);
  assert.ok(lines.some((line) => /did not end in time/.test(line)));
});

test("a part that fails to end does not keep the others from ending", async () => {
  const { clock, events, stopping, part, run } = setUp();
  const code = run(part("a"), part("b", { stop: new Error("stuck") }));
  await clock.advance(10);
  stopping.abort();
  assert.equal(await code, 1);
  assert.deepEqual(events, ["+a", "+b", "-a"]);
});
