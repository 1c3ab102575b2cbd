// Door of the driver for line-framed serial devices: profiles, lines and their meaning.
// It must not know the bus.
export { type SerialLineConfig, serialAdapter } from "./adapter.ts";
export {
  type Answer,
  answerLine,
  commandLine,
  type Reading,
  readAnswer,
  readVerdict,
  type Verdict,
} from "./answer.ts";
export { type Framing, frameLine, type LineReader, readLines } from "./framing.ts";
export {
  loadSerialProfile,
  parseSerialProfile,
  type SerialPoint,
  type SerialProfile,
  type SerialRequest,
  type SerialWrite,
  serialProfileNames,
} from "./profile.ts";
export {
  compileTemplate,
  type Fields,
  matchLine,
  numberOf,
  renderLine,
  type Template,
} from "./template.ts";
