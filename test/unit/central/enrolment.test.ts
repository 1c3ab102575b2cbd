// Enrolment by one-time code, and the doors of the web application.
// It must not know sockets.
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import {
  codeSecret,
  formatCode,
  issueKeySet,
  makeRequest,
  openAnswer,
  openKeySet,
  parseCode,
  verifyToken,
} from "../../../src/access/access.ts";
import { readCertificate } from "../../../src/central/authority.ts";
import { type Enrolment, openEnrolment } from "../../../src/central/enrolment.ts";
import { createFacade } from "../../../src/central/facade.ts";
import { type KeyRoom, openKeyRoom } from "../../../src/central/key-room.ts";
import { pagePolicy } from "../../../src/central/page.ts";
import { createWeb, type Fetch } from "../../../src/central/web.ts";
import { generateSigningKey, keyId, publicKeyFrom } from "../../../src/util/ed25519.ts";
import { openLog } from "../../../src/util/log.ts";
import { seededRandom, systemRandom } from "../../../src/util/random.ts";
import { type FakeClock, fakeClock } from "../../fakes/clock.ts";
import { defineRecord, epochId, fakeGateway, pointRecord } from "../../fakes/gateway.ts";
import { type FakeShelf, fakeShelf } from "../../fakes/shelf.ts";
import { type Bench, greet, openBench } from "./bench.ts";

let folder: string;
let keys: KeyRoom;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), "pc-"));
  keys = await openKeyRoom({ clock: fakeClock(), random: systemRandom, folder }, ["hub.example"]);
});
after(() => rmSync(folder, { recursive: true, force: true }));

interface Desk {
  readonly clock: FakeClock;
  readonly shelf: FakeShelf;
  readonly bench: Bench;
  readonly enrolment: Enrolment;
  readonly web: Fetch;
  readonly lines: string[];
  readonly enrolled: string[];
  readonly announced: string[];
}

function openDesk(): Desk {
  const clock = fakeClock();
  const shelf = fakeShelf();
  const bench = openBench(shelf);
  const lines: string[] = [];
  const enrolled: string[] = [];
  const announced: string[] = [];
  const log = openLog({ service: "test", level: "debug", write: (line) => lines.push(line) });
  const key = Buffer.from(keys.signing.publicKey).toString("base64url");
  const keySet = issueKeySet(
    {
      v: 1,
      version: 1,
      centre: "c",
      issued: 0,
      keys: [{ key, uses: ["message", "token"] }],
      revoked: [],
    },
    keys.root,
  );
  const enrolment = openEnrolment({
    clock,
    random: seededRandom(1),
    log,
    shelf,
    keys,
    keySet,
    centre: "c",
    mqtt: () => "mqtts://hub.example:8883",
    codeHours: 72,
    onEnrolled: (device) => {
      enrolled.push(device);
      bench.state.devices.delete(device);
    },
  });
  const facade = createFacade({
    clock,
    state: bench.state,
    enrolment,
    intake: { counters: { commits: 0, commitsFailed: 0, answersLost: 0, defects: 0 } },
    keySet,
    version: "1.2.3",
    link: () => ({ status: "up", window: 8 }),
    dropped: () => 0,
    disk: () => noDisk,
    announce: () => announced.push("announced"),
    onChange: () => () => {},
  });
  const { adminToken } = keys;
  const hosts = new Set(["centre.example"]);
  const web = createWeb({ clock, log, facade, adminToken, hosts, pagePolicy });
  return { clock, shelf, bench, enrolment, web, lines, enrolled, announced };
}

const noDisk = {
  commits: 0,
  bytesPut: 0,
  fileBytes: 0,
  liveBytes: 0,
  roomBytes: 1,
  usedBytes: 0,
  mapBytes: 1,
  readers: 0,
  flushes: 0,
  deviceBytes: 0,
};
const nonce = new Uint8Array(16);
function request(code: string, key = generateSigningKey()) {
  const secret = codeSecret(parseCode(code));
  return { secret, key, signed: makeRequest({ serial: "s", version: "1", nonce }, key, secret) };
}

