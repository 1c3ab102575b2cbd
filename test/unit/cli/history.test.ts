// `plant state history` in memory: its curve and figures, its ranges, its pages, its refusals.
// It must not know the store.
import assert from "node:assert/strict";
import { test } from "node:test";
import { runCli } from "../../../src/cli/cli.ts";
import { curve } from "../../../src/cli/history-command.ts";
import { parseTime } from "../../../src/util/clock.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { fakeParts, now } from "../../fakes/plant-parts.ts";
import { fakeTerminal } from "../../fakes/terminal.ts";

const minute = 60_000;
const bucket = (start: number, mean: number | undefined, more: object = {}) => ({
  start,
  count: 60,
  bad: 0,
  ...(mean === undefined ? {} : { min: mean - 1, max: mean + 1, mean }),
  last: mean ?? null,
  lastTime: start + 59_000,
  lastQuality: "good",
  ...more,
});

interface Asked {
  readonly scope: string;
  readonly key: string;
  readonly from: number;
  readonly to: number;
  readonly buckets?: number;
  readonly after?: number;
  readonly raw?: boolean;
}

/** Runs a command line; `answer` is the store. */
async function plant(words: readonly string[], answer: (args: Asked) => unknown) {
  const parts = fakeParts();
  const asked: Asked[] = [];
  parts.state.history = ({ args }) => {
    asked.push(args as Asked);
    return answer(args as Asked);
  };
  const clock = fakeClock(now);
  const terminal = fakeTerminal({ clock, client: parts.bus.client() });
  const exit = await runCli(["state", "history", ...words], terminal.io);
  return { exit, asked, ...terminal.printed };
}

const rising = ({ from }: Asked) => ({
  from,
  to: from + 10 * minute,
  bucketMs: minute,
  unit: "V",
  source: "minutes",
  buckets: [0, 1, 2, 3, 5, 6, 7, 8].map((at) => bucket(from + at * minute, 230 + at)),
});

test("history is a curve with least, most, mean and last, and when they were", async () => {
  const { exit, out, asked } = await plant(["device/meter-1", "voltage"], rising);
  assert.equal(exit, 0);
  assert.equal(asked[0]?.buckets, 60);
  assert.equal((asked[0]?.to ?? 0) - (asked[0]?.from ?? 0), 86_400_000);
  const [head, line, ...figures] = out.split("\n");
  assert.match(head ?? "", /^device\/meter-1 voltage {2}.* – .* each sign 60 s$/);
  assert.equal(line, "▁▂▃▄ ▆▇██ ");
  assert.match(figures.join("\n"), /min {3}229 V {2}at /);
  assert.match(figures.join("\n"), /max {3}239 V {2}at /);
  assert.match(figures.join("\n"), /mean {2}234 V/);
  assert.match(figures.join("\n"), /last {2}238 V {2}at /);
  assert.match(figures.join("\n"), /of {4}480 values$/m);
  assert.ok(!out.includes("\u001b"), "no colour without a terminal");
});

test("bad values are a share, and what is no number is a list", async () => {
  const bad = await plant(["device/m/u"], (asked) => ({
    ...rising(asked),
    buckets: [bucket(asked.from, 5, { bad: 6, lastQuality: "bad" })],
  }));
  assert.match(bad.out, /60 values, 10\.0 % of them bad/);
  const texts = await plant(["device/m/u"], (asked) => ({
    ...rising(asked),
    buckets: [bucket(asked.from, undefined, { last: "open" })],
  }));
  assert.match(texts.out, /LAST +QUALITY +VALUES[\s\S]*open +good +60/);
  const none = await plant(["device/m/u"], (asked) => ({ ...rising(asked), buckets: [] }));
  assert.equal(none.exit, 0);
  assert.match(none.out, /no values/);
});

test("the range is told by durations ago or by moments", async () => {
  const since = await plant(["device/m/u", "--since", "2h"], rising);
  assert.equal(since.asked[0]?.from, now - 7_200_000);
  const ago = await plant(["device/m/u", "--from", "3h", "--to", "1h"], rising);
  assert.deepEqual([ago.asked[0]?.from, ago.asked[0]?.to], [now - 10_800_000, now - 3_600_000]);
  const words = ["device/m/u", "--from", "2025-11-01T00:00Z", "--to", "2025-11-02T00:00Z"];
  const moments = await plant([...words, "--buckets", "24"], rising);
  assert.equal(moments.asked[0]?.from, parseTime("2025-11-01T00:00Z"));
  assert.equal(moments.asked[0]?.buckets, 24);
});

test("--json is one document with a schema", async () => {
  const { out } = await plant(["device/m/u", "--json"], rising);
  const document = JSON.parse(out);
  assert.equal(document.schema, "plant.history/1");
  assert.equal(document.bucketMs, minute);
  assert.equal(document.buckets.length, 8);
});

test("--raw follows its pages", async () => {
  const pages = (asked: Asked) => ({
    from: asked.from,
    to: asked.to,
    values: [{ sequence: (asked.after ?? 0) + 1, time: now, value: asked.after, quality: "good" }],
    ...((asked.after ?? 0) < 2 ? { next: (asked.after ?? 0) + 1 } : {}),
  });
  const { out, asked } = await plant(["device/m/u", "--raw", "--json"], pages);
  const document = JSON.parse(out);
  assert.equal(document.schema, "plant.history-raw/1");
  assert.deepEqual(
    document.values.map(({ value }: { value: number }) => value),
    [0, 1, 2],
  );
  assert.equal(document.more, false);
  assert.equal(asked.length, 3);
});

const refused: Readonly<Record<string, readonly string[]>> = {
  "half a name": ["x/"],
  "a time that is none": ["device/m/u", "--from", "soon"],
  "an end before the beginning": ["device/m/u", "--from", "1h", "--to", "2h"],
  "two beginnings": ["device/m/u", "--from", "1h", "--since", "2h"],
  "no buckets": ["device/m/u", "--buckets", "0"],
  "half a bucket": ["device/m/u", "--buckets", "1.5"],
};

for (const [name, words] of Object.entries(refused)) {
  test(`history refuses ${name} before it asks`, async () => {
    const { exit, asked } = await plant(words, rising);
    assert.equal(exit, 2);
    assert.equal(asked.length, 0);
  });
}

test("an answer that is no history is said to be none", async () => {
  const { exit, err } = await plant(["device/m/u"], () => ({ buckets: "many" }));
  assert.notEqual(exit, 0);
  assert.match(err, /REMOTE_SHAPE/);
});

test("a curve that stands still is half-way up, and one without values is empty", () => {
  const place = { from: 0, to: 3 * minute, bucketMs: minute };
  assert.equal(curve({ ...place, buckets: [bucket(0, 5), bucket(2 * minute, 5)] }), "▅ ▅");
  assert.equal(curve({ ...place, buckets: [] }), "   ");
});
