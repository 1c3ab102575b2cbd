// What a secret looks like, as data: names of fields, and shapes within texts. Every pattern is
// linear in the length of its text. It must not know where texts come from.

/** Stands where a secret stood. */
export const redacted = "[redacted]";

/**
 * Names of fields that hold secrets, in small letters and digits alone; a longer name that ends in
 * one of `suffixes` holds a secret too: `db_password`, `Set-Cookie`, `curveSecretKey`.
 */
export const secretNames: ReadonlySet<string> = new Set(["pwd", "seed", "jwt"]);
export const secretSuffixes: readonly string[] = [
  ...["password", "passwd", "passphrase", "secret", "token", "authorization", "cookie"],
  ...["passwords", "secrets", "cookies", "credential", "credentials"],
  ...["privatekey", "secretkey", "apikey", "enrolmentcode", "enrollmentcode", "codeonce"],
];
/** The private members of a key in JSON. @see RFC 7518, 6 */
export const privateMembers: ReadonlySet<string> = new Set(
  ["d", "p", "q", "dp", "dq", "qi", "oth", "k"], // a key is told by its member `kty`
);

/** One shape of a secret within a text. */
export interface TextRule {
  readonly name: string;
  /** Matches more than the secret where `replace` decides. */
  readonly pattern: RegExp;
  /** What stands in the place of a match; the groups come after it. */
  readonly replace: (match: string, ...groups: string[]) => string;
}

const quoted = String.raw`\\?"(?:[^"\\]|\\[^"]){0,8192}\\?"|'[^'\r\n]{0,8192}'`;
/** Words that say something about a secret and are none. */
const told = "null|undefined|true|false|none|missing|absent|empty|expired|invalid|unknown|required";
const already = String.raw`(?!\s{0,3}(?:\\?["']?\[redacted\]|(?:${told})(?![\w-])))`;
const words =
  "passw(?:or)?d|passphrase|pwd|secret|token|credentials?|" +
  "api[-_ ]?key|private[-_ ]?key|secret[-_ ]?key";

