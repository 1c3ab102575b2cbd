// The replay of a power cut: what no flush covers may be there or not, what one covers is there.
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../src/util/random.ts";
import type { Entry, EntryKind } from "../../power/record.ts";
import { type FileImage, type Image, Replay, variants } from "../../power/replay.ts";

const random = seededRandom(1);
const file = 7;
const folder = 2;

function entry(kind: EntryKind, more: Partial<Entry> = {}): Entry {
  const rest = { isFlushed: false, isFolder: false, inode: file, number: 0, path: "" };
  return { kind, ...rest, data: Buffer.alloc(0), ...more };
}

const created = entry("created", { path: "/f/a" });
const opened = entry("opened", { inode: folder, isFolder: true, path: "/f" });
const named = entry("flushed", { inode: folder, isFolder: true });
const flushed = entry("flushed");
const write = (text: string, number = 0, isFlushed = false) =>
  entry("written", { data: Buffer.from(text), number, isFlushed });

/** The text of a file as a cut leaves it; nothing when it is not there. */
function textIn(image: Image, path = "/f/a"): string | undefined {
  const found = image.get(path);
  if (found === undefined || found === "folder") return undefined;
  const { pages, length } = found as FileImage;
  const bytes = Buffer.alloc(Math.ceil(length / 4096) * 4096);
  for (const [page, content] of pages) {
    if (page * 4096 < length) bytes.set(content, page * 4096);
  }
  return bytes.toString("latin1", 0, length);
}

function after(...entries: readonly Entry[]): Replay {
  const replay = new Replay();
  for (const one of entries) replay.apply(one);
  return replay;
}

test("what is flushed, with its name, is there in every variant", () => {
  const replay = after(opened, created, write("one"), flushed, named);
  for (const variant of variants) {
    for (let at = 0; at < 20; at += 1) assert.equal(textIn(replay.image(variant, random)), "one");
  }
});

test("what is not flushed may be there or not", () => {
  const replay = after(opened, created, write("one"), flushed, named, write("two"));
  assert.equal(textIn(replay.image("flushed", random)), "one");
  assert.equal(textIn(replay.image("all", random)), "two");
  const seen = new Set(Array.from({ length: 40 }, () => textIn(replay.image("some", random))));
  assert.deepEqual([...seen].sort(), ["one", "two"]);
});

test("a name that its folder has not flushed may be gone with a flushed file", () => {
  const replay = after(opened, created, write("one"), flushed);
  assert.equal(textIn(replay.image("flushed", random)), undefined);
  const seen = new Set(Array.from({ length: 40 }, () => textIn(replay.image("some", random))));
  assert.deepEqual([...seen].sort(), ["one", undefined]);
});

test("a rename is there wholly or not at all", () => {
  const moved = entry("renamed", { path: "/f/a", data: Buffer.from("/f/b") });
  const replay = after(opened, created, write("one"), flushed, named, moved);
  for (let at = 0; at < 40; at += 1) {
    const image = replay.image("some", random);
    const both = [textIn(image, "/f/a"), textIn(image, "/f/b")];
    assert.deepEqual(both.toSorted(), ["one", undefined]);
  }
  assert.equal(textIn(replay.image("flushed", random), "/f/a"), "one");
  replay.apply(named);
  assert.equal(textIn(replay.image("flushed", random), "/f/b"), "one");
});

test("a write that is flushed by itself takes along what its page held, and no other page", () => {
  const far = write("far", 9000);
  const replay = after(opened, created, named, write("one"), far, write("two", 3, true));
  const text = textIn(replay.image("flushed", random));
  assert.equal(text, "onetwo");
});

test("torn pages mix the sectors of their states; a single changed sector is whole", () => {
  const old = write("a".repeat(4096));
  const torn = after(opened, created, old, flushed, named, write("b".repeat(4096)));
  const seen = new Set(Array.from({ length: 40 }, () => textIn(torn.image("torn", random))));
  assert.ok([...seen].some((text) => text?.includes("a") && text.includes("b")));
  for (const text of seen) {
    for (let at = 0; at < 4096; at += 512) {
      assert.match(text?.slice(at, at + 512) ?? "", /^(a+|b+)$/);
    }
  }
  const small = after(opened, created, old, flushed, named, write("c".repeat(512), 1024));
  for (let at = 0; at < 40; at += 1) {
    assert.match(textIn(small.image("garbled", random)) ?? "", /^a{1024}(a{512}|c{512})a+$/);
  }
});

test("noise stands only where something was not flushed", () => {
  const replay = after(opened, created, write("a".repeat(8192)), flushed, named);
  replay.apply(write("b".repeat(4096), 4096));
  const seen = Array.from({ length: 40 }, () => textIn(replay.image("garbled", random)) ?? "");
  assert.ok(seen.every((text) => text.startsWith("a".repeat(4096))));
  assert.ok(seen.some((text) => /[^ab]/.test(text)));
});

test("after a flush that failed, a later one does not write what the kernel took for clean", () => {
  const failed = entry("failed", { number: "f".charCodeAt(0) });
  const replay = after(opened, created, write("one"), flushed, named, write("two"), failed);
  replay.apply(flushed);
  assert.equal(textIn(replay.image("flushed", random)), "one");
  replay.apply(write("3"));
  replay.apply(flushed);
  assert.equal(textIn(replay.image("flushed", random)), "3wo");
});

test("a file cut short loses its end only when that is flushed", () => {
  const replay = after(opened, created, write("one two"), flushed, named);
  replay.apply(entry("resized", { number: 3 }));
  assert.equal(textIn(replay.image("flushed", random)), "one two");
  replay.apply(flushed);
  assert.equal(textIn(replay.image("flushed", random)), "one");
});

test("without flushes nothing is ever sure", () => {
  const replay = new Replay({ ignoresFlushes: true });
  for (const one of [opened, created, write("one", 0, true), flushed, named]) replay.apply(one);
  assert.equal(textIn(replay.image("flushed", random)), undefined);
});
