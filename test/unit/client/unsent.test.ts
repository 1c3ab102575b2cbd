// What a client says, and what it expects, of requests that were not sent or are over.
// It must not know sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { startClient } from "../../../src/client/client.ts";
import { plant } from "../../../src/mdp/mdp.ts";
import { openLog } from "../../../src/util/log.ts";
import { seededRandom } from "../../../src/util/random.ts";
import type { DealerOptions } from "../../../src/wire/wire.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { bindListener, endpoint, failsWith, rawRouter } from "../../fakes/memory-bus.ts";
import { fakeWire } from "../../fakes/wire.ts";

/** A client whose broker is not there yet: `open` starts one that answers whatever is asked. */
async function early() {
  const clock = fakeClock();
  const wire = fakeWire();
  const attempts: DealerOptions[] = [];
  const transport = {
    ...wire,
    connectDealer(...[deps, options]: Parameters<typeof wire.connectDealer>) {
      attempts.push(options);
      return wire.connectDealer(deps, options);
    },
  };
  const log = openLog({ service: "test", level: "error", write: () => {} });
  const deps = { clock, log, random: seededRandom(5), transport };
  const heard: string[] = [];
  return {
    clock,
    attempts,
    heard,
    client: await startClient(deps, { endpoint }),
    async open() {
      const router = await bindListener(deps, (peer, frames) => {
        const message = plant.decodeFromClient(frames);
        heard.push(message.kind);
        if (message.kind !== "request") return;
        const { service, head, body } = message;
        router.send(peer, plant.encodeToClient({ kind: "final", service, head, body }));
      });
      await clock.advance(0);
    },
  };
}

test("a request that is given up before it was sent leaves no word for the broker", async () => {
  const { client, clock, heard, open } = await early();
  const stop = new AbortController();
  const asked = client.request("s", [Buffer.of(1)], { signal: stop.signal });
  stop.abort();
  await assert.rejects(asked, failsWith("CANCELLED"));
  const late = client.request("s", [Buffer.of(2)], { deadlineMs: 10 });
  late.catch(() => {});
  await clock.advance(20);
  await assert.rejects(late, failsWith("BROKER_UNREACHABLE"));
  const kept = client.request("s", [Buffer.of(3)]);
  await open();
  assert.deepEqual(await kept, [Buffer.of(3)]);
  assert.deepEqual(heard, ["request"]);
  await client[Symbol.asyncDispose]();
});

test("a request that was not sent outlives a connection that breaks before it stands", async () => {
  const { client, clock, attempts, heard, open } = await early();
  const asked = client.request("s", [Buffer.of(1)]);
  asked.catch(() => {});
  attempts[0]?.onDown();
  await open();
  await clock.advance(1000);
  assert.equal(attempts.length, 2);
  assert.deepEqual(await asked, [Buffer.of(1)]);
  assert.deepEqual(heard, ["request"]);
  await client[Symbol.asyncDispose]();
});

test("parts that are read after the end of their stream give the worker no credit", async () => {
  const it = await rawRouter();
  await using client = await startClient(it.deps, { endpoint });
  await it.clock.advance(0);
  const stream = client.streamRaw("s", [Buffer.of(1)]);
  const first = stream.next();
  await it.clock.advance(0);
  const about = it.requests[0];
  assert.ok(about !== undefined);
  const body = [Buffer.of(2)];
  const parts = plant.creditAtStart;
  for (let at = 0; at < parts; at += 1) it.say({ ...about, kind: "partial", body });
  it.say({ ...about, kind: "final", body });
  await it.clock.advance(0);
  let seen = (await first).done === true ? 0 : 1;
  while ((await stream.next()).done !== true) seen += 1;
  await it.clock.advance(0);
  assert.equal(seen, parts);
  assert.deepEqual(
    it.requests.map(({ kind }) => kind),
    ["request"],
  );
});
