// The bytes of every MDP message, and what is refused.
// It must not know sockets.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  type Dialect,
  decodeFromPeer,
  encodeToClient,
  encodeToWorker,
  type Frames,
  plant,
} from "../../../src/mdp/mdp.ts";
import { hasCode } from "../../../src/util/errors.ts";
import { seededRandom } from "../../../src/util/random.ts";
import { type ForeignPeer, rfc18 } from "../../fakes/foreign-peers.ts";

type Way = "FromClient" | "ToClient" | "FromWorker" | "ToWorker";
interface Row {
  readonly name: string;
  readonly dialect: Dialect;
  readonly way: Way;
  readonly frames: readonly string[];
  /** In the words of the peer. */
  readonly message: unknown;
}

const file = new URL("../../vectors/mdp.json", import.meta.url);
const rows = JSON.parse(readFileSync(file, "utf8")) as readonly Row[];
const bytesIn = new Set(["body", "client", "error", "trace"]);

/** Hexadecimal texts of a row as bytes. */
function revive(key: string, value: unknown): unknown {
  if (typeof value === "string" && bytesIn.has(key)) return Uint8Array.from(hex(value));
  if (Array.isArray(value)) return value.map((one) => revive(key, one));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, revive(name, one)]));
}

const hex = (text: string) => Buffer.from(text, "hex");
/** Bytes compare as plain arrays, whatever class holds them. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return [...value];
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, plain(one)]));
}

const head = { id: 0, remainingMs: plant.noDeadline, trace: new Uint8Array(16), flags: 1 };
const peers: Readonly<Partial<Record<Dialect, ForeignPeer>>> = { rfc18 };

type Values = Readonly<Record<string, unknown>>;
const idIn = (frame: Uint8Array) => Number(Buffer.from(frame).readBigUInt64BE());

/** What a peer says or hears, as the broker has it. */
function neutralOf({ dialect, way }: Row, message: Values): Values {
  const { client, service, head: own, ...rest } = message;
  const { kind } = message;
  if (dialect === "plant") {
    if (way !== "FromWorker" || kind === "ready" || own === undefined) return message;
    return { ...rest, id: (own as plant.Head).id };
  }
  const address = client as Uint8Array | undefined;
  const id = address?.length === 8 ? idIn(address) : -1;
  if (kind === "heartbeat" || kind === "disconnect") return message;
  if (way === "FromWorker") {
    return kind === "ready" ? { ...message, concurrency: 1 } : { ...rest, id };
  }
  return {
    ...rest,
    service: service ?? "echo",
    head: { ...head, id: way === "ToWorker" ? id : 0 },
  };
}

/** What the peer's own side of a dialect makes of a message, and reads from frames. */
function ownSideOf({ dialect, way }: Row) {
  const peer = peers[dialect];
  const side: Readonly<Record<string, unknown>> = peer === undefined ? { ...plant } : { ...peer };
  return {
    encode: side[`encode${way}`] as (message: unknown) => Frames,
    decode: side[`decode${way}`] as (frames: Frames) => unknown,
  };
}

/** What the broker makes of a message to a peer. */
function brokerSays(row: Row, message: Values): Frames | undefined {
  const encode = row.way === "ToClient" ? encodeToClient : encodeToWorker;
  return encode(row.dialect, message as never);
}

for (const row of rows) {
  test(`these bytes never change: ${row.name}`, () => {
    const frames = row.frames.map(hex);
    const message = revive("", row.message) as Values;
    const neutral = neutralOf(row, message);
    const own = ownSideOf(row);
    if (row.way === "FromClient" || row.way === "FromWorker") {
      const heard = decodeFromPeer(frames);
      assert.equal(heard.dialect, row.dialect);
      assert.equal(`From${heard.side}`.toLowerCase(), row.way.toLowerCase());
      assert.deepEqual(plain(heard.message), plain(neutral));
      assert.deepEqual(plain(own.encode(message)), plain(frames));
      return;
    }
    assert.deepEqual(plain(own.decode(frames)), plain(message));
    const { head: about } = neutral;
    const isMade = about === undefined || (about as plant.Head).id >= 0;
    if (isMade) assert.deepEqual(plain(brokerSays(row, neutral)), plain(frames));
  });
}

const name255 = "61".repeat(255);
const head29 = `${"00".repeat(11)}64${"11".repeat(16)}00`;
const [mc, mw, pc, pw, echo] = ["MDPC02", "MDPW02", "PLNC01", "PLNW01", "echo"].map((text) =>
  Buffer.from(text).toString("hex"),
) as [string, string, string, string, string];