test("a code enrols a device once: certificate, token, key set, root and address", async () => {
  const { enrolment, enrolled, clock } = openDesk();
  const { code } = await enrolment.createDevice("gw-1");
  const { signed, secret, key } = request(code);
  const answer = openAnswer(await enrolment.enrol(signed), signed, secret);
  assert.deepEqual(enrolled, ["gw-1"]);
  assert.equal(answer.device, "gw-1");
  assert.equal(answer.endpoints.mqtt, "mqtts://hub.example:8883");
  assert.deepEqual(readCertificate(answer.clientCert).publicKey, new Uint8Array(key.publicKey));
  const root = new Uint8Array(Buffer.from(answer.root, "base64url"));
  const keySet = openKeySet(answer.keySet, root, 1);
  const claims = verifyToken(answer.token, {
    keyOf: (kid) => keySet.keyOf(kid, "token"),
    audience: "c",
    now: Math.floor(clock.wallMs() / 1000),
  });
  assert.equal(claims.sub, "gw-1");
  assert.equal(claims.cnf.jkt, keyId(key.publicKey));
});

test("the same key may ask again, as after a lost answer; another key may not", async () => {
  const { enrolment } = openDesk();
  const { code } = await enrolment.createDevice("gw-1");
  const { signed, secret, key } = request(code);
  await enrolment.enrol(signed);
  const again = request(code, key);
  assert.equal(
    openAnswer(await enrolment.enrol(again.signed), again.signed, secret).device,
    "gw-1",
  );
  await assert.rejects(enrolment.enrol(request(code).signed), { code: "ENROL_REFUSED" });
});

const refused: Record<string, (desk: Desk, code: string) => Promise<unknown> | unknown> = {
  "a code nobody made": () => request(formatCode(new Uint8Array(16))).signed,
  "an expired code": async ({ clock }, code) => {
    await clock.advance(72 * 3_600_000);
    return request(code).signed;
  },
  "a code that was replaced": async ({ enrolment }, code) => {
    await enrolment.createDevice("gw-1");
    return request(code).signed;
  },
  "a proof under another code's secret": (_, code) => {
    const { signed } = request(code);
    return { ...signed, proof: Buffer.alloc(32, 1).toString("base64url") };
  },
  "a signature by another key": (_, code) => ({
    ...request(code).signed,
    signature: request(code).signed.signature,
  }),
  "a code tried five times": async ({ enrolment }, code) => {
    const { signed } = request(code);
    const wrong = { ...signed, proof: Buffer.alloc(32, 1).toString("base64url") };
    for (let at = 0; at < 5; at += 1) await assert.rejects(enrolment.enrol(wrong));
    return signed;
  },
};
for (const [name, prepare] of Object.entries(refused)) {
  test(`${name} is refused with the one answer for all, and counted`, async () => {
    const desk = openDesk();
    const { code } = await desk.enrolment.createDevice("gw-1");
    const body = await prepare(desk, code);
    const before = desk.enrolment.counters.refused;
    await assert.rejects(desk.enrolment.enrol(body), {
      code: "ENROL_REFUSED",
      detail: { reason: "no code that holds was shown" },
    });
    assert.equal(desk.enrolment.counters.refused, before + 1);
    assert.deepEqual(desk.enrolled, []);
  });
}

test("four wrong tries leave the code good", async () => {
  const { enrolment } = openDesk();
  const { code } = await enrolment.createDevice("gw-1");
  const { signed, secret } = request(code);
  const wrong = { ...signed, proof: Buffer.alloc(32, 1).toString("base64url") };
  for (let at = 0; at < 4; at += 1) await assert.rejects(enrolment.enrol(wrong));
  assert.equal(openAnswer(await enrolment.enrol(signed), signed, secret).device, "gw-1");
});

test("ten guesses at once count as ten", async () => {
  const { enrolment } = openDesk();
  const { code } = await enrolment.createDevice("gw-1");
  const { signed } = request(code);
  const wrong = { ...signed, proof: Buffer.alloc(32, 1).toString("base64url") };
  await Promise.allSettled(Array.from({ length: 10 }, () => enrolment.enrol(wrong)));
  await assert.rejects(enrolment.enrol(signed), { code: "ENROL_REFUSED" });
});

test("two devices asking with one code at once: one gets in", async () => {
  const { enrolment, enrolled } = openDesk();
  const { code } = await enrolment.createDevice("gw-1");
  const both = [request(code), request(code)].map(({ signed }) => enrolment.enrol(signed));
  const outcomes = (await Promise.allSettled(both)).map(({ status }) => status);
  assert.deepEqual(outcomes.sort(), ["fulfilled", "rejected"]);
  assert.equal(enrolled.length, 1);
});

