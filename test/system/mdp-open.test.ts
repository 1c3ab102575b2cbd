// What the broker answers whatever else is full. It must not know its code.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { startBrokerProcess } from "../fakes/mdp-broker.ts";
import { until } from "../fakes/patience.ts";
import { endAll } from "../fakes/process.ts";
import { one, openClient, openRaw, three } from "../fakes/raw-peer.ts";

after(endAll);
const limit = { timeout: 60_000 };

test("mmi answers whoever asks, whatever else is full", limit, async () => {
  await using full = await startBrokerProcess("broker: {peersMax: 20, requestTtlMs: 60000}");
  const clients = Array.from({ length: 30 }, () => openClient(full.endpoint));
  for (const client of clients) await client.ask("nobody", 1, "x");
  await until("some are refused", () => clients.some(({ untaken }) => untaken.length > 0));
  using late = openClient(full.endpoint);
  await late.ask("mmi.service", 1, "nobody");
  assert.deepEqual(await late.hear(), { id: 1, kind: "final", text: "404" });
  using foreign = openRaw(full.endpoint);
  await foreign.send("MDPC02", one, "mmi.service", "nobody");
  assert.deepEqual(await foreign.next(), ["MDPC02", three, "mmi.service", "404"]);
  for (const client of clients) client[Symbol.dispose]();
});
