// Upstream envelopes, batches of records and control messages: encode, sign, check, decode. Pure.
// It must not know MQTT, disks or clocks.
export { ByteReader, ByteWriter } from "./bytes.ts";
export {
  type Aggregates,
  type Cover,
  type CoverReason,
  coverBody,
  type LastRecord,
  readCover,
  type SpanAggregate,
  type SurvivingDefinition,
} from "./cover.ts";
export {
  type Envelope,
  type EnvelopeFields,
  type EnvelopeHeader,
  type KeyLookup,
  type MessageType,
  type OpenLimits,
  open,
  openLimits,
  peekHeader,
  seal,
} from "./envelope.ts";
export { areExact } from "./exact.ts";
export {
  type Body,
  checkTopic,
  decodeBody,
  encodeBody,
  type LineageEntry,
  lineageFingerprint,
  parseTopic,
  topicOf,
  willPayload,
} from "./messages.ts";
export { type PointColumns, pointColumns, qualityNames } from "./point-columns.ts";
export {
  type BatchRecord,
  type BodyRecord,
  type CoverRecord,
  type DefineRecord,
  type DeleteRecord,
  type EventRecord,
  type LineRecord,
  lastOf,
  type PointRecord,
  type Quality,
  type Stream,
  streams,
} from "./records.ts";
export { decodeBatch, decodeOthers, decodePoints, encodeBatch, type Span } from "./sections.ts";
