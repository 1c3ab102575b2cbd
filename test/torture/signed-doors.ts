// Doors behind a signature or a proof: what was damaged is signed again, as only the owner of the
// key could, so that the inside is tried too. It must not know how inputs are damaged.
import * as access from "../../src/access/access.ts";
import {
  type Body,
  decodeBatch,
  decodeBody,
  type EnvelopeHeader,
  encodeBatch,
  encodeBody,
  open,
  parseTopic,
  peekHeader,
  seal,
} from "../../src/batch/batch.ts";
import { listValues } from "../../src/central/fleet.ts";
import { isoTime } from "../../src/util/clock.ts";
import { keyId, publicKeyFrom, sign, signingKeyFromSeed } from "../../src/util/ed25519.ts";
import { defineRecord, epochId, fakeGateway, pointRecord } from "../fakes/gateway.ts";
import { fields, kid, records, key as senderKey } from "../unit/batch/samples.ts";
import { greet, openBench } from "../unit/central/bench.ts";
import type { Door } from "./fuzz.ts";
import type { Input } from "./mutation.ts";

const text = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString();
const bytes = (words: string) => Buffer.from(words);
const json = (value: unknown): Input => [bytes(JSON.stringify(value))];
const base = (raw: Uint8Array) => Buffer.from(raw).toString("base64url");

const senderPublic = publicKeyFrom(senderKey.publicKey);
const lookup = (header: EnvelopeHeader) => (header.kid === kid ? senderPublic : undefined);
const body = encodeBatch(records);
const sealed = seal(fields, body, { key: senderKey, kid });
const packed = seal(fields, Buffer.alloc(5000, 65), { key: senderKey, kid });
const magic = bytes("PB1");
const domain = bytes("plantd-envelope-v1\0");

/** An envelope around any bytes as header and body, with a signature that holds. */
function sealRaw(header: Uint8Array, content: Uint8Array): Uint8Array {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(header.length);
  const signature = sign(senderKey, Buffer.concat([domain, length, header, content]));
  return Buffer.concat([magic, length, header, signature, content]);
}

/** Header text and body of an envelope. */
function partsOf(envelope: Uint8Array): Input {
  const whole = Buffer.from(envelope);
  const length = whole.readUInt32BE(magic.length);
  const from = magic.length + 4;
  return [whole.subarray(from, from + length), whole.subarray(from + length + 64)];
}

const [epochA, epochB] = [epochId("a"), epochId("b")];
const at = { centre: "c", epoch: epochA, stream: "state", serverTime: 5 } as const;
const lineage = [
  { epoch: epochA, parent: null, cuts: {} },
  { epoch: epochB, parent: epochA, cuts: { state: 5 } },
];
const time = { wall: 1_700_000_000_000, boot: "b".repeat(32), mono: 1, sync: "ntp" } as const;
const bodies = {
  hello: {
    version: "1",
    lineage,
    streams: { state: { first: 1, last: 9, watermark: 4 } },
    generation: 3,
    keySet: 1,
  },
  welcome: {
    centre: "c",
    generations: { [epochA]: 1, [epochB]: 2 },
    positions: { [epochA]: { state: 5, event: 1 } },
    serverTime: 5,
  },
  ack: { ...at, sequence: 7 },
  want: { ...at, sequence: 7, base: true },
  refuse: { ...at, first: 7, last: 9, code: "BATCH_MALFORMED" },
  live: {
    counter: 1,
    points: [{ scope: "s", key: "k", value: 1, quality: "good", time }],
  },
  on: { status: "up", boot: "b".repeat(32) },
} satisfies { [T in Parameters<typeof decodeBody>[0]]: Body<T> };

function envelopeDoors(): Door[] {
  const controls = Object.keys(bodies) as (keyof typeof bodies)[];
  const { header } = open(sealed, lookup);
  return [
    { name: "envelope header", shape: "bytes", samples: [[sealed]], enter: ([b]) => peek(b) },
    {
      name: "envelope",
      weight: 0.5,
      shape: "bytes",
      samples: [[sealed], [packed]],
      enter: ([envelope = new Uint8Array()]) => open(envelope, lookup),
    },
    {
      name: "envelope, signed again",
      weight: 0.5,
      shape: "json",
      samples: [partsOf(sealed), partsOf(packed)],
      enter: ([top = magic, content = magic]) => open(sealRaw(top, content), lookup),
    },
    {
      name: "batch",
      weight: 4,
      shape: "bytes",
      samples: [[body]],
      enter: ([b = magic]) => decodeBatch(b, { first: 10, last: 32 }, 100),
    },
    ...controls.map(
      (type): Door => ({
        name: `message ${type}`,
        weight: 0.3,
        shape: "json",
        samples: [[encodeBody(type, bodies[type])]],
        enter: ([b = magic]) => decodeBody(type, { header: { ...header, type }, body: b }),
      }),
    ),
    {
      name: "topic",
      weight: 0.3,
      shape: "text",
      samples: [[bytes("plantd/v1/gw-1/up/s/state")]],
      enter: ([b]) => parseTopic(text(b)),
    },
  ];
}

function peek(envelope: Uint8Array | undefined): unknown {
  return peekHeader(envelope ?? new Uint8Array());
}

/** The same with the body as it is when expanded. */
function plainPartsOf(envelope: Uint8Array): Input {
  const { header, body: expanded } = open(envelope, lookup);
  return [bytes(JSON.stringify({ ...header, codec: "none" })), expanded];
}