test("neither the log nor the store holds a code, a secret or a token", async () => {
  const { enrolment, lines, shelf } = openDesk();
  const { code } = await enrolment.createDevice("gw-1");
  const { signed, secret } = request(code);
  const { token } = openAnswer(await enrolment.enrol(signed), signed, secret);
  await assert.rejects(enrolment.enrol(request(code).signed));
  const all = lines.join("\n");
  const hidden = [code, code.replaceAll("-", ""), token, signed.proof];
  hidden.push(Buffer.from(secret.secret).toString("base64url"));
  assert.ok(lines.length >= 3);
  for (const word of hidden) assert.equal(all.includes(word), false);
  const rows = [...shelf.rows.values()].map((value) => Buffer.from(value).toString()).join("\n");
  for (const word of [code, code.replaceAll("-", ""), token]) {
    assert.equal(rows.includes(word), false);
  }
});

test("a device that enrols anew keeps its former key for reading its history", async () => {
  const { enrolment, bench, web } = openDesk();
  const gateway = fakeGateway("gw-1");
  const first = await enrolment.createDevice("gw-1");
  await enrolment.enrol(request(first.code, gateway.key).signed);
  greet(bench, gateway, [{ epoch: epochId("a"), parent: null, cuts: {} }]);
  bench.feed(
    gateway.batch({ epoch: epochId("a") }, [defineRecord(1, 0, "x"), pointRecord(2, 0, 1)]),
  );
  const second = await enrolment.createDevice("gw-1");
  await enrolment.enrol(request(second.code).signed);
  assert.deepEqual(
    bench.feed(gateway.hello([{ epoch: epochId("a"), parent: null, cuts: {} }])),
    [],
  );
  assert.equal(bench.state.counters.messages_forged, 1);
  const history = await (await ask(web, { path: "/api/v1/devices/gw-1/history" })).json();
  assert.partialDeepStrictEqual(history, { records: [{ sequence: 1 }, { sequence: 2, value: 1 }] });
});

for (const name of ["", "a/b", "a b", "+", "central", "x".repeat(65), "ü"]) {
  test(`no device is named "${name.slice(0, 10)}"`, async () => {
    const { enrolment } = openDesk();
    await assert.rejects(enrolment.createDevice(name), { code: "REQUEST_MALFORMED" });
  });
}

test("all files of the centre are their owner's alone", () => {
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    assert.equal(statSync(join(entry.parentPath, entry.name)).mode & 0o777, 0o600, entry.name);
  }
  assert.equal(readFileSync(join(folder, "admin-token"), "utf8").trim(), keys.adminToken);
});

test("a second start finds the same keys and certificates", async () => {
  const again = await openKeyRoom({ clock: fakeClock(), random: systemRandom, folder }, [
    "hub.example",
  ]);
  assert.equal(again.authority, keys.authority);
  assert.equal(again.client.certificate, keys.client.certificate);
  assert.deepEqual(again.mosquitto, keys.mosquitto);
  assert.deepEqual(again.signing.publicKey, keys.signing.publicKey);
  assert.equal(publicKeyFrom(again.root.publicKey).asymmetricKeyType, "ed25519");
});

const base = "http://centre.example:8490";
type Ask = { path: string; method?: string; headers?: Record<string, string>; body?: string };
function ask(web: Fetch, { path, ...init }: Ask): Response | Promise<Response> {
  const headers = { host: "centre.example:8490", ...init.headers };
  return web(new Request(`${base}${path}`, { ...init, headers }));
}

const wrong: Record<string, { ask: Ask; status: number; code: string }> = {
  "another host": {
    ask: { path: "/", headers: { host: "evil.example" } },
    status: 421,
    code: "DENIED",
  },
  "a path that is none": { ask: { path: "/nothing" }, status: 404, code: "OPERATION_UNKNOWN" },
  "an unknown gateway": {
    ask: { path: "/api/v1/devices/gw-9/values" },
    status: 404,
    code: "GATEWAY_UNKNOWN",
  },
  "the page of an unknown gateway": {
    ask: { path: "/device/gw-9" },
    status: 404,
    code: "GATEWAY_UNKNOWN",
  },
  "a limit of 0": {
    ask: { path: "/api/v1/devices/gw-1/history?limit=0" },
    status: 400,
    code: "REQUEST_MALFORMED",
  },
  "a stream that is none": {
    ask: { path: "/api/v1/devices/gw-1/history?stream=x" },
    status: 400,
    code: "REQUEST_MALFORMED",
  },
  "creating without a token": {
    ask: { path: "/api/v1/devices", method: "POST", body: '{"id":"x"}' },
    status: 401,
    code: "NOT_ALLOWED",
  },
  "creating with another token": {
    ask: {
      path: "/api/v1/devices",
      method: "POST",
      body: '{"id":"x"}',
      headers: { authorization: `Bearer ${"A".repeat(43)}` },
    },
    status: 401,
    code: "NOT_ALLOWED",
  },
  "an enrolment that is no JSON": {
    ask: { path: "/api/v1/enrol", method: "POST", body: "{" },
    status: 400,
    code: "REQUEST_MALFORMED",
  },
  "an enrolment of another shape": {
    ask: { path: "/api/v1/enrol", method: "POST", body: '{"payload":1}' },
    status: 400,
    code: "REQUEST_MALFORMED",
  },
  "a body beyond its bound": {
    ask: { path: "/api/v1/enrol", method: "POST", body: "x".repeat(20_000) },
    status: 413,
    code: "MESSAGE_TOO_LARGE",
  },
};
for (const [name, row] of Object.entries(wrong)) {
  test(`${name} is answered with ${row.status} ${row.code}`, async () => {
    const { web, enrolment } = openDesk();
    await enrolment.createDevice("gw-1");
    const answer = await ask(web, row.ask);
    assert.equal(answer.status, row.status);
    const { error } = (await answer.json()) as { error: { code: string } };
    assert.equal(error.code, row.code);
  });
}

