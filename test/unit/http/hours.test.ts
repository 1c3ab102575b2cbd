// Curves of the last hour for the page: their shape and words, how often they are asked for, and
// what a store that is slow or away does to a page. It must not know the page.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createHours, curveOf, type HourCurve } from "../../../src/http/hours.ts";
import { openLog } from "../../../src/util/log.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { fakeParts, now, pointOf } from "../../fakes/plant-parts.ts";

const log = openLog({ service: "test", level: "error", write: () => {} });
const place = { from: 0, count: 5, width: 10 };
const bucket = (start: number, mean: number) => ({ start, min: mean - 1, max: mean + 1, mean });

test("a curve breaks where there was no value, and says from what to what", () => {
  const curve = curveOf([bucket(0, 1), bucket(10, 3), bucket(30, 2), bucket(40, 2)], place);
  assert.equal(curve?.path, "M0 20L30 8M90 14L120 14");
  assert.equal(curve?.words, "last hour from 0 to 4");
});

test("what is no number, or a single one, has no curve", () => {
  assert.equal(curveOf([], place), undefined);
  assert.equal(curveOf([bucket(0, 1)], place), undefined);
  assert.equal(curveOf([{ start: 0 }, { start: 10 }], place), undefined);
});

function stage(answer: () => unknown) {
  const parts = fakeParts();
  let asked = 0;
  parts.state["history-many"] = () => {
    asked += 1;
    return answer();
  };
  const clock = fakeClock(now);
  const found: ReadonlyMap<unknown, HourCurve>[] = [];
  const hours = createHours({ clock, client: parts.bus.client(), log }, (curves) => {
    found.push(curves);
  });
  const points = [{ point: pointOf("voltage", 1) }];
  return { clock, hours, points, found, asked: () => asked };
}

const answer = () => ({
  from: now,
  to: now + 50,
  bucketMs: 10,
  series: [
    { scope: "device/meter-1", key: "voltage", buckets: [bucket(now, 1), bucket(now + 10, 2)] },
  ],
});

test("curves are asked for when somebody looks, once a minute, in one request", async () => {
  const { clock, hours, points, found, asked } = stage(answer);
  await hours.look(points);
  assert.equal(found[0]?.get(points[0])?.words, "last hour from 0 to 3");
  await hours.look(points);
  assert.equal(asked(), 1);
  await clock.advance(60_000);
  assert.equal(asked(), 1, "nobody looked");
  await hours.look(points);
  assert.equal(asked(), 2);
});

test("a store that does not answer keeps no page waiting for long", async () => {
  const { clock, hours, points, found } = stage(() => new Promise(() => {}));
  const looked = hours.look(points);
  await clock.advance(250);
  await looked;
  await hours.look(points);
  assert.deepEqual(found, []);
});

test("a store that refuses, or answers nonsense, is asked again later", async () => {
  for (const wrong of [() => Promise.reject(new Error("no")), () => ({ series: 5 })]) {
    const { clock, hours, points, found, asked } = stage(wrong);
    await hours.look(points);
    await hours.look(points);
    assert.equal(asked(), 1);
    await clock.advance(60_000);
    await hours.look(points);
    assert.equal(asked(), 2);
    assert.ok(found.every((curves) => curves.size === 0));
  }
});
