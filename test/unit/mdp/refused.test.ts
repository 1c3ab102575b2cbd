// What is no MDP message, and which frame of it is wrong; the limits of names and numbers.
// It must not know sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Dialect, decodeFromPeer, plant } from "../../../src/mdp/mdp.ts";
import { hasCode } from "../../../src/util/errors.ts";
import { hex } from "../../fakes/mdp-vectors.ts";

interface Refused {
  readonly frames: readonly string[];
  readonly part: string;
}
type Table = Readonly<Record<string, Refused>>;

const name255 = "61".repeat(255);
const address = "0000000000000007";
const head = `${"00".repeat(11)}64${"11".repeat(16)}00`;
const latin = (text: string) => Buffer.from(text, "latin1").toString("hex");
const [pc, pw, echo] = ["PLNC01", "PLNW01", "echo"].map(latin) as [string, string, string];
const [c1, w1, c2, w2] = ["MDPC01", "MDPW01", "MDPC02", "MDPW02"].map(latin) as [
  string,
  string,
  string,
  string,
];

const ofNoDialect: Table = {
  "no frames": { frames: [], part: "header" },
  "only an empty frame": { frames: [""], part: "header" },
  "two empty frames": { frames: ["", "", c2, "01", echo, "00"], part: "header" },
  "an empty frame and a command": { frames: ["", "01"], part: "header" },
  "a header of 0.1 without its empty frame": { frames: [c1, echo, "00"], part: "header" },
  "a worker of 0.1 without its empty frame": { frames: [w1, "01", echo], part: "header" },
  "a header with one byte more": { frames: [`${c2}00`, "01", echo, "00"], part: "header" },
  "a header with one byte less": { frames: [c2.slice(2), "01", echo, "00"], part: "header" },
  "a header in lower case": { frames: [latin("mdpc02"), "01", echo, "00"], part: "header" },
  "a version to come": { frames: [latin("MDPC03"), "01", echo, "00"], part: "header" },
  "our header behind an empty frame": { frames: ["", pc, "01", echo, head, "00"], part: "header" },
  "our worker behind an empty frame": { frames: ["", pw, "05"], part: "header" },
  "text of a web browser": { frames: [latin("GET / HTTP/1.1")], part: "header" },
};

