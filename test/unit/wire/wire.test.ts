// The message sockets through their door: the same for each transport, whichever was chosen.
// It must not know the bytes between them.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { systemClock as clock } from "../../../src/util/clock.ts";
import { systemRandom as random } from "../../../src/util/random.ts";
import { openSteadyDealer, transport as runtime, transportNamed } from "../../../src/wire/wire.ts";

const folder = mkdtempSync(join(tmpdir(), "pw-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const ignore = () => {};
const limits = {
  messageBytesMax: 100_000,
  framesMax: 10,
  sendQueueMax: 100,
  sendBytesMax: 1_000_000,
};
const told = { onGone: ignore, onSlow: ignore, onDrained: ignore, onRefused: ignore };

for (const name of ["zmtp", "zeromq"] as const) {
  test(`a message comes back by the listener it came by, over ${name}`, async () => {
    const deps = { clock, random };
    const listeners = ["one", "two"].map((principal) => ({
      principal,
      endpoint: `ipc://${join(folder, name, principal)}`,
    }));
    const transport = transportNamed(name);
    await using router = await transport.bindRouter(deps, {
      ...limits,
      ...told,
      connectionsMax: 10,
      listeners,
      onMessage: (peer, frames, { principal }) =>
        router.send(peer, [Buffer.from(principal), ...frames]),
    });
    for (const { principal, endpoint } of router.listeners) {
      const { promise, resolve } = Promise.withResolvers<string>();
      await using dealer = transport.connectDealer(deps, {
        ...limits,
        endpoint,
        onUp: ignore,
        onDown: ignore,
        onMessage: (frames) => resolve(frames.map(String).join("|")),
      });
      dealer.send([Buffer.from("a"), Buffer.alloc(0), Buffer.from("b")]);
      assert.equal(await promise, `${principal}|a||b`);
    }
  });
}

test("one router serves the network and unix sockets, each by its own way", async () => {
  const deps = { clock, random };
  const peers = new Set<string>();
  await using router = await runtime.bindRouter(deps, {
    ...limits,
    ...told,
    connectionsMax: 10,
    listeners: [
      { principal: "far", endpoint: "tcp://127.0.0.1:0" },
      { principal: "near", endpoint: `ipc://${join(folder, "near")}` },
      { principal: "far too", endpoint: "tcp://127.0.0.1:0" },
    ],
    onMessage: (peer, frames, { principal }) => {
      peers.add(peer);
      router.send(peer, [Buffer.from(principal), ...frames]);
    },
  });
  assert.deepEqual(
    router.listeners.map(({ principal }) => principal),
    ["far", "near", "far too"],
  );
  for (const { principal, endpoint } of router.listeners) {
    const { promise, resolve } = Promise.withResolvers<string>();
    await using dealer = runtime.connectDealer(deps, {
      ...limits,
      endpoint,
      onUp: ignore,
      onDown: ignore,
      onMessage: (frames) => resolve(frames.map(String).join("|")),
    });
    assert.equal(dealer.send([Buffer.from("hi")]), true);
    assert.equal(await promise, `${principal}|hi`);
  }
  assert.equal(peers.size, 3);
  assert.deepEqual([router.counters.messagesIn, router.counters.refused.size], [3, 0]);
});

for (const name of ["zmtp", "zeromq"] as const) {
  test(`a receiver that throws ends its dealer and those above it, over ${name}`, async () => {
    const deps = { clock, random };
    const transport = transportNamed(name);
    const endpoint = `ipc://${join(folder, `throws-${name}`)}`;
    await using router = await transport.bindRouter(deps, {
      ...limits,
      ...told,
      connectionsMax: 10,
      listeners: [{ principal: "p", endpoint }],
      onMessage: (peer, frames) => router.send(peer, frames),
    });
    const defect = new Error("mine");
    await using dealer = openSteadyDealer(
      { ...deps, transport },
      {
        ...limits,
        endpoint,
        onUp: () => dealer.send([Buffer.from("a")]),
        onLost: ignore,
        onMessage: () => {
          throw defect;
        },
      },
    );
    assert.equal(await dealer.ended, defect);
    assert.equal(dealer.isUp, false);
  });
}

test("the bound of connections holds for both ways together", async () => {
  const deps = { clock, random };
  const refused: string[] = [];
  const heard: string[] = [];
  await using router = await runtime.bindRouter(deps, {
    ...limits,
    ...told,
    connectionsMax: 2,
    onRefused: (refusal, { principal }) => refused.push(`${refusal} ${principal}`),
    listeners: [
      { principal: "far", endpoint: "tcp://127.0.0.1:0" },
      { principal: "near", endpoint: `ipc://${join(folder, "both")}` },
    ],
    onMessage: (peer, frames) => {
      heard.push(frames.map(String).join("|"));
      router.send(peer, frames);
    },
  });
  const [far, near] = router.listeners;
  const open = async (endpoint: string, waits: boolean) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const options = { ...limits, endpoint, onUp: ignore, onDown: ignore };
    const dealer = runtime.connectDealer(deps, { ...options, onMessage: () => resolve() });
    dealer.send([Buffer.from(endpoint.slice(0, 3))]);
    if (waits) await promise;
    return dealer;
  };
  await using _one = await open(far?.endpoint ?? "", true);
  await using _two = await open(near?.endpoint ?? "", true);
  assert.equal(router.counters.connections, 2);
  for (const listener of [near, far]) {
    const before = refused.length;
    await using _late = await open(listener?.endpoint ?? "", false);
    while (refused.length === before) await clock.sleep(5);
    assert.equal(refused[before], `connections ${listener?.principal}`);
  }
  assert.deepEqual(heard, ["tcp", "ipc"]);
});
