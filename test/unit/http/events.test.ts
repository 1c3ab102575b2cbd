// The page's events when the store is another one: restored, or with its oldest events gone.
// It must not know the page.
import assert from "node:assert/strict";
import { test } from "node:test";
import { startEvents } from "../../../src/http/events.ts";
import { PlantError } from "../../../src/util/errors.ts";
import { openLog } from "../../../src/util/log.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { fakeParts, now } from "../../fakes/plant-parts.ts";

const log = openLog({ service: "test", level: "error", write: () => {} });

/** A stream of events that begins at `first`, in an epoch that can be replaced. */
function stage() {
  const parts = fakeParts();
  const stream = { epoch: "a", first: 1, messages: ["one", "two", "three"] };
  const head = () => stream.first + stream.messages.length - 1;
  parts.state.position = () => ({ streams: { event: { head: head() } } });
  parts.state.changes = async ({ args, signal }) => {
    const { after } = args as { after: number };
    if (after > head()) throw new PlantError("SEQUENCE_AHEAD", { head: head() });
    if (after < stream.first - 1) throw new PlantError("SEQUENCE_GONE", { first: stream.first });
    const records = stream.messages
      .map((message, at) => ({ sequence: stream.first + at, kind: "event", event: { message } }))
      .filter(({ sequence }) => sequence > after);
    if (records.length === 0) await clock.sleep(25_000, signal);
    return { epoch: stream.epoch, records, head: head() };
  };
  const clock = fakeClock(now);
  const events = startEvents({ clock, client: parts.bus.client(), log });
  const shown = () => events.list().map(({ message }) => message);
  return { stream, clock, events, shown };
}

test("a restored store shows its own events, though their numbers are lower", async () => {
  const { stream, clock, events, shown } = stage();
  await using _ = events;
  await clock.advance(10);
  assert.deepEqual(shown(), ["three", "two", "one"]);
  Object.assign(stream, { epoch: "b", messages: ["one", "restored"] });
  await clock.advance(40_000);
  assert.deepEqual(shown(), ["restored", "one"]);
});

test("a store whose oldest events are gone shows those that are kept", async () => {
  const { stream, clock, events, shown } = stage();
  await using _ = events;
  Object.assign(stream, { first: 40, messages: ["kept", "newest"] });
  await clock.advance(10_000);
  assert.deepEqual(shown(), ["newest", "kept"]);
});
