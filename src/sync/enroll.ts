// Asking a centre to take this gateway in, by a one-time code.
// It must not know what is done with the identity afterwards.
import { codeSecret, makeRequest, openAnswer, parseCode } from "../access/access.ts";
import { postJson } from "../fetch/fetch.ts";
import type { SigningKey } from "../util/ed25519.ts";
import { PlantError } from "../util/errors.ts";

const answerBytesMax = 1_048_576;
const timeoutMs = 15_000;

/** What the gateway tells of itself. */
export interface EnrolFacts {
  readonly serial: string;
  readonly version: string;
  readonly nonce: Uint8Array;
}

/**
 * One exchange with the centre at `url`.
 * @throws PlantError ENROL_CODE_MALFORMED, ENROL_REFUSED, ENROL_ANSWER_FORGED, FETCH_FAILED.
 */
export async function askToEnrol(
  to: { readonly url: string; readonly code: string },
  facts: EnrolFacts,
  key: SigningKey,
) {
  const code = codeSecret(parseCode(to.code));
  const signed = makeRequest(facts, key, code);
  const url = `${to.url.replace(/\/+$/, "")}/api/v1/enrol`;
  const answer = await postJson(url, signed, { timeoutMs, maxBytes: answerBytesMax });
  if (answer.status === 200) return openAnswer(answer.body, signed, code);
  const { body } = answer;
  const error = typeof body === "object" && body !== null && "error" in body ? body.error : null;
  if (typeof error === "object" && error !== null) throw PlantError.fromWire(error);
  throw new PlantError("FETCH_FAILED", { url, reason: `status ${answer.status}` });
}
