// One-time enrolment codes: 128 random bits that people copy, with a check against misreading.
// It must not know who made a code or when it ends.
import { PlantError } from "../util/errors.ts";
import { openssl } from "../util/openssl.ts";

/** Crockford's alphabet: no I, L, O, U. @see Douglas Crockford, "Base 32" */
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const codeBytes = 16;
const checkBits = 12n;
const characters = 28;

function checkOf(bytes: Uint8Array): bigint {
  const hash = openssl().createHash("sha256");
  hash.update("plantd-code-check\0").update(bytes);
  return BigInt(hash.digest().readUInt16BE(0)) >> (16n - checkBits);
}

/** A code as people see it: seven groups of four. @param bytes 16 random bytes. */
export function formatCode(bytes: Uint8Array): string {
  if (bytes.length !== codeBytes) throw malformed("it has not 16 bytes");
  let rest = (BigInt(`0x${Buffer.from(bytes).toString("hex")}`) << checkBits) | checkOf(bytes);
  let text = "";
  for (let at = 0; at < characters; at += 1) {
    text = `${alphabet[Number(rest & 31n)]}${text}`;
    rest >>= 5n;
  }
  return text.replace(/(.{4})(?!$)/g, "$1-");
}

/**
 * The bytes of a code as somebody typed it: case, spaces and hyphens do not matter, O is 0, I and
 * L are 1.
 * @throws PlantError ENROL_CODE_MALFORMED
 */
export function parseCode(text: string): Uint8Array {
  if (text.length > 200) throw malformed("it is too long");
  const plain = text.toUpperCase().replace(/[\s-]/g, "").replaceAll("O", "0").replace(/[IL]/g, "1");
  if (plain.length !== characters) {
    throw malformed(`it has ${plain.length} characters instead of ${characters}`);
  }
  let all = 0n;
  for (const character of plain) {
    const digit = alphabet.indexOf(character);
    if (digit < 0) throw malformed("a character is none of a code's");
    all = (all << 5n) | BigInt(digit);
  }
  const number = all >> checkBits;
  const bytes = new Uint8Array(
    Buffer.from(number.toString(16).padStart(codeBytes * 2, "0"), "hex"),
  );
  if (checkOf(bytes) !== (all & ((1n << checkBits) - 1n))) {
    throw malformed("a character was misread");
  }
  return bytes;
}

function malformed(reason: string): PlantError {
  return new PlantError("ENROL_CODE_MALFORMED", { reason });
}