const ours: Table = {
  "only a header": { frames: [pc], part: "command" },
  "a client that sends FINAL": { frames: [pc, "03", echo, head, "00"], part: "command" },
  "client command 7": { frames: [pc, "07", echo, head], part: "command" },
  "a command of two bytes": { frames: [pc, "0101", echo, head, "00"], part: "command" },
  "an empty service": { frames: [pc, "01", "", head, "00"], part: "service" },
  "a service of 256 bytes": { frames: [pc, "01", `${name255}61`, head, "00"], part: "service" },
  "no head": { frames: [pc, "01", echo], part: "head" },
  "a head of 28 bytes": { frames: [pc, "01", echo, head.slice(2), "00"], part: "head" },
  "a head of 30 bytes": { frames: [pc, "01", echo, `${head}00`, "00"], part: "head" },
  "an id of 2^53": { frames: [pc, "01", echo, `0020${"00".repeat(27)}`, "00"], part: "head" },
  "an id of 2^64-1": {
    frames: [pc, "01", echo, `${"ff".repeat(8)}${head.slice(16)}`, "00"],
    part: "head",
  },
  "a request without a body": { frames: [pc, "01", echo, head], part: "body" },
  "CANCEL with more": { frames: [pc, "04", echo, head, ""], part: "end" },
  "CANCEL without a head": { frames: [pc, "04", echo], part: "head" },
  "CREDIT without a number": { frames: [pc, "05", echo, head], part: "credit" },
  "CREDIT of nothing": { frames: [pc, "05", echo, head, "00000000"], part: "credit" },
  "CREDIT above its limit": { frames: [pc, "05", echo, head, "00010000"], part: "credit" },
  "CREDIT with more": { frames: [pc, "05", echo, head, "00000001", ""], part: "end" },
  "a worker's header alone": { frames: [pw], part: "command" },
  "worker command 0": { frames: [pw, "00"], part: "command" },
  "a worker that sends REFUSED": { frames: [pw, "0c", "7b7d"], part: "command" },
  "worker command 13": { frames: [pw, "0d"], part: "command" },
  "a worker that sends REQUEST": { frames: [pw, "02", echo, head, "00"], part: "command" },
  "a worker that sends CANCEL": { frames: [pw, "07", echo, head], part: "command" },
  "READY without a service": { frames: [pw, "01"], part: "service" },
  "READY without concurrency": { frames: [pw, "01", echo], part: "concurrency" },
  "READY for 0 at once": { frames: [pw, "01", echo, "00000000"], part: "concurrency" },
  "READY for too many": { frames: [pw, "01", echo, "00010000"], part: "concurrency" },
  "READY with a short number": { frames: [pw, "01", echo, "0001"], part: "concurrency" },
  "READY with more": { frames: [pw, "01", echo, "00000001", ""], part: "end" },
  "FINAL without a service": { frames: [pw, "04", "", head, "00"], part: "service" },
  "FINAL without a body": { frames: [pw, "04", echo, head], part: "body" },
  "FINAL with an id of 2^53": {
    frames: [pw, "04", echo, `0020${"00".repeat(27)}`, "00"],
    part: "head",
  },
  "PARTIAL with a short head": { frames: [pw, "03", echo, head.slice(2), "00"], part: "head" },
  "ERROR without a frame": { frames: [pw, "09", echo, head], part: "error" },
  "ERROR with an empty frame": { frames: [pw, "09", echo, head, ""], part: "error" },
  "ERROR with more": { frames: [pw, "09", echo, head, "7b7d", ""], part: "end" },
  "HEARTBEAT with more": { frames: [pw, "05", ""], part: "end" },
  "DISCONNECT with more": { frames: [pw, "06", ""], part: "end" },
  "LEAVE with more": { frames: [pw, "0a", ""], part: "end" },
  "RETURNED without a service": { frames: [pw, "0b", "", head, "00"], part: "service" },
  "RETURNED with a short head": { frames: [pw, "0b", echo, head.slice(2), "00"], part: "head" },
  "RETURNED without a body": { frames: [pw, "0b", echo, head], part: "body" },
};

/** How a foreign dialect starts its messages, in hexadecimal text. */
interface Start {
  readonly request: readonly string[];
  readonly ready: readonly string[];
  /** None in RFC 7. */
  readonly partial?: readonly string[];
  readonly final: readonly string[];
  readonly heartbeat: readonly string[];
  readonly disconnect: readonly string[];
  readonly delimiter: readonly string[];
  /** Starts with a command the peer has no right to, or nobody knows. */
  readonly wrong: Readonly<Record<string, readonly string[]>>;
}

const byByte = (lead: readonly string[]): Start => ({
  request: [...lead, c2, "01"],
  ready: [...lead, w2, "01"],
  partial: [...lead, w2, "03"],
  final: [...lead, w2, "04"],
  heartbeat: [...lead, w2, "05"],
  disconnect: [...lead, w2, "06"],
  delimiter: [""],
  wrong: {
    "a client that sends PARTIAL": [...lead, c2, "02"],
    "a client that sends FINAL": [...lead, c2, "03"],
    "client command 0": [...lead, c2, "00"],
    "client command 4": [...lead, c2, "04"],
    "a client's command of two bytes": [...lead, c2, "0101"],
    "an empty command": [...lead, c2, ""],
    "a worker that sends REQUEST": [...lead, w2, "02"],
    "worker command 0": [...lead, w2, "00"],
    "worker command 7": [...lead, w2, "07"],
  },
});

