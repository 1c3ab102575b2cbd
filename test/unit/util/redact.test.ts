// What counts as a secret in a line: a table of cases, and one of as many that must stay as they
// are. It must not know who writes lines.
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatCode } from "../../../src/access/access.ts";
import { openLog } from "../../../src/util/log.ts";
import { makeRedactor } from "../../../src/util/redact.ts";
import { newKeyPair } from "../../../src/wire/curve-keys.ts";

const redactor = makeRedactor(["meterKey", "Sim-Puk"]);
const base64url = (text: string) => Buffer.from(text).toString("base64url");
const jwt = [
  base64url('{"alg":"EdDSA","typ":"plant-id+jwt","kid":"k1"}'),
  base64url('{"iss":"hub","sub":"gw-7","hush":1}'),
  "c2lnbmF0dXJlLWh1c2gtaHVzaC1odXNoLWh1c2gtaHVzaC1odXNoLWh1c2gtaHVzaA",
].join(".");
const pem = "-----BEGIN PRIVATE KEY-----\nhushMC4CAQAwBQYDK2VwBCIEIhush\n-----END PRIVATE KEY-----";
const sealedPem =
  "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nhush\n-----END RSA PRIVATE KEY-----";
const code = formatCode(Buffer.from("4fe1093bd98c7a6e5544332211ff00aa", "hex"));
const curve = "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6";

/** Texts, each with the part that must not come through. */
const secretTexts: Readonly<Record<string, readonly [text: string, secret: string]>> = {
  "password=": ["login with password=hunter2 failed", "hunter2"],
  "a prefix": ["DB_PASSWORD=hunter2", "hunter2"],
  "passwd with a colon": ["passwd: hunter2;", "hunter2"],
  passphrase: ["passphrase = 'two words'", "two words"],
  "a token in a query": ["GET /v1?token=abc123&x=1", "abc123"],
  "JSON in a text": ['body {"password":"hunter2","a":1}', "hunter2"],
  "JSON in JSON": ['body "{\\"secret\\":\\"hunter2\\"}"', "hunter2"],
  "an API key": ["x-api-key: k-99-hush", "k-99-hush"],
  "a client secret": ["client_secret=hush", "hush"],
  "a private key by name": ["privateKey: MC4CAQAw", "MC4CAQAw"],
  "a bearer token": ["sent Bearer abc123def456", "abc123def456"],
  "basic credentials": ["Basic YWxhZGRpbjpvcGVuc2VzYW1l", "YWxhZGRp"],
  "an authorization header": ["Authorization: Digest username=x, hush", "username"],
  "a cookie": ["Cookie: sid=hush; theme=dark", "hush"],
  "a cookie that is set": ["set-cookie: sid=hush; Path=/", "hush"],
  "an address with a password": ["mqtts://gw-7:hunter2@hub:8883/x", "hunter2"],
  "an address without a user": ["redis://:hunter2@host/0", "hunter2"],
  "a password with marks": ["http://u:p@ss:w@host/", "p@ss"],
  "a key in PEM": [`read ${pem} from disk`, "hush"],
  "a key in PEM on one line": [`read ${pem.replaceAll("\n", "\\n")}`, "hush"],
  "a sealed key in PEM": [sealedPem, "hush"],
  "a key in PEM without its end": [pem.slice(0, 45), "hush"],
  "an identity token": [`hello ${jwt}!`, "eyJ"],
  "a key in JSON": ['{"kty":"OKP","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}', "nWGx"],
  "an enrolment code": [`plant enroll https://hub ${code}`, code],
  "an enrolment code in small letters": [`code ${code.toLowerCase()}.`, code.toLowerCase()],
  "an enrolment code with spaces": [`code ${code.replaceAll("-", " ")}`, code.slice(5, 9)],
  "an enrolment code without hyphens": [`(${code.replaceAll("-", "")})`, code.slice(0, 4)],
  "a CURVE key": [`key ${curve} was read`, curve],
  "a flag": ["plantd --passphrase hush --json", "hush"],
  "far back in a long text": [`${"x ".repeat(3000)}password=hunter2`, "hunter2"],
};

/** Texts that only look like it. */
const plainTexts: readonly string[] = [
  "The token is not one of ours: it has expired",
  "The token does not hold here and now",
  "5 tokens left, tokens=5",
  "the passphrase is misspelt",
  "a password is needed; password: missing",
  "token: expired",
  "secretary: Anna",
  "tokenCount: 3, maxTokens=9",
  "basic understanding, bearer certificates",
  "Basic authentication failed",
  "authorize: yes, authorized=3",
  "cookies are refused",
  "mqtts://hub.example:8883/path?x=1@home",
  "ipc:///run/plantd/driver/broker.sock",
  "http://user@host:8480/",
  "time 12:30:45, user:pass without an address@host",
  "550e8400-e29b-41d4-a716-446655440000",
  "frame 0103 0000 0002 c40b 0103 0000 0002 c40b",
  "this that with from many very good text",
  "0123-4567-8901-2345-6789-0123-4567",
  "ABCDEFGHIJKLMNOPQRSTUVWXYZAB",
  "epoch 4fe1093bd98c7a6e5544332211ff00aa",
  "commit 3f786850e387550fdab836ed7e6dc881de23001b",
  "/var/lib/plantd/Store2/epoch/abcdefgh123",
  "https://hub.example:443/a?b=1&c=2&d=Z%20",
  "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
  "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----",
  "version eyJ.is.short",
  '{"kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}',
  `the public key ${curve} is listed`,
  "seeded with 42, key voltage, keys: 12",
];

