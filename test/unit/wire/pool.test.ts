// Who may have places for connections, and who goes where too much is held. It must not know
// sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { largestOf, Places } from "../../../src/wire/pool.ts";

const listenerOf = (principal: string) => ({ principal, endpoint: "ipc:///b" });
const three = ["driver", "admin", "driver", "http"].map(listenerOf);

test("no principal takes places that are set aside for others", () => {
  const places = new Places(60, three);
  let taken = 0;
  for (; places.hasRoom("driver"); taken += 1) places.note("driver", 1);
  assert.equal(taken, 40, "half, and its own third of the other half");
  for (let at = 0; at < 10; at += 1) {
    assert.ok(places.hasRoom("admin"));
    places.note("admin", 1);
  }
  assert.equal(places.hasRoom("admin"), false);
  assert.ok(places.hasRoom("http"));
  places.note("driver", -1);
  assert.ok(places.hasRoom("admin") && places.hasRoom("driver"));
  assert.equal(places.taken, 49);
});

test("one that is counted already is asked about as none more", () => {
  const places = new Places(2, [listenerOf("a")]);
  places.note("a", 2);
  assert.deepEqual([places.hasRoom("a", 0), places.hasRoom("a")], [true, false]);
  places.note("a", 1);
  assert.deepEqual([places.hasRoom("a", 0), places.hasRoom("a", -1)], [false, true]);
});

test("the largest of the principal that holds most goes first", () => {
  const held = (principal: string, bytes: number) => ({ listener: listenerOf(principal), bytes });
  const many = Array.from({ length: 20 }, () => held("driver", 10));
  const honest = held("admin", 150);
  const larger = held("driver", 11);
  const sizeOf = (one: { readonly bytes: number }) => one.bytes;
  assert.equal(largestOf([honest, ...many, larger], sizeOf), larger);
  assert.equal(largestOf([honest, ...many.slice(0, 3)], sizeOf), honest);
  assert.equal(largestOf([held("driver", 0)], sizeOf), undefined);
});