const starts: Readonly<Record<Exclude<Dialect, "plant">, Start>> = {
  rfc18: byByte([]),
  "rfc18-enveloped": byByte([""]),
  rfc7: {
    request: ["", c1],
    ready: ["", w1, "01"],
    final: ["", w1, "03"],
    heartbeat: ["", w1, "04"],
    disconnect: ["", w1, "05"],
    delimiter: [""],
    wrong: {
      "a worker that sends REQUEST": ["", w1, "02"],
      "worker command 0": ["", w1, "00"],
      "DISCONNECT of 0.2": ["", w1, "06"],
      "a word for a command": ["", w1, latin("READY")],
      "an empty command": ["", w1, ""],
    },
  },
  plantd: {
    request: ["", c2, latin("REQUEST")],
    ready: ["", w2, latin("READY")],
    partial: ["", w2, latin("PARTIAL")],
    final: ["", w2, latin("FINAL")],
    heartbeat: ["", w2, latin("HEARTBEAT")],
    disconnect: ["", w2, latin("DISCONNECT")],
    delimiter: [],
    wrong: {
      "a client that sends FINAL": ["", c2, latin("FINAL")],
      "a client that sends READY": ["", c2, latin("READY")],
      "a word in lower case": ["", c2, latin("request")],
      "a word with a space": ["", c2, latin("REQUEST ")],
      "a word cut short": ["", c2, latin("REQUES")],
      "words without the empty frame": [c2, latin("REQUEST")],
      "a worker's words without the empty frame": [w2, latin("READY")],
      "a worker that sends REQUEST": ["", w2, latin("REQUEST")],
      "a worker that sends REPLY": ["", w2, latin("REPLY")],
    },
  },
};

function refusedOf(start: Start): Table {
  const { request, ready, partial, final, heartbeat, disconnect, delimiter, wrong } = start;
  const commands = Object.entries(wrong).map(([name, frames]): [string, Refused] => [
    name,
    { frames: [...frames, echo, "", "00"], part: "command" },
  ]);
  const replies = (name: string, frames: readonly string[]): Table => ({
    [`${name} without an address`]: { frames, part: "client" },
    [`${name} with an empty address`]: { frames: [...frames, "", "", "00"], part: "client" },
    ...(delimiter.length === 0
      ? {}
      : {
          [`${name} without its delimiter`]: { frames: [...frames, address], part: "delimiter" },
          [`${name} with a full delimiter`]: {
            frames: [...frames, address, "00", "00"],
            part: "delimiter",
          },
          [`${name} without a body`]: { frames: [...frames, address, ""], part: "body" },
        }),
  });
  return {
    ...Object.fromEntries(commands),
    "no service": { frames: request, part: "service" },
    "an empty service": { frames: [...request, "", "00"], part: "service" },
    "a service with a space": { frames: [...request, "6120", "00"], part: "service" },
    "a service with a control byte": { frames: [...request, "6107", "00"], part: "service" },
    "a service with a delete byte": { frames: [...request, "617f", "00"], part: "service" },
    "a service above ASCII": { frames: [...request, "c3a4", "00"], part: "service" },
    "a service of 256 bytes": { frames: [...request, `${name255}61`, "00"], part: "service" },
    "a request without a body": { frames: [...request, echo], part: "body" },
    "no body for what only starts as mmi": {
      frames: [...request, latin("mmiservice")],
      part: "body",
    },
    "READY without a service": { frames: ready, part: "service" },
    "READY with an empty service": { frames: [...ready, ""], part: "service" },
    "READY with a service of 256 bytes": { frames: [...ready, `${name255}61`], part: "service" },
    "READY with more": { frames: [...ready, echo, "00"], part: "end" },
    ...(partial === undefined ? {} : replies("PARTIAL", partial)),
    ...replies("FINAL", final),
    "HEARTBEAT with more": { frames: [...heartbeat, ""], part: "end" },
    "DISCONNECT with more": { frames: [...disconnect, ""], part: "end" },
  };
}

const tables: Readonly<Record<string, Table>> = {
  "of no dialect": ofNoDialect,
  ours,
  ...Object.fromEntries(Object.entries(starts).map(([name, one]) => [name, refusedOf(one)])),
};

for (const [dialect, table] of Object.entries(tables)) {
  for (const [name, { frames, part }] of Object.entries(table)) {
    test(`refused, ${dialect}: ${name}`, () => {
      assert.throws(
        () => decodeFromPeer(frames.map(hex)),
        (error: unknown) => hasCode(error, "FRAME_MALFORMED") && error.detail.part === part,
      );
    });
  }
}

test("after a header alone the command is wrong, even where a byte or a word could follow", () => {
  for (const frames of [[c2], [w2], ["", c2], ["", w2], ["", w1]]) {
    assert.throws(
      () => decodeFromPeer(frames.map(hex)),
      (error: unknown) => hasCode(error, "FRAME_MALFORMED") && error.detail.part === "command",
    );
  }
});

