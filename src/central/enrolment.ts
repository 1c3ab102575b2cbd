// Devices and their one-time codes: who may enrol, how often one may try, what the answer holds.
// It must not know HTTP.
import {
  base64url,
  type Claims,
  codeSecret,
  formatCode,
  issueToken,
  type KeySet,
  makeAnswer,
  type ProvenAnswer,
  readRequest,
  type SignedRequest,
  verifyRequest,
} from "../access/access.ts";
import type { Clock } from "../util/clock.ts";
import { keyId } from "../util/ed25519.ts";
import { hasCode, PlantError } from "../util/errors.ts";
import type { Log } from "../util/log.ts";
import type { Random } from "../util/random.ts";
import { centralName, type KeyRoom } from "./key-room.ts";
import {
  type CodeRow,
  codeChange,
  codeRemoval,
  type DeviceRow,
  deviceChange,
  listCodes,
  listDevices,
  readCode,
  readDevice,
} from "./rows.ts";
import type { Shelf } from "./shelf.ts";

/** Wrong proofs one code endures. */
const triesMax = 5;
/** Devices one embedded store is made for. */
const devicesMax = 10_000;
const hourMs = 3_600_000;
const tokenSeconds = 30 * 86_400;

export interface EnrolmentDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly shelf: Shelf;
  readonly keys: KeyRoom;
  readonly keySet: KeySet;
  /** Id of the centre. */
  readonly centre: string;
  /** Where gateways find MQTT. */
  readonly mqtt: () => string;
  readonly codeHours: number;
  /** Called once a device's key is committed. */
  readonly onEnrolled: (device: string) => void;
}

/** A device to be enrolled; the code is told here and never again. */
export interface DeviceCode {
  readonly device: string;
  readonly code: string;
  /** Milliseconds since 1970 UTC. */
  readonly expiresAt: number;
}

export interface Enrolment {
  /**
   * Makes a device, if it is new, and a code for it; a code it had before ends.
   * @throws PlantError REQUEST_MALFORMED, LIMIT_REACHED.
   */
  createDevice(device: string): Promise<DeviceCode>;
  /**
   * Answers one request. The same request again, as after a lost answer, is answered again.
   * @throws PlantError REQUEST_MALFORMED; ENROL_REFUSED, the same for every reason.
   */
  enrol(body: unknown): Promise<ProvenAnswer>;
  readonly counters: { enrolled: number; refused: number };
}

export function openEnrolment(deps: EnrolmentDeps): Enrolment {
  const counters = { enrolled: 0, refused: 0 };
  const inTurn = oneAtATime();
  return {
    counters,
    createDevice: (device) => inTurn(() => createDevice(deps, device)),
    enrol: (body) =>
      inTurn(async () => {
        try {
          const answer = await enrol(deps, body);
          counters.enrolled += 1;
          return answer;
        } catch (error) {
          if (hasCode(error, "ENROL_REFUSED", "REQUEST_MALFORMED")) counters.refused += 1;
          throw error;
        }
      }),
  };
}

/** Decisions about codes are made on what is committed, so one waits for the other. */
function oneAtATime(): <T>(work: () => Promise<T>) => Promise<T> {
  let before: Promise<unknown> = Promise.resolve();
  return (work) => {
    const next = before.then(work);
    before = next.catch(() => undefined);
    return next;
  };
}

async function createDevice(deps: EnrolmentDeps, device: string): Promise<DeviceCode> {
  const { shelf, clock, random, log } = deps;
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(device) || device === centralName) {
    const reason = `a device is named by 1 to 64 letters, digits, - and _, not "${centralName}"`;
    throw new PlantError("REQUEST_MALFORMED", { reason });
  }
  const known = readDevice(shelf, device);
  if (known === undefined && listDevices(shelf).length >= devicesMax) {
    throw new PlantError("LIMIT_REACHED", { limit: "devices", max: devicesMax });
  }
  const bytes = random.bytes(16);
  const { hint, secret } = codeSecret(bytes);
  const expiresAt = clock.wallMs() + deps.codeHours * hourMs;
  const ended = listCodes(shelf).filter(
    (code) => code.device === device || code.expiresAt <= clock.wallMs(),
  );
  await shelf.commit([
    ...ended.map((code) => codeRemoval(code.hint)),
    deviceChange(known ?? { id: device, createdAt: clock.wallMs() }),
    codeChange({ hint, device, secret: base64url(secret), expiresAt, triesLeft: triesMax }),
  ]);
  log.info("a device may enrol", { device, expiresAt });
  return { device, code: formatCode(bytes), expiresAt };
}

