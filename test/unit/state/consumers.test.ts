// Consumers come and go by name; what each holds is theirs alone, and what people did is told.
import assert from "node:assert/strict";
import { test } from "node:test";
import { openTestStore, temporaryFolder } from "../../fakes/store.ts";

const line = (number: number) => ({ source: "d", run: "r", number, lines: ["x", "y"] });

test("a consumer holds the streams it asks for, and no others", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  await store.call("append-lines", line(1));
  const added = await store.call("consumer-add", { consumer: "archive", streams: ["log"] });
  assert.deepEqual(added, {
    consumer: "archive",
    far: false,
    streams: { log: { watermark: 0, waiting: 2 } },
  });
  await store.call("ack", { consumer: "archive", stream: "log", sequence: 1 });
  const { consumers } = await store.call("consumer-list");
  assert.deepEqual(consumers, [
    { consumer: "archive", far: false, streams: { log: { watermark: 1, waiting: 1 } } },
  ]);
  const { streams } = await store.call("position", { consumer: "archive" });
  assert.deepEqual([streams.log.watermark, streams.event.watermark], [1, streams.event.head]);
});

test("one that asks for a stream again holds it from the first record kept", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  await store.call("append-lines", line(1));
  await store.call("consumer-add", { consumer: "a", streams: ["event"] });
  const { streams } = await store.call("consumer-add", { consumer: "a", streams: ["log"] });
  assert.deepEqual(streams, { log: { watermark: 0, waiting: 2 } });
});

test("a consumer that was removed holds nothing, after a restart neither, and events say so", async () => {
  using folder = temporaryFolder();
  {
    await using store = await openTestStore(folder.path);
    await store.call("consumer-add", { consumer: "a", by: "ann" });
    await store.call("ack", { consumer: "a", stream: "log", sequence: 0, welcome: true });
    assert.deepEqual(await store.call("consumer-remove", { consumer: "a", by: "ann" }), {
      removed: true,
    });
    const { records } = await store.call("changes", { stream: "event", after: 0 });
    const deeds = records.map(({ event }: { event: Record<string, unknown> }) => {
      const { kind, who, action, target } = event;
      return [kind, who, action, target];
    });
    assert.deepEqual(deeds, [
      ["audit", "ann", "consumer-add", "a"],
      ["audit", "ann", "consumer-remove", "a"],
    ]);
  }
  await using store = await openTestStore(folder.path);
  assert.deepEqual(await store.call("consumer-list"), { consumers: [] });
});

test("whoever looks where a consumer stands makes nobody wait for it, unless they say so", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  await store.call("append-lines", line(1));
  const { streams } = await store.call("position", { consumer: "sync" });
  assert.deepEqual([streams.log.watermark, streams.log.head], [0, 2]);
  assert.deepEqual(await store.call("consumer-list"), { consumers: [] });
  await store.call("position", { consumer: "sync", register: true });
  const { consumers } = await store.call("consumer-list");
  assert.equal(consumers[0]?.consumer, "sync");
  await assert.rejects(store.call("position", { consumer: "a", register: 1 }), {
    code: "REQUEST_MALFORMED",
  });
});

const refused: Readonly<Record<string, [string, unknown, string]>> = {
  "one that nobody knows is removed": ["consumer-remove", { consumer: "b" }, "CONSUMER_UNKNOWN"],
  "no name": ["consumer-add", {}, "REQUEST_MALFORMED"],
  "no streams": ["consumer-add", { consumer: "a", streams: [] }, "REQUEST_MALFORMED"],
  "a stream there is none of": [
    "consumer-add",
    { consumer: "a", streams: ["x"] },
    "REQUEST_MALFORMED",
  ],
  "a name that is too long": ["consumer-add", { consumer: "a".repeat(300) }, "REQUEST_MALFORMED"],
};

test("consumers are refused", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  for (const [name, [operation, args, code]] of Object.entries(refused)) {
    await assert.rejects(store.call(operation, args), { code }, name);
  }
  for (let at = 0; at < 64; at += 1) await store.call("consumer-add", { consumer: `c${at}` });
  await assert.rejects(store.call("consumer-add", { consumer: "more" }), { code: "LIMIT_REACHED" });
});