test("there are as many texts that stay as they are as there are secret ones", () => {
  assert.equal(plainTexts.length, Object.keys(secretTexts).length);
});

for (const [name, [text, secret]] of Object.entries(secretTexts)) {
  test(`no secret comes through: ${name}`, () => {
    const clean = redactor.text(text);
    assert.ok(!clean.includes(secret), clean);
    assert.match(clean, /\[redacted\]|…$/);
    assert.equal(redactor.text(clean), clean, "the same again changes nothing");
  });
}

for (const text of plainTexts) {
  test(`stays as it is: ${text.slice(0, 50).replaceAll("\n", " ")}`, () => {
    assert.equal(redactor.text(text), text);
  });
}

const secretFields: readonly Readonly<Record<string, unknown>>[] = [
  ...["password", "db_password", "passPhrase", "clientSecret", "accessToken", "Set-Cookie"].map(
    (name) => ({ [name]: "hush" }),
  ),
  ...["authorization", "x-api-key", "privateKey", "curveSecretKey", "seed", "code_once"].map(
    (name) => ({ [name]: "hush" }),
  ),
  { METERKEY: "hush" },
  { sim_puk: 12345678, note: "hush".slice(0, 0) },
  { password: 12345678 },
  { credentials: { user: "u", word: "hush" } },
  { deep: { deeper: [{ token: "hush" }] } },
  { kty: "OKP", d: "hush", x: "shown" },
  { header: `Bearer ${jwt}` },
  { key: curve },
];

for (const fields of secretFields) {
  test(`no secret field comes through: ${Object.keys(fields).join(", ")}`, () => {
    const text = JSON.stringify(redactor.value(fields));
    assert.doesNotMatch(text, /hush|12345678|eyJ|JTKV/);
    assert.match(text, /\[redacted\]/);
  });
}

const plainFields: readonly Readonly<Record<string, unknown>>[] = [
  { tokenCount: 3, tokens: 5, isTokenValid: true },
  { hasPassword: true, password: null },
  { passphraseFile: "/etc/plantd/key" },
  { publicKey: curve },
  { d: 1, p: 2, q: 3 },
  { kind: "token-less", secretary: "Anna" },
  { code: "BUS_NO_ANSWER", key: "voltage", pass: 3, pin: 17 },
  { kid: "k1", fingerprint: "SHA256:abcd", author: "x" },
  { list: ["a", 1, null, { b: false }] },
  { __proto__: null, own: 1 },
];

for (const fields of plainFields) {
  test(`fields stay as they are, uncopied: ${Object.keys(fields).join(", ")}`, () => {
    assert.equal(redactor.value(fields), fields);
  });
}

test("every new CURVE secret key is found, whatever its digits, or told by its name", () => {
  for (let round = 0; round < 50; round += 1) {
    const { secretKey } = newKeyPair();
    assert.doesNotMatch(
      JSON.stringify(redactor.value({ secretKey })),
      new RegExp(RegExp.escape(secretKey)),
    );
    assert.ok(!redactor.text(`secret-key = "${secretKey}"`).includes(secretKey.slice(0, 20)));
  }
});

test("errors keep message and code, bytes only their number, and what is too deep says so", () => {
  const error = Object.assign(new Error("password=hush"), { code: "X" });
  const deep = JSON.parse(`${"[".repeat(50)}${"]".repeat(50)}`);
  const value = { error, inner: { error }, bytes: Buffer.from("hush"), big: 2n ** 60n, deep };
  const text = JSON.stringify(redactor.value(value));
  assert.doesNotMatch(text, /hush/);
  assert.match(text, /"error":\{"message":"password=\[redacted\]","code":"X"\}/);
  assert.match(text, /\[4 bytes\]/);
  assert.match(text, /"1152921504606846976"/);
  assert.match(text, /too deep/);
  assert.equal(value.error, error, "what was given stays as it is");
});

test("a text of any make costs no more than its length", () => {
  const hostile = [
    "eyJ-",
    "a.",
    "password=",
    "://:",
    'secret="',
    "AAAA-",
    "-----BEGIN PRIVATE KEY-----",
  ];
  for (const piece of hostile) {
    const clean = redactor.text(piece.repeat(200_000 / piece.length));
    assert.ok(clean.length <= 16_384, piece);
  }
});

test("the log of a process writes no secret, in words or fields", () => {
  const lines: string[] = [];
  const write = (line: string) => lines.push(line);
  const log = openLog({ service: "t", level: "info", redactor, write });
  log.within("link").info(`connecting to mqtts://gw:hush@hub`, { list: [{ meterKey: "hush" }] });
  log.error("failed", { error: new Error("token=hush"), url: "http://u:hush@h/" });
  assert.equal(lines.length, 2);
  assert.doesNotMatch(lines.join(""), /hush/);
});
