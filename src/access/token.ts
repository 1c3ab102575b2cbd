// Identity tokens `plant-id+jwt`, version 1: JWS compact with Ed25519, one exact profile.
// It must not know where keys and clocks come from.
import type { KeyObject } from "node:crypto";
import { keyId, type SigningKey, sign, verify } from "../util/ed25519.ts";
import { PlantError } from "../util/errors.ts";
import { inspect, v } from "../util/shape.ts";
import { base64url, bytesOf, strictJson } from "./spelling.ts";

const tokenBytesMax = 2048;
const daySeconds = 86_400;
/** Longest lives by kind, in seconds. */
const livesMax = { device: 30 * daySeconds, service: daySeconds, user: daySeconds / 2 } as const;
/** Clocks may differ by this much, in seconds. */
const leewaySeconds = 60;

const text = (max: number) => v.pipe(v.string(), v.minLength(1), v.maxLength(max));
const seconds = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(2 ** 40));

const claimsSchema = v.strictObject({
  iss: text(256),
  sub: v.pipe(v.string(), v.regex(/^[A-Za-z0-9_.@-]{1,64}$/)),
  aud: text(256),
  iat: seconds,
  nbf: seconds,
  exp: seconds,
  jti: v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{16,64}$/)),
  ver: v.literal(1),
  kind: v.picklist(["device", "service", "user"]),
  epoch: v.pipe(v.number(), v.integer(), v.minValue(0)),
  cnf: v.strictObject({ jkt: v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{43}$/)) }),
  rol: v.pipe(v.array(text(64)), v.maxLength(16)),
  acl: v.pipe(
    v.array(
      v.strictObject({
        permission: v.picklist(["allow", "deny"]),
        action: v.picklist(["publish", "subscribe", "all"]),
        topic: text(256),
      }),
    ),
    v.maxLength(16),
  ),
  site: v.optional(text(128)),
});

/**
 * What a token says: issuer, subject, one audience, times in seconds since 1970, token id, kind of
 * holder, epoch of the holder's rights, thumbprint of the holder's key, roles, MQTT rights, site.
 */
export type Claims = v.InferOutput<typeof claimsSchema>;

/** What a verifier expects of a token. */
export interface TokenExpectation {
  /** The key of an identifier; only keys of a pinned set, by exact name. */
  readonly keyOf: (kid: string) => KeyObject | undefined;
  readonly audience: string;
  readonly issuer?: string;
  /** Now, in seconds since 1970. */
  readonly now: number;
}

function headText(kid: string): string {
  return `{"alg":"EdDSA","typ":"plant-id+jwt","kid":"${kid}"}`;
}

/**
 * Issues a token.
 * @throws PlantError TOKEN_MALFORMED for claims a verifier would refuse.
 */
export function issueToken(claims: Claims, key: SigningKey): string {
  const flaw = claimsFlaw(claims);
  if (flaw !== undefined) throw malformed(flaw);
  const head = base64url(Buffer.from(headText(keyId(key.publicKey))));
  const signed = `${head}.${base64url(Buffer.from(JSON.stringify(claims)))}`;
  const token = `${signed}.${base64url(sign(key, Buffer.from(signed)))}`;
  if (token.length > tokenBytesMax) throw malformed("it is too long");
  return token;
}

/**
 * The claims of a token that holds.
 * @throws PlantError TOKEN_MALFORMED, TOKEN_FORGED, TOKEN_NOT_VALID.
 */
export function verifyToken(token: string, expected: TokenExpectation): Claims {
  if (token.length > tokenBytesMax) throw malformed("it is too long");
  const parts = token.split(".");
  const [head = "", body = "", tail = ""] = parts;
  if (parts.length !== 3) throw malformed("it has not three parts");
  const [headBytes, bodyBytes, signature] = [bytesOf(head), bytesOf(body), bytesOf(tail)];
  if (headBytes === undefined || bodyBytes === undefined || signature === undefined) {
    throw malformed("it is not canonical base64url");
  }
  const kid = /"kid":"([A-Za-z0-9_-]{43})"}$/.exec(Buffer.from(headBytes).toString("latin1"))?.[1];
  if (kid === undefined || !Buffer.from(headText(kid)).equals(headBytes)) {
    throw malformed("its header is another");
  }
  const key = expected.keyOf(kid);
  if (key === undefined) throw new PlantError("TOKEN_FORGED", { kid });
  if (!verify(key, Buffer.from(`${head}.${body}`), signature)) {
    throw new PlantError("TOKEN_FORGED", { kid });
  }
  const raw = strictJson(bodyBytes);
  const flaw = claimsFlaw(raw);
  if (flaw !== undefined) throw malformed(flaw);
  const claims = raw as Claims;
  const reason = reasonNotValid(claims, expected);
  if (reason !== undefined) throw new PlantError("TOKEN_NOT_VALID", { reason, sub: claims.sub });
  return claims;
}

function malformed(reason: string): PlantError {
  return new PlantError("TOKEN_MALFORMED", { reason });
}

function claimsFlaw(raw: unknown): string | undefined {
  const checked = inspect(claimsSchema, raw);
  if (!checked.ok) return `claim ${checked.flaws[0]?.path.join(".") || "set"} is wrong`;
  const { iat, nbf, exp, kind } = checked.value;
  if (exp <= nbf || nbf < iat - leewaySeconds) return "its times contradict each other";
  return exp - Math.min(iat, nbf) > livesMax[kind] + leewaySeconds
    ? "it lives longer than its kind may"
    : undefined;
}

function reasonNotValid(claims: Claims, expected: TokenExpectation): string | undefined {
  const { audience, issuer, now } = expected;
  if (claims.aud !== audience) return "it is for somebody else";
  if (issuer !== undefined && claims.iss !== issuer) return "it comes from somebody else";
  if (now >= claims.exp + leewaySeconds) return "it has expired";
  if (now < claims.nbf - leewaySeconds) return "its time has not come";
  return undefined;
}