test("what is refused from peers is refused by clients and workers of ours too", () => {
  const about = [echo, head];
  const wrong: readonly [(frames: Buffer[]) => unknown, readonly string[], string][] = [
    [plant.decodeToClient, [], "header"],
    [plant.decodeToClient, [pw, "03", ...about, "00"], "header"],
    [plant.decodeToClient, [pc, "01", ...about, "00"], "command"],
    [plant.decodeToClient, [pc, "03", ...about], "body"],
    [plant.decodeToClient, [pc, "02", echo, "00"], "head"],
    [plant.decodeToClient, [pc, "06", ...about], "error"],
    [plant.decodeToClient, [pc, "06", ...about, "7b7d", "00"], "end"],
    [plant.decodeToWorker, [], "header"],
    [plant.decodeToWorker, [pc, "02", ...about, "00"], "header"],
    [plant.decodeToWorker, [pw, "04", ...about, "00"], "command"],
    [plant.decodeToWorker, [pw, "02", ...about], "body"],
    [plant.decodeToWorker, [pw, "07", ...about, "00"], "end"],
    [plant.decodeToWorker, [pw, "08", ...about], "credit"],
    [plant.decodeToWorker, [pw, "05", ""], "end"],
    [plant.decodeToWorker, [pw, "06", ""], "end"],
  ];
  for (const [decode, frames, part] of wrong) {
    assert.throws(
      () => decode(frames.map(hex)),
      (error: unknown) => hasCode(error, "FRAME_MALFORMED") && error.detail.part === part,
      `${frames} ${part}`,
    );
  }
});

test("a service name of 1 and of 255 bytes is taken in every dialect", () => {
  for (const start of [...Object.values(starts), { request: [pc, "01"], ready: [pw, "01"] }]) {
    for (const name of ["61", "21", "7e", name255]) {
      const isOurs = start.request[0] === pc;
      const asked = [...start.request, name, ...(isOurs ? [head] : []), "00"].map(hex);
      const offered = [...start.ready, name, ...(isOurs ? ["00000001"] : [])].map(hex);
      for (const frames of [asked, offered]) {
        const { message } = decodeFromPeer(frames);
        assert.equal("service" in message && latin(message.service), name);
      }
    }
  }
});

test("names alike in length, first, middle and last bytes are told apart, from new and old frames", () => {
  const names = ["svc-axe-xyz", "svc-bxe-xyz", "sv--axe-xyz"];
  const frames = names.map((name) => new Uint8Array(Buffer.from(name)));
  for (let round = 0; round < 12; round += 1) {
    const at = round % 3;
    const frame = round < 6 ? Buffer.from(names[at]!) : frames[at]!;
    const { message } = decodeFromPeer([hex(c2), hex("01"), frame, hex("00")]);
    assert.equal("service" in message && message.service, names[at]);
  }
});

test("a name refused once is refused again, the same frame or not", () => {
  const frame = new Uint8Array(Buffer.from("a b"));
  for (const one of [frame, frame, Buffer.from(frame)]) {
    assert.throws(
      () => decodeFromPeer([hex(c2), hex("01"), one, hex("00")]),
      (error: unknown) => hasCode(error, "FRAME_MALFORMED") && error.detail.part === "service",
    );
  }
});

test("the largest id is 2^53-1, in a head and in an address", () => {
  const max = "001fffffffffffff";
  const heard = decodeFromPeer([pw, "04", echo, `${max}${head.slice(16)}`, "00"].map(hex)).message;
  assert.ok(heard.kind === "final" && heard.id === Number.MAX_SAFE_INTEGER);
  const idOf = (client: string) => {
    const { message } = decodeFromPeer([w2, "04", client, "", "00"].map(hex));
    return message.kind === "final" ? message.id : undefined;
  };
  assert.equal(idOf(max), Number.MAX_SAFE_INTEGER);
  assert.equal(idOf("0000000000000000"), 0);
  for (const foreign of [
    "0020000000000000",
    "ff".repeat(8),
    "00".repeat(7),
    "00".repeat(9),
    "61",
  ]) {
    assert.equal(idOf(foreign), -1, foreign);
  }
});
