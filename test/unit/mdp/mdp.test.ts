// The bytes of every MDP message in every dialect, round trips, and what no decoder may do.
// It must not know sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  abilities,
  type Dialect,
  decodeFromPeer,
  encodeToClient,
  encodeToWorker,
  type Frames,
  plant,
} from "../../../src/mdp/mdp.ts";
import { hasCode } from "../../../src/util/errors.ts";
import { seededRandom } from "../../../src/util/random.ts";
import {
  foreignPeers,
  hex,
  messageOf,
  neutralOf,
  ownSideOf,
  plain,
  type Row,
  rows,
  type Values,
} from "../../fakes/mdp-vectors.ts";

const dialects = Object.keys(abilities) as readonly Dialect[];
const isFrom = ({ way }: Row) => way === "FromClient" || way === "FromWorker";

/** What the broker makes of a message to a peer. */
function brokerSays({ dialect, way }: Pick<Row, "dialect" | "way">, message: Values) {
  const encode = way === "ToClient" ? encodeToClient : encodeToWorker;
  return encode(dialect, message as never);
}

for (const row of rows) {
  test(`these bytes never change: ${row.name}`, () => {
    const frames = row.frames.map(hex);
    const message = messageOf(row);
    const neutral = neutralOf(row, message);
    const own = ownSideOf(row);
    if (isFrom(row)) {
      const heard = decodeFromPeer(frames);
      assert.equal(heard.dialect, row.dialect);
      assert.equal(heard.side, row.way === "FromClient" ? "client" : "worker");
      assert.deepEqual(plain(heard.message), plain(neutral));
      assert.deepEqual(plain(own.encode(message)), plain(frames));
      return;
    }
    assert.deepEqual(plain(own.decode(frames)), plain(message));
    const about = neutral.head as plant.Head | undefined;
    if (about !== undefined && about.id < 0) return; // a foreign broker's address
    assert.deepEqual(plain(brokerSays(row, neutral)), plain(frames));
  });
}

test("every kind of message of every dialect has its bytes", () => {
  const kindOf = (row: Row) => (row.message as { kind: string }).kind;
  const present = new Set(rows.map((row) => `${row.dialect} ${row.way} ${kindOf(row)}`));
  const wanted = dialects.flatMap((dialect) => {
    const { partials, errors, cancel, credit } = abilities[dialect];
    const optional = (is: boolean, ...kinds: readonly string[]) => (is ? kinds : []);
    const both = [...optional(partials, "partial"), "final", ...optional(errors, "error")];
    const control = [...optional(cancel, "cancel"), ...optional(credit, "credit")];
    const life = ["heartbeat", "disconnect"];
    const leaving = optional(dialect === "plant", "leave", "returned");
    const refusal = optional(dialect === "plant", "refused");
    return [
      ...["request", ...control].map((kind) => `${dialect} FromClient ${kind}`),
      ...both.map((kind) => `${dialect} ToClient ${kind}`),
      ...["ready", ...both, ...life, ...leaving].map((kind) => `${dialect} FromWorker ${kind}`),
      ...["request", ...control, ...life, ...refusal].map((kind) => `${dialect} ToWorker ${kind}`),
    ];
  });
  assert.deepEqual([...present].sort(), wanted.sort());
});

test("what a dialect has no words for is not said", () => {
  const about = { service: "echo", head: { ...headOf(7), flags: 1 } };
  const error = Buffer.from("{}");
  for (const dialect of dialects) {
    const { errors, cancel, credit, partials } = abilities[dialect];
    const body = [error];
    const said = {
      errors: encodeToClient(dialect, { kind: "error", ...about, error }),
      partials: encodeToClient(dialect, { kind: "partial", ...about, body }),
      cancel: encodeToWorker(dialect, { kind: "cancel", ...about }),
      credit: encodeToWorker(dialect, { kind: "credit", ...about, credit: 1 }),
    };
    const has = Object.entries(said).map(([name, frames]) => [name, frames !== undefined]);
    assert.deepEqual(Object.fromEntries(has), { errors, partials, cancel, credit }, dialect);
  }
});

test("a message of one dialect is never read as another's", () => {
  for (const row of rows) {
    const frames = row.frames.map(hex);
    for (const dialect of dialects) {
      if (dialect === row.dialect) continue;
      for (const way of ["ToClient", "ToWorker"] as const) {
        const { decode } = ownSideOf({ dialect, way });
        assert.throws(() => decode(frames), `${row.name} as ${dialect} ${way}`);
      }
    }
  }
});

