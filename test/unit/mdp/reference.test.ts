// The page of the wire says what the codec does: its tables of frames and its example, row by row.
// It must not know sockets.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  abilities,
  type Dialect,
  decodeFromPeer,
  encodeToClient,
  encodeToWorker,
  plant,
} from "../../../src/mdp/mdp.ts";
import { hex, rows, type Way } from "../../fakes/mdp-vectors.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url)).replace(/\.build\/$/, "");
const page = readFileSync(`${root}docs/reference/mdp.md`, "utf8");

/** The heading over each dialect's table. */
const headings: Readonly<Partial<Record<Dialect, string>>> = {
  rfc18: "## RFC 18, plain and enveloped",
  rfc7: "## RFC 7",
  plantd: "## The words of plantd",
  plant: "## Ours",
};

/** The rows of the table under a heading that starts with `from → to`: what is said, its frames. */
function tableUnder(heading: string): readonly (readonly [string, string])[] {
  const start = page.indexOf(`\n${heading}\n`);
  assert.ok(start >= 0, heading);
  const lines = page.slice(page.indexOf("\n| from → to | frames |", start) + 1).split("\n");
  const end = lines.findIndex((line) => !line.startsWith("|"));
  return lines.slice(2, end).map((line) => {
    const [, said = "", frames = ""] = line.split("|").map((cell) => cell.trim());
    return [said, frames];
  });
}

/** What a word of the page stands for, as a pattern of a frame's hexadecimal text. */
function patternOf(word: string): string {
  if (word === '""') return "";
  if (/^`\w+`$/.test(word)) return Buffer.from(word.slice(1, -1)).toString("hex");
  if (/^[0-9a-f]{2}$/.test(word)) return word;
  const named: Readonly<Record<string, string>> = {
    service: "([0-9a-f]{2}){1,255}",
    client: "([0-9a-f]{2})+",
    head: "[0-9a-f]{58}",
    count: "[0-9a-f]{8}",
    error: "([0-9a-f]{2})+",
  };
  return named[word] ?? assert.fail(`what is ${word}?`);
}

/** A whole message, its frames joined by commas, as the page has it. */
function shapeOf(frames: string, body: string): RegExp {
  const words = frames.split(" ").filter((word) => word !== "body+");
  const before = words.map(patternOf).join(",");
  return new RegExp(frames.endsWith("body+") ? `^${before}${body}$` : `^${before}$`);
}

/** Which way the words before the frames of a row mean. */
function waysOf(said: string): readonly Way[] {
  if (said.startsWith("client → broker")) return ["FromClient"];
  if (said.startsWith("broker → client")) return ["ToClient"];
  if (said.startsWith("worker → broker")) return ["FromWorker"];
  if (said.startsWith("broker → worker")) return ["ToWorker"];
  return said.endsWith("both ways") ? ["FromWorker", "ToWorker"] : assert.fail(said);
}

/** What kind of message a row of the page is about. */
function kindOf(said: string, way: Way): string {
  const word = said.includes("both ways") ? said.split(",")[0] : said.split(", ")[1];
  return word === "reply" ? (way === "FromClient" ? "request" : "final") : (word ?? "");
}

for (const [dialect, heading] of Object.entries(headings)) {
  test(`the page lists each message of ${dialect} as it is`, () => {
    const listed = new Map<string, string>();
    for (const [said, frames] of tableUnder(heading)) {
      for (const way of waysOf(said)) listed.set(`${way} ${kindOf(said, way)}`, frames);
    }
    const used = new Set<string>();
    for (const row of rows) {
      if (row.dialect !== dialect) continue;
      const { kind, service } = row.message as { kind: string; service?: string };
      const frames = listed.get(`${row.way} ${kind}`);
      assert.ok(frames !== undefined, `${row.way} ${kind} is not on the page`);
      used.add(`${row.way} ${kind}`);
      const body = service?.startsWith("mmi.") ? "(,[0-9a-f]*)*" : "(,[0-9a-f]*)+";
      assert.match(row.frames.join(","), shapeOf(frames, body), `${row.name}: ${frames}`);
    }
    assert.deepEqual([...listed.keys()].sort(), [...used].sort());
  });
}

test("the page knows every dialect", () => {
  const known = [...Object.keys(headings), "rfc18-enveloped"].sort();
  assert.deepEqual(known, Object.keys(abilities).sort());
});

test("enveloped messages are those of RFC 18 behind an empty frame", () => {
  const plainRows = new Map(rows.map((row) => [row.name, row]));
  const others = rows.filter(({ dialect }) => dialect === "rfc18-enveloped");
  let compared = 0;
  for (const { name, frames } of others) {
    const same = plainRows.get(name.replace(" enveloped", ""));
    if (same === undefined) continue;
    compared += 1;
    assert.deepEqual(frames, ["", ...same.frames], name);
  }
  assert.ok(compared > 10);
});

test("the page has the credit a stream starts with", () => {
  const { creditAtStart, creditBytes } = plant;
  const words = (count: number) => count.toLocaleString("en");
  const whole = `up to ${words(creditAtStart)} parts, and up to ${words(creditBytes)} bytes`;
  const half = `half of either, ${words(creditAtStart / 2)} parts or ${words(creditBytes / 2)} bytes`;
  assert.ok(page.includes(whole), whole);
  assert.ok(page.includes(half), half);
});

test("the exchange on the page is what the codec says", () => {
  const said = tableUnder("## An exchange, byte by byte").map(([, text]) =>
    text.split(" ").map((word) => hex(word === "(empty)" ? "" : word.slice(1, -1))),
  );
  const [ready, beat, asked, order, done, answered] = said;
  assert.ok(ready && beat && asked && order && done && answered && said.length === 6);
  const heard = [ready, asked, done].map((frames) => decodeFromPeer(frames));
  assert.deepEqual(
    heard.map(({ dialect, message }) => `${dialect} ${message.kind}`),
    ["rfc18 ready", "rfc7 request", "rfc18 final"],
  );
  const { message: request } = heard[1] ?? assert.fail();
  const { message: reply } = heard[2] ?? assert.fail();
  assert.ok(request.kind === "request" && reply.kind === "final");
  const { service, body } = request;
  const hexOf = (frames: readonly Uint8Array[] | undefined) =>
    frames?.map((frame) => Buffer.from(frame).toString("hex"));
  assert.deepEqual(hexOf(encodeToWorker("rfc18", { kind: "heartbeat" })), hexOf(beat));
  const head = { ...request.head, id: reply.id };
  const ordered = encodeToWorker("rfc18", { kind: "request", service, head, body });
  assert.deepEqual(hexOf(ordered), hexOf(order));
  const final = encodeToClient("rfc7", { kind: "final", service, head, body: reply.body });
  assert.deepEqual(hexOf(final), hexOf(answered));
});
