// Who is who: identity tokens, key sets, enrolment. Pure: no disk, no socket, no clock.
// It must not know where any of it is kept or how it travels.
export { formatCode, parseCode } from "./code.ts";
export {
  type CodeSecret,
  codeSecret,
  type EnrolmentAnswer,
  type EnrolmentRequest,
  fingerprintOf,
  makeAnswer,
  makeRequest,
  openAnswer,
  type ProvenAnswer,
  readRequest,
  type SignedRequest,
  verifyRequest,
} from "./enrolment.ts";
export {
  issueKeySet,
  type KeySet,
  type KeySetContent,
  type KeyUse,
  openKeySet,
} from "./key-set.ts";
export {
  type AccessConfig,
  type Admission,
  builtInRights,
  makeAdmission,
  type Reach,
  type Rights,
  rightsOf,
} from "./rights.ts";
export { base64url, bytesOf, isSame } from "./spelling.ts";
export { type Claims, issueToken, type TokenExpectation, verifyToken } from "./token.ts";