test("with the admin token a device is made, and its code enrols over the web", async () => {
  const { web, announced } = openDesk();
  const headers = { authorization: `Bearer ${keys.adminToken}` };
  const made = await ask(web, {
    path: "/api/v1/devices",
    method: "POST",
    body: '{"id":"gw-1"}',
    headers,
  });
  assert.equal(made.status, 201);
  assert.equal(announced.length, 1, "open pages hear of it");
  const { code } = (await made.json()) as { code: string };
  const { signed, secret } = request(code);
  const body = JSON.stringify(signed);
  const answer = await ask(web, { path: "/api/v1/enrol", method: "POST", body });
  assert.equal(openAnswer(await answer.json(), signed, secret).device, "gw-1");
});

test("page and API show a gateway's values, with names that are markup as text", async () => {
  const { web, enrolment, bench } = openDesk();
  const gateway = fakeGateway("gw-1");
  const { code } = await enrolment.createDevice("gw-1");
  await enrolment.enrol(request(code, gateway.key).signed);
  const epoch = epochId("a");
  greet(bench, gateway, [{ epoch, parent: null, cuts: {} }]);
  const records = [defineRecord(1, 0, "<b>level"), pointRecord(2, 0, "<script>alert(1)</script>")];
  bench.feed(gateway.batch({ epoch }, records));
  for (const path of ["/", "/device/gw-1"]) {
    const page = await (await ask(web, { path })).text();
    assert.ok(page.includes("&lt;b&gt;level"));
    assert.ok(page.includes("&lt;script&gt;alert"));
    assert.equal(page.includes("<b>level"), false);
    assert.equal(/\b(src|href)="https?:/.test(page), false, "no address outside");
  }
  const values = await (await ask(web, { path: "/api/v1/devices/gw-1/values" })).json();
  assert.partialDeepStrictEqual(values, { values: [{ key: "<b>level", sequence: 2, epoch }] });
  const path = "/api/v1/devices/gw-1/history?scope=device%2Fpump&key=%3Cb%3Elevel";
  assert.partialDeepStrictEqual(await (await ask(web, { path })).json(), {
    records: [{ epoch, sequence: 2, quality: "good", isOrphan: false }],
  });
  const metrics = await (await ask(web, { path: "/metrics" })).text();
  assert.match(metrics, /^plantd_central_records_applied_total 2$/m);
  assert.equal((await ask(web, { path: "/readyz" })).status, 200);
});

test("pages that watch are limited, and one that leaves makes room", async () => {
  const { web } = openDesk();
  const open: Response[] = [];
  for (let at = 0; at < 32; at += 1) open.push(await ask(web, { path: "/events" }));
  assert.ok(open.every(({ status }) => status === 200));
  assert.equal((await ask(web, { path: "/events" })).status, 429);
  await open[0]?.body?.cancel();
  const next = await ask(web, { path: "/events" });
  assert.equal(next.status, 200);
  for (const { body } of [...open.slice(1), next]) await body?.cancel();
});

test("the page loads nothing but itself", async () => {
  const { web } = openDesk();
  const answer = await ask(web, { path: "/" });
  const policy = answer.headers.get("content-security-policy") ?? "";
  assert.match(policy, /^default-src 'none'; style-src 'sha256-.+'; script-src 'sha256-.+'/);
  assert.equal(policy.includes("unsafe"), false);
});