/** The centre's rules behind a gateway that signs nonsense. */
function ingestDoor(): Door {
  const gateway = fakeGateway("gw-1", senderKey);
  const fresh = () => {
    const bench = openBench();
    bench.enrol(gateway);
    return bench;
  };
  greet(fresh(), gateway, lineage);
  const hello = gateway.hello(lineage);
  const batch = gateway.batch({ epoch: epochA, head: epochB }, [
    defineRecord(1, 0, "level"),
    pointRecord(2, 0, 5),
  ]);
  const points = [{ ...bodies.live.points[0], scope: "device/pump", key: "level", value: 6 }];
  const live = gateway.seal(
    { type: "live", epoch: epochA, head: 9 },
    encodeBody("live", { counter: 1, points } as Body<"live">),
  );
  let bench = fresh();
  let left = 0;
  return {
    name: "ingest, signed again",
    weight: 0.3,
    shape: "json",
    samples: [hello, batch, live].map(({ topic, payload }) => [
      bytes(topic),
      ...plainPartsOf(payload),
    ]),
    enter([topic, top = magic, content = magic]) {
      if (left === 0) {
        bench = fresh();
        greet(bench, gateway, lineage);
        bench.feed(batch);
        left = 30;
      }
      left -= 1;
      bench.state.presence.clear();
      bench.feed({ topic: text(topic), payload: sealRaw(top, content) });
      // What was taken can be shown: the page writes times out.
      return listValues(bench.state, gateway.id).map(({ time }) => isoTime(time.wall));
    },
  };
}

const root = signingKeyFromSeed(new Uint8Array(32).fill(3));
const device = signingKeyFromSeed(new Uint8Array(32).fill(2));
const code = access.codeSecret(new Uint8Array(16).fill(5));
const keySet = access.issueKeySet(
  {
    v: 1,
    version: 3,
    centre: "centre-1",
    issued: 1_700_000_000_000,
    keys: [{ key: base(device.publicKey), uses: ["message", "token"] }],
    revoked: ["x"],
  },
  root,
);
const now = 1_800_000_000;
const rootId = keyId(root.publicKey);
const token = access.issueToken(
  {
    ...{ iss: "centre-1", sub: "gw-1", aud: "plantd", iat: now, nbf: now, exp: now + 86_400 },
    ...{ jti: "A".repeat(22), ver: 1, kind: "device", epoch: 0, cnf: { jkt: rootId } },
    ...{ rol: ["device"], acl: [{ permission: "allow", action: "all", topic: "a/#" }] },
  },
  root,
);
const tokenParts = token.split(".").map((part) => Buffer.from(part, "base64url"));
const rootPublic = publicKeyFrom(root.publicKey);
const expected = {
  keyOf: (id: string) => (id === rootId ? rootPublic : undefined),
  audience: "plantd",
  now,
};
const request = access.makeRequest(
  { serial: "SN-1", version: "0.1.0", nonce: new Uint8Array(16).fill(9) },
  device,
  code,
);
const answer = access.makeAnswer(
  {
    ...{ v: 1, device: "gw-1", centre: "centre-1", token, clientCert: "", ca: "" },
    ...{ root: base(root.publicKey), keySet: keySet.text, endpoints: { mqtt: "mqtt://h:1" } },
  },
  request,
  code,
);

/** JSON of an input as a service has it; what is no JSON never gets as far. */
function parsed(input: Uint8Array | undefined): unknown {
  try {
    return JSON.parse(text(input));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function identityDoors(): Door[] {
  const keySetDomain = bytes("plantd-keyset-v1\0");
  return [
    {
      name: "key set",
      weight: 0.5,
      shape: "json",
      samples: [[bytes(keySet.text)]],
      enter: ([b]) => access.openKeySet(text(b), root.publicKey, 1),
    },
    {
      name: "key set, signed again",
      weight: 0.5,
      shape: "json",
      samples: [json(keySet.content)],
      enter([payload = magic]) {
        const signature = base(sign(root, Buffer.concat([keySetDomain, payload])));
        const document = JSON.stringify({ payload: base(payload), signature });
        return access.openKeySet(document, root.publicKey, 1);
      },
    },
    {
      name: "token",
      weight: 0.5,
      shape: "text",
      samples: [[bytes(token)]],
      enter: ([b]) => access.verifyToken(text(b), expected),
    },
    {
      name: "token, signed again",
      weight: 0.5,
      shape: "json",
      samples: [tokenParts.slice(0, 2)],
      enter([top = magic, claims = magic]) {
        const signed = `${base(top)}.${base(claims)}`;
        return access.verifyToken(`${signed}.${base(sign(root, bytes(signed)))}`, expected);
      },
    },
    {
      name: "enrolment request",
      weight: 0.5,
      shape: "json",
      samples: [json(request)],
      enter([b]) {
        const { signed } = access.readRequest(parsed(b));
        return access.verifyRequest(signed, code);
      },
    },
    {
      name: "enrolment request, its inside",
      weight: 0.5,
      shape: "json",
      samples: [[Buffer.from(request.payload, "base64url")]],
      enter: ([payload = magic]) => access.readRequest({ ...request, payload: base(payload) }),
    },
    {
      name: "enrolment answer",
      weight: 0.5,
      shape: "json",
      samples: [json(answer)],
      enter: ([b]) => access.openAnswer(parsed(b), request, code),
    },
    {
      name: "enrolment code",
      weight: 0.5,
      shape: "text",
      samples: [[bytes(access.formatCode(new Uint8Array(16).fill(5)))]],
      enter: ([b]) => access.parseCode(text(b)),
    },
  ];
}

/** All doors of this file. */
export function signedDoors(): Door[] {
  return [...envelopeDoors(), ingestDoor(), ...identityDoors()];
}
