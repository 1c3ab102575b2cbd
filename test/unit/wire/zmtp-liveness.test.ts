// Silent peers: when they are asked, and when they are lost. It must not know sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Liveness } from "../../../src/wire/zmtp-liveness.ts";

const never = Number.POSITIVE_INFINITY;

test("a peer that is never asked and gave no time lives for ever", () => {
  const peer = new Liveness(never, 0);
  assert.equal(peer.nextMs, never);
  assert.equal(peer.look(1e12), "well");
});

test("a silent peer is asked twice, then doubted, then lost", () => {
  const peer = new Liveness(1000, 0);
  const said = [999, 1000, 1999, 2000, 2999, 3000, 3001].map((ms) => peer.look(ms));
  assert.deepEqual(said, ["well", "ask", "well", "ask", "well", "well", "lost"]);
});

test("a word of the peer starts the count anew, even when it was doubted", () => {
  const peer = new Liveness(1000, 0);
  for (const ms of [1000, 2000, 3000]) peer.look(ms);
  peer.hear(3001);
  assert.equal(peer.nextMs, 4001);
  assert.deepEqual([peer.look(3100), peer.look(4001), peer.look(4100)], ["well", "ask", "well"]);
});

test("a look that comes late asks before it loses", () => {
  const peer = new Liveness(1000, 0);
  assert.equal(peer.look(100_000), "ask");
  assert.equal(peer.nextMs, 101_000);
});

test("the time a peer gave holds from its last word, until it takes it back", () => {
  const peer = new Liveness(never, 0);
  peer.live(500);
  peer.hear(100);
  assert.equal(peer.nextMs, 600);
  assert.deepEqual([peer.look(599), peer.look(600), peer.look(650)], ["well", "well", "lost"]);
  const other = new Liveness(never, 0);
  other.live(500);
  other.live(0);
  assert.equal(other.look(10_000), "well");
});