/** Shapes of secrets, in the order they are looked for. */
export const textRules: readonly TextRule[] = [
  {
    name: "a private key in PEM, also one without its end",
    pattern:
      /-----BEGIN [A-Z0-9 ]{0,32}PRIVATE KEY-----[\s\S]{0,16384}?(?:-----END [A-Z0-9 ]{0,32}PRIVATE KEY-----|$)/g,
    replace: () => redacted,
  },
  {
    name: "a token of three to five parts in base64url, whose head is JSON",
    pattern:
      /(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,4096}(?:\.[A-Za-z0-9_-]{0,4096}){2,4}(?![A-Za-z0-9_-])/g,
    replace: () => redacted,
  },
  {
    name: "the headers authorization and cookie",
    pattern: new RegExp(
      String.raw`((?:authorization|cookie)\\?["']?\s{0,3}[:=]${already}\s{0,3})` +
        String.raw`(?:${quoted}|[^\r\n"'}]{1,4096})`,
      "gi",
    ),
    replace: (_, head = "") => `${head}${redacted}`,
  },
  {
    name: "a scheme and its credentials",
    pattern: /(?<![\w-])((?:bearer|basic)\s{1,3})([A-Za-z0-9._~+/=-]{8,4096})/gi,
    replace: (match, head = "", token = "") => (isRandom(token) ? `${head}${redacted}` : match),
  },
  {
    name: 'a named secret: password=…, token: …, "secret":"…"',
    pattern: new RegExp(
      String.raw`((?:${words})\\?["']?\s{0,3}(?:=>|[:=])${already}\s{0,3})` +
        String.raw`(?:${quoted}|[^\s"',;&)}\]]{1,4096})`,
      "gi",
    ),
    replace: (_, head = "") => `${head}${redacted}`,
  },
  {
    name: "a flag with a secret after it",
    pattern: /(--(?:password|passphrase|token|secret)\s{1,3})(?!-|\[redacted\])\S{1,4096}/gi,
    replace: (_, head = "") => `${head}${redacted}`,
  },
  {
    name: "the password in an address",
    pattern: /([a-z][a-z0-9+.-]{0,20}:\/\/[^\s/:@?#]{0,256}:)(?!\[redacted\]@)[^\s/?#]{1,1024}@/gi,
    replace: (_, head = "") => `${head}${redacted}@`,
  },
  {
    name: "the private members of a key in JSON",
    pattern: /(\\?"(?:d|p|q|dp|dq|qi|k)\\?"\s{0,3}:\s{0,3}\\?")[A-Za-z0-9_-]{20,2048}(?=\\?")/g,
    replace: (_, head = "") => `${head}${redacted}`,
  },
];

/** An enrolment code: seven groups of four. */
const codePattern = /(?<![A-Za-z0-9-])(?:[0-9A-Za-z]{4}[- ]?){6}[0-9A-Za-z]{4}(?![A-Za-z0-9-])/g;
const groupCharacters = 4;

/** A text without enrolment codes. A word of four letters may stand right before one. */
export function withoutCodes(text: string): string {
  let clean = "";
  let from = 0;
  codePattern.lastIndex = 0;
  for (let found = codePattern.exec(text); found !== null; found = codePattern.exec(text)) {
    const [match] = found;
    if (!isCode(match)) codePattern.lastIndex = found.index + groupCharacters;
    else {
      clean += text.slice(from, found.index) + redacted;
      from = found.index + match.length;
    }
  }
  return from === 0 ? text : clean + text.slice(from);
}

/** A CURVE key: 40 characters of Z85. @see RFC 32 */
export const curveRule: TextRule = {
  name: "a CURVE key that is not called public",
  pattern:
    /(?<![\w.:+=^!/*?&<>()[\]{}@%$#-])[\w.:+=^!/*?&<>()[\]{}@%$#-]{40}(?![\w.:+=^!/*?&<>()[\]{}@%$#-])/g,
  replace: (match) => (isCurve(match) ? redacted : match),
};

/** What is in no text without a secret's shape: a quick look before the rules. */
export const suspicion =
  /-----BEGIN|eyJ|authorization|cookie|bearer|basic|passw|passphrase|pwd|secret|token|credential|api[-_ ]?key|private[-_ ]?key|:\/\/[^\s/]{0,256}:|"(?:d|p|q|dp|dq|qi|k)\\?"\s{0,3}:/i;

/** What a text may hold that no word tells of. */
export interface Wordless {
  readonly hasCode: boolean;
  readonly hasCurve: boolean;
}

const nothing: Wordless = { hasCode: false, hasCurve: false };
const codeCharacters = 28;
const curveCharacters = 40;
/** Groups of four in a row; of the first and the last one may be more than its four characters. */
const groupsMin = 5;
const isCodeLike = marked(/[A-Za-z0-9-]/);
const isZ85Like = marked(/[\w.:+=^!/*?&<>()[\]{}@%$#-]/);

function marked(pattern: RegExp): readonly boolean[] {
  return Array.from({ length: 128 }, (_, at) => pattern.test(String.fromCharCode(at)));
}

/** One look at each character: cheaper than any pattern, and every line is looked at. */
export function findWordless(text: string): Wordless {
  if (text.length < codeCharacters) return nothing;
  let codeRun = 0;
  let curveRun = 0;
  let groups = 0;
  let hasCode = false;
  let hasCurve = false;
  for (let at = 0; at < text.length; at += 1) {
    const character = text.charCodeAt(at);
    if (isZ85Like[character] === true) curveRun += 1;
    else {
      if (curveRun === curveCharacters) hasCurve = true;
      curveRun = 0;
    }
    if (isCodeLike[character] === true) {
      codeRun += 1;
      if (codeRun === codeCharacters) hasCode = true;
      continue;
    }
    groups = codeRun === 4 ? groups + 1 : 0;
    if (groups === groupsMin) hasCode = true;
    codeRun = 0;
  }
  return { hasCode, hasCurve: hasCurve || curveRun === curveCharacters };
}

/** Words of a language have no digits, and capitals only in front. */
function isRandom(token: string): boolean {
  return /\d/.test(token) || (/[a-z]/.test(token) && /.[A-Z]/.test(token));
}

/** Seven groups of Crockford's digits, and neither words nor a frame in hexadecimal. */
function isCode(match: string): boolean {
  const plain = match.replace(/[- ]/g, "");
  if (plain.length !== 28 || /[Uu]/.test(plain)) return false;
  if (/^[0-9a-f]+$/i.test(plain) || /^\d+$/.test(plain)) return false;
  const digits = plain.replace(/\D/g, "").length;
  const isOneCase = plain === plain.toUpperCase() || plain === plain.toLowerCase();
  // Without hyphens it may be any name in capitals: then only what is mixed well is one.
  const isGrouped = /^(?:.{4}-){6}.{4}$|^(?:.{4} ){6}.{4}$/.test(match);
  return isOneCase && digits >= (isGrouped ? 2 : 5);
}

/** By chance: keys have marks of many kinds, capitals, small letters and digits; addresses do not. */
function isCurve(match: string): boolean {
  if (match.includes("_") || match.includes("://")) return false;
  const marks = new Set(match.match(/[+^!*?&<>()[\]{}@%$#]/g) ?? []);
  return marks.size >= 3 && /[A-Z]/.test(match) && /[a-z]/.test(match) && /\d/.test(match);
}