const refused: Readonly<Record<string, { frames: readonly string[]; part: string }>> = {
  "no frames": { frames: [], part: "header" },
  "an empty header": { frames: ["", "01"], part: "header" },
  "a header of another protocol": { frames: ["4d4450433031", "01", echo, "00"], part: "header" },
  "a header with one byte more": { frames: [`${mc}00`, "01", echo, "00"], part: "header" },
  "rfc18: only a header": { frames: [mc], part: "command" },
  "rfc18: a command of two bytes": { frames: [mc, "0101", echo, "00"], part: "command" },
  "rfc18: a client that sends FINAL": { frames: [mc, "03", echo, "00"], part: "command" },
  "rfc18: command 0": { frames: [mc, "00", echo, "00"], part: "command" },
  "rfc18: no service": { frames: [mc, "01"], part: "service" },
  "rfc18: an empty service": { frames: [mc, "01", "", "00"], part: "service" },
  "rfc18: a service with a space": { frames: [mc, "01", "6120", "00"], part: "service" },
  "rfc18: a service with a control byte": { frames: [mc, "01", "6107", "00"], part: "service" },
  "rfc18: a service above ASCII": { frames: [mc, "01", "c3a4", "00"], part: "service" },
  "rfc18: a service of 256 bytes": { frames: [mc, "01", `${name255}61`, "00"], part: "service" },
  "rfc18: a request without a body": { frames: [mc, "01", echo], part: "body" },
  "rfc18: READY without a service": { frames: [mw, "01"], part: "service" },
  "rfc18: READY with more": { frames: [mw, "01", echo, "00"], part: "end" },
  "rfc18: a worker that sends REQUEST": { frames: [mw, "02", "61", "", "00"], part: "command" },
  "rfc18: FINAL without an address": { frames: [mw, "04"], part: "client" },
  "rfc18: FINAL with an empty address": { frames: [mw, "04", "", "", "00"], part: "client" },
  "rfc18: FINAL without its empty frame": { frames: [mw, "04", "61", "00"], part: "delimiter" },
  "rfc18: PARTIAL without a body": { frames: [mw, "03", "61", ""], part: "body" },
  "rfc18: HEARTBEAT with more": { frames: [mw, "05", ""], part: "end" },
  "rfc18: DISCONNECT with more": { frames: [mw, "06", ""], part: "end" },
  "rfc18: worker command 7": { frames: [mw, "07"], part: "command" },
  "ours: only a header": { frames: [pc], part: "command" },
  "ours: a client that sends FINAL": { frames: [pc, "03", echo, head29, "00"], part: "command" },
  "ours: client command 7": { frames: [pc, "07", echo, head29], part: "command" },
  "ours: no head": { frames: [pc, "01", echo], part: "head" },
  "ours: a head of 28 bytes": { frames: [pc, "01", echo, head29.slice(2), "00"], part: "head" },
  "ours: a head of 30 bytes": { frames: [pc, "01", echo, `${head29}00`, "00"], part: "head" },
  "ours: an id of 2^53": {
    frames: [pc, "01", echo, `0020${"00".repeat(27)}`, "00"],
    part: "head",
  },
  "ours: a request without a body": { frames: [pc, "01", echo, head29], part: "body" },
  "ours: CANCEL with more": { frames: [pc, "04", echo, head29, ""], part: "end" },
  "ours: CREDIT without a number": { frames: [pc, "05", echo, head29], part: "credit" },
  "ours: CREDIT of nothing": { frames: [pc, "05", echo, head29, "00000000"], part: "credit" },
  "ours: CREDIT above its limit": { frames: [pc, "05", echo, head29, "00010000"], part: "credit" },
  "ours: READY without concurrency": { frames: [pw, "01", echo], part: "concurrency" },
  "ours: READY for 0 at once": { frames: [pw, "01", echo, "00000000"], part: "concurrency" },
  "ours: READY for too many": { frames: [pw, "01", echo, "00010000"], part: "concurrency" },
  "ours: READY with a short number": { frames: [pw, "01", echo, "0001"], part: "concurrency" },
  "ours: READY with more": { frames: [pw, "01", echo, "00000001", ""], part: "end" },
  "ours: a worker that sends REQUEST": { frames: [pw, "02", echo, head29, "00"], part: "command" },
  "ours: ERROR without a frame": { frames: [pw, "09", echo, head29], part: "error" },
  "ours: ERROR with an empty frame": { frames: [pw, "09", echo, head29, ""], part: "error" },
  "ours: ERROR with more": { frames: [pw, "09", echo, head29, "7b7d", ""], part: "end" },
  "ours: HEARTBEAT with more": { frames: [pw, "05", ""], part: "end" },
};

for (const [name, { frames, part }] of Object.entries(refused)) {
  test(`refused from a peer: ${name}`, () => {
    assert.throws(
      () => decodeFromPeer(frames.map(hex)),
      (error: unknown) => hasCode(error, "FRAME_MALFORMED") && error.detail.part === part,
    );
  });
}

test("a service name of 255 bytes is taken", () => {
  const { message } = decodeFromPeer([mc, "01", name255, "00"].map(hex));
  assert.equal("service" in message ? message.service.length : 0, 255);
});

test("whatever bytes come, every decoder either reads them or says which frame is wrong", () => {
  const seed = 20_261_121;
  const random = seededRandom(seed);
  const decoders = [decodeFromPeer, plant.decodeToClient, plant.decodeToWorker];
  for (let round = 0; round < 20_000; round += 1) {
    const row = rows[Math.floor(random.unit() * rows.length)]!;
    const frames = row.frames.map(hex);
    const at = Math.floor(random.unit() * frames.length);
    if (random.unit() < 0.3) frames.splice(at, 1);
    else if (random.unit() < 0.5) frames[at] = Buffer.from(random.bytes(random.unit() * 40));
    else if (frames[at]!.length > 0) {
      frames[at]![Math.floor(random.unit() * frames[at]!.length)]! ^= 1 << (round % 8);
    }
    for (const decode of decoders) {
      try {
        decode(frames);
      } catch (error) {
        assert.ok(hasCode(error, "FRAME_MALFORMED"), `seed ${seed}, round ${round}: ${error}`);
      }
    }
  }
});