/** One answer for all, so that nobody learns which devices or codes exist. */
function refusal(): PlantError {
  return new PlantError("ENROL_REFUSED", { reason: "no code that holds was shown" });
}

async function enrol(deps: EnrolmentDeps, body: unknown): Promise<ProvenAnswer> {
  const { shelf, clock, log } = deps;
  const { request, signed } = readRequest(body);
  const code = readCode(shelf, request.hint);
  if (code === undefined) {
    log.warn("an enrolment was refused", { code: "ENROL_REFUSED", why: "no such code" });
    throw refusal();
  }
  const { device } = code;
  const refuse = (why: string) => {
    log.warn("an enrolment was refused", { code: "ENROL_REFUSED", device, why });
    return refusal();
  };
  if (code.expiresAt <= clock.wallMs()) {
    await shelf.commit([codeRemoval(code.hint)]);
    throw refuse("the code has expired");
  }
  if (code.triesLeft <= 0) throw refuse("too many tries");
  const publicKey = await proveRequest(deps, signed, code, refuse);
  const kid = keyId(publicKey);
  if (code.usedBy !== undefined && code.usedBy !== kid) throw refuse("the code was used");
  const known = readDevice(shelf, device);
  if (known === undefined) throw refuse("its device is gone");
  const answer = await composeAnswer(deps, device, publicKey);
  await shelf.commit([
    deviceChange(withKey(known, { kid, publicKey: base64url(publicKey) }, clock.wallMs())),
    codeChange({ ...code, usedBy: kid }),
  ]);
  deps.onEnrolled(device);
  log.info("a device has enrolled", { device, kid, version: request.version });
  return makeAnswer(answer, signed, secretOf(code));
}

function secretOf(code: CodeRow) {
  return { hint: code.hint, secret: new Uint8Array(Buffer.from(code.secret, "base64url")) };
}

/** The key that proved itself; a wrong proof costs one try. */
async function proveRequest(
  deps: EnrolmentDeps,
  signed: SignedRequest,
  code: CodeRow,
  refuse: (why: string) => PlantError,
): Promise<Uint8Array> {
  try {
    return verifyRequest(signed, secretOf(code));
  } catch (error) {
    if (!hasCode(error, "ENROL_REFUSED")) throw error;
    const triesLeft = code.triesLeft - 1;
    await deps.shelf.commit([codeChange({ ...code, triesLeft })]);
    throw refuse("the proof is wrong");
  }
}

function withKey(row: DeviceRow, key: { kid: string; publicKey: string }, now: number): DeviceRow {
  if (row.kid === key.kid) return { ...row, ...key };
  const { kid, publicKey, formerKeys = [] } = row;
  const former = kid === undefined || publicKey === undefined ? [] : [{ kid, publicKey }];
  return { ...row, ...key, enrolledAt: now, formerKeys: [...formerKeys, ...former] };
}

async function composeAnswer(deps: EnrolmentDeps, device: string, publicKey: Uint8Array) {
  const { keys, keySet, centre, random, clock } = deps;
  const now = Math.floor(clock.wallMs() / 1000);
  const claims: Claims = {
    iss: centre,
    sub: device,
    aud: centre,
    iat: now,
    nbf: now,
    exp: now + tokenSeconds,
    jti: base64url(random.bytes(16)),
    ver: 1,
    kind: "device",
    epoch: 0,
    cnf: { jkt: keyId(publicKey) },
    rol: [],
    acl: [
      { permission: "allow", action: "publish", topic: `plantd/v1/${device}/up/#` },
      { permission: "allow", action: "subscribe", topic: `plantd/v1/${device}/down/#` },
    ],
  };
  return {
    v: 1 as const,
    device,
    centre,
    token: issueToken(claims, keys.signing),
    clientCert: await keys.certifyDevice(device, publicKey),
    ca: keys.authority,
    root: base64url(keys.root.publicKey),
    keySet: keySet.text,
    endpoints: { mqtt: deps.mqtt() },
  };
}
