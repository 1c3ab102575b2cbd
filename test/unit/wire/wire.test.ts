// The message sockets through their door: the same for each transport, whichever was chosen.
// It must not know the bytes between them.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { systemClock as clock } from "../../../src/util/clock.ts";
import { systemRandom as random } from "../../../src/util/random.ts";
import { transportNamed } from "../../../src/wire/wire.ts";

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