test("what the broker says is no request and no reply when it comes back", () => {
  for (const row of rows) {
    if (isFrom(row)) continue;
    const { kind } = row.message as { kind: string };
    const isAlike = row.dialect === "rfc7" && row.way === "ToClient"; // REQUEST and REPLY are one
    const frames = row.frames.map(hex);
    if ((kind === "heartbeat" || kind === "disconnect") && row.dialect !== "plantd") {
      assert.equal(decodeFromPeer(frames).message.kind, kind, row.name);
    } else if (isAlike) assert.equal(decodeFromPeer(frames).message.kind, "request");
    else assert.throws(() => decodeFromPeer(frames), /command|header/, row.name);
  }
});

test("byte 04 of a worker is the last reply in 0.2 and a heartbeat in 0.1", () => {
  const address = "0000000000000007";
  const [w1, w2] = ["4d4450573031", "4d4450573032"] as const;
  const kindOf = (frames: readonly string[]) => decodeFromPeer(frames.map(hex)).message.kind;
  assert.equal(kindOf([w2, "04", address, "", "00"]), "final");
  assert.equal(kindOf(["", w2, "04", address, "", "00"]), "final");
  assert.equal(kindOf(["", w1, "04"]), "heartbeat");
});

test("plantd's workers may put a delimiter after the address, or end with no frame at all", () => {
  const start = ["", "MDPW02", "FINAL", "\0\0\0\0\0\0\0\x07"];
  const bodyOf = (...rest: readonly string[]) => {
    const frames = [...start, ...rest].map((text) => Buffer.from(text, "latin1"));
    const { message } = decodeFromPeer(frames);
    assert.ok(message.kind === "final" && message.id === 7);
    return message.body.map((frame) => Buffer.from(frame).toString());
  };
  assert.deepEqual(bodyOf("hi", ""), ["hi", ""]);
  assert.deepEqual(bodyOf("", "hi"), ["hi"]);
  assert.deepEqual(bodyOf("", "", "hi"), ["", "hi"]);
  assert.deepEqual(bodyOf(""), [""]);
  assert.deepEqual(bodyOf(), [""]);
});

function headOf(id: number): plant.Head {
  return { id, remainingMs: 0, trace: new Uint8Array(16), flags: 0 };
}

/** Draws messages of any size, mostly small. */
function drawing(seed: number) {
  const random = seededRandom(seed);
  const below = (max: number) => Math.floor(random.unit() * max);
  const frame = () =>
    random.bytes(random.unit() < 0.2 ? 0 : below(random.unit() < 0.1 ? 3000 : 40));
  const body = () => Array.from({ length: 1 + below(4) }, frame);
  const service = () =>
    String.fromCharCode(...Array.from({ length: 1 + below(255) }, () => 0x21 + below(0x5e)));
  const id = () => Math.floor(random.unit() * 2 ** (1 + below(53)));
  const head = (): plant.Head => ({
    id: id(),
    remainingMs: Math.floor(random.unit() * 2 ** 32),
    trace: random.bytes(16),
    flags: below(256),
  });
  const address = () => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(BigInt(id()));
    return bytes;
  };
  return { random, below, frame, body, service, head, address };
}

const ownKinds = {
  FromClient: ["request", "cancel", "credit"],
  ToClient: ["partial", "final", "error"],
  FromWorker: ["ready", "partial", "final", "error", "heartbeat", "disconnect"],
  ToWorker: ["request", "cancel", "credit", "heartbeat", "disconnect"],
} as const;
const foreignKinds = {
  FromClient: ["request"],
  ToClient: ["partial", "final"],
  FromWorker: ["ready", "partial", "final", "heartbeat", "disconnect"],
  ToWorker: ["request", "heartbeat", "disconnect"],
} as const;

/** Any message, in the words of the peer. */
function drawMessage(
  draw: ReturnType<typeof drawing>,
  { dialect, way }: Pick<Row, "dialect" | "way">,
) {
  const all = dialect === "plant" ? ownKinds[way] : foreignKinds[way];
  const kinds = all.filter((one) => dialect !== "rfc7" || one !== "partial");
  const kind = kinds[draw.below(kinds.length)]!;
  if (kind === "heartbeat" || kind === "disconnect") return { kind };
  if (kind === "ready" && dialect !== "plant") return { kind, service: draw.service() };
  if (kind === "ready") {
    return { kind, service: draw.service(), concurrency: 1 + draw.below(65_535) };
  }
  const start =
    dialect === "plant"
      ? { kind, service: draw.service(), head: draw.head() }
      : way.endsWith("Client")
        ? { kind, service: draw.service() }
        : { kind, client: draw.address() };
  if (kind === "cancel") return start;
  if (kind === "credit") return { ...start, credit: 1 + draw.below(65_535) };
  if (kind === "error") return { ...start, error: Buffer.from("{}") };
  const body = draw.body();
  // plantd takes an empty frame after the address for a delimiter
  if (dialect === "plantd" && way === "FromWorker") body[0] = Buffer.from("x");
  return { ...start, body };
}

