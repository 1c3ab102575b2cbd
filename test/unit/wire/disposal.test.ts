// Sockets of ours are disposed in every order with messages under way both ways: it always ends.
// It must not know what travels.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { systemClock as clock } from "../../../src/util/clock.ts";
import { seededRandom, systemRandom } from "../../../src/util/random.ts";
import { within } from "../../../src/util/running.ts";
import { type DealerSocket, type RouterSocket, transport } from "../../../src/wire/wire.ts";

const folder = mkdtempSync(join(tmpdir(), "pe-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const rounds = 40;
/** Beyond what a socket may wait at its end, many times. */
const patienceMs = 10_000;
const sizes = [1, 4096, 65_536];
const orders = ["dealers, router", "router, dealers", "all at once", "one by one"] as const;
const limits = { messageBytesMax: 2 ** 20, framesMax: 4, sendQueueMax: 64, sendBytesMax: 2 ** 22 };
const ignore = () => {};

/** Begins a traffic of echoes and of what nobody asked for. */
async function raise(name: string, frame: Buffer, count: number) {
  const deps = { clock, random: seededRandom(1) };
  const endpoint = `ipc://${join(folder, name)}`;
  let echoes = 0;
  const router: RouterSocket = await transport.bindRouter(deps, {
    ...limits,
    connectionsMax: 16,
    listeners: [{ principal: "p", endpoint }],
    onMessage(peer, frames) {
      router.send(peer, frames);
      router.send(peer, [frame]);
    },
    onGone: ignore,
    onSlow: ignore,
    onDrained: ignore,
    onRefused: ignore,
  });
  const dealers = Array.from({ length: count }, (): DealerSocket => {
    const pour = () => {
      for (let at = 0; at < 8 && dealer.send([frame, frame]); at += 1);
    };
    const onMessage = () => {
      echoes += 1;
      pour();
    };
    const told = { onUp: pour, onDown: ignore, onMessage };
    const dealer: DealerSocket = transport.connectDealer(deps, { ...limits, endpoint, ...told });
    return dealer;
  });
  return { router, dealers, echoes: () => echoes };
}

test("disposal in every order ends, with messages under way both ways", async () => {
  const seed = Math.floor(systemRandom.unit() * 2 ** 31);
  const dice = seededRandom(seed);
  const pick = <T>(all: readonly T[]) => all[Math.floor(dice.unit() * all.length)] as T;
  for (let round = 0; round < rounds; round += 1) {
    const order = pick(orders);
    const size = pick(sizes);
    const count = 1 + Math.floor(dice.unit() * 4);
    const about = `round ${round} of seed ${seed}: ${order}, ${count} dealers, ${size} bytes`;
    const { router, dealers, echoes } = await raise(`${round}`, Buffer.alloc(size), count);
    const enough = Math.floor(dice.unit() * 40);
    while (echoes() < enough) await new Promise(setImmediate);
    const groups: Readonly<Record<(typeof orders)[number], readonly AsyncDisposable[][]>> = {
      "dealers, router": [dealers, [router]],
      "router, dealers": [[router], dealers],
      "all at once": [[router, ...dealers]],
      "one by one": [router, ...dealers].sort(() => dice.unit() - 0.5).map((one) => [one]),
    };
    const ends = async () => {
      for (const group of groups[order]) {
        await Promise.all(group.map((one) => one[Symbol.asyncDispose]()));
      }
      return true;
    };
    assert.equal(await within(clock, patienceMs, ends()), true, about);
    assert.equal(router.counters.connections, 0, about);
    for (const dealer of dealers) assert.equal(dealer.counters.connections, 0, about);
  }
});