test("what one side encodes the other decodes, in every dialect", () => {
  const seed = 2_026_112_101;
  const draw = drawing(seed);
  for (let round = 0; round < 8000; round += 1) {
    const dialect = dialects[round % dialects.length]!;
    const way = (["FromClient", "ToClient", "FromWorker", "ToWorker"] as const)[draw.below(4)]!;
    const message = drawMessage(draw, { dialect, way }) as Values;
    const about = { dialect, way };
    const why = `seed ${seed}, round ${round}: ${dialect} ${way} ${message.kind}`;
    const own = ownSideOf(about);
    const neutral = neutralOf(about, message);
    if (way === "FromClient" || way === "FromWorker") {
      const heard = decodeFromPeer(own.encode(message));
      assert.equal(heard.dialect, dialect, why);
      assert.deepEqual(plain(heard.message), plain(neutral), why);
    } else {
      const said = brokerSays(about, neutral);
      assert.ok(said !== undefined, why);
      const { service, ...rest } = message;
      const wanted = message.client === undefined ? { service, ...rest } : rest;
      assert.deepEqual(
        plain({ service, ...(own.decode(said) as Values) }),
        plain({ service, ...wanted }),
        why,
      );
    }
  }
});

/** The frames a peer would have sent for what the broker heard; nothing where it cannot be told. */
function saidAgain(frames: Frames): Frames | undefined {
  const { dialect, side, message } = decodeFromPeer(frames);
  if (side === "client") {
    if (dialect === "plant") return plant.encodeFromClient(message);
    assert.equal(message.kind, "request");
    return foreignPeers[dialect].encodeFromClient(message as never);
  }
  if (message.kind === "leave") return plant.encodeFromWorker(message);
  if (message.kind === "heartbeat" || message.kind === "disconnect" || message.kind === "ready") {
    if (dialect === "plant") return plant.encodeFromWorker(message);
    return foreignPeers[dialect].encodeFromWorker(message);
  }
  if (dialect === "plant" || dialect === "plantd" || message.id < 0) return undefined;
  assert.notEqual(message.kind, "error");
  const client = Buffer.alloc(8);
  client.writeBigUInt64BE(BigInt(message.id));
  return foreignPeers[dialect].encodeFromWorker({ ...message, client } as never);
}

/** Damages a message in one of the ways that messages get damaged. */
function damage(frames: Uint8Array[], draw: ReturnType<typeof drawing>): void {
  const at = draw.below(frames.length);
  const frame = frames[at]!;
  const other = rows[draw.below(rows.length)]!.frames.map(hex);
  switch (draw.below(8)) {
    case 0:
      frames.splice(at, 1);
      return;
    case 1:
      frames.splice(at, 0, frame);
      return;
    case 2:
      frames[at] = draw.frame();
      return;
    case 3:
      frames[at] = other[draw.below(other.length)] ?? frame;
      return;
    case 4:
      frames[at] = frame.subarray(0, draw.below(frame.length + 1));
      return;
    case 5:
      frames[at] = Buffer.concat([frame, draw.frame()]);
      return;
    case 6:
      frames.splice(at, frames.length, ...other.slice(at));
      return;
    default: {
      const changed = Buffer.from(frame);
      if (changed.length > 0) changed[draw.below(changed.length)]! ^= 1 << draw.below(8);
      frames[at] = changed;
    }
  }
}

test("damaged messages are read for what they are, or refused as malformed, 200,000 times", () => {
  const seed = 20_261_121;
  const draw = drawing(seed);
  const samples = rows.map((row) => row.frames.map(hex));
  const decoders = [saidAgain, plant.decodeToClient, plant.decodeToWorker];
  let taken = 0;
  for (let round = 0; round < 200_000; round += 1) {
    const frames: Uint8Array[] = [...samples[draw.below(samples.length)]!];
    damage(frames, draw);
    if (frames.length > 0 && draw.random.unit() < 0.3) damage(frames, draw);
    const decode = decoders[round % 8 < 6 ? 0 : (round % 8) - 5]!;
    try {
      const again = decode(frames);
      taken += 1;
      if (decode !== saidAgain || again === undefined) continue;
      const isSame = Buffer.concat([...frames]).equals(Buffer.concat([...(again as Frames)]));
      const isLong = frames.length === (again as Frames).length;
      assert.ok(isSame && isLong, `seed ${seed}, round ${round}: read as something else`);
    } catch (error) {
      assert.ok(hasCode(error, "FRAME_MALFORMED"), `seed ${seed}, round ${round}: ${error}`);
      assert.equal(typeof error.detail.part, "string");
    }
  }
  assert.ok(taken > 10_000, `only ${taken} were read`);
});
