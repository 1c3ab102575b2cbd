// The body of a batch: an ordered cover of a span of sequences by typed sections in columns.
// It must not know headers, signatures or compression.
import { PlantError } from "../util/errors.ts";
import { ByteReader, ByteWriter, malformed } from "./bytes.ts";
import {
  parseJson,
  qualityCode,
  qualityOf,
  readStamps,
  readTexts,
  readValues,
  TextTable,
  writeStamps,
  writeValues,
} from "./columns.ts";
import {
  type BatchRecord,
  type DefineRecord,
  type DeleteRecord,
  type EventRecord,
  lastOf,
  type PointRecord,
} from "./records.ts";

/** Sequences a batch speaks for, both inclusive; empty when `last` is `first - 1`. */
export interface Span {
  readonly first: number;
  readonly last: number;
}

/** Numbers of the sections; a number is never given another meaning. */
const sectionIds = {
  point: 1,
  define: 2,
  delete: 3,
  event: 4,
  line: 5,
  correction: 6,
  cover: 7,
  base: 8,
} as const;
type Kind = keyof typeof sectionIds;
const kinds = new Map<number, Kind>(
  Object.entries(sectionIds).map(([kind, id]) => [id, kind as Kind]),
);

/**
 * The body for records that follow each other without a gap.
 * @throws PlantError BATCH_MALFORMED when they do not.
 */
export function encodeBatch(records: readonly BatchRecord[]): Uint8Array {
  const writer = new ByteWriter();
  let from = 0;
  for (let at = 1; at <= records.length; at += 1) {
    const before = records[at - 1];
    const next = records[at];
    if (before === undefined) break;
    if (next !== undefined && next.sequence !== lastOf(before) + 1) {
      throw malformed(`sequence ${next.sequence} follows ${lastOf(before)}`);
    }
    if (next !== undefined && next.kind === before.kind && next.kind !== "cover") continue;
    writeSection(writer, records.slice(from, at));
    from = at;
  }
  return writer.taken();
}

function writeSection(writer: ByteWriter, records: readonly BatchRecord[]): void {
  const first = records[0];
  const last = records.at(-1);
  if (first === undefined || last === undefined) return;
  const texts = new TextTable();
  const columns = new ByteWriter();
  writeColumns(columns, records, texts);
  const content = new ByteWriter();
  texts.write(content);
  content.bytes(columns.taken());
  const bytes = content.taken();
  writer.byte(sectionIds[first.kind]);
  writer.whole(lastOf(last) - first.sequence + 1);
  writer.whole(bytes.length);
  writer.bytes(bytes);
}

function ofKind<K extends Kind>(
  records: readonly BatchRecord[],
  kind: K,
): readonly Extract<BatchRecord, { kind: K }>[] {
  return records.filter((record) => record.kind === kind) as Extract<BatchRecord, { kind: K }>[];
}

function writeColumns(writer: ByteWriter, records: readonly BatchRecord[], texts: TextTable): void {
  const kind = records[0]?.kind ?? "line";
  switch (kind) {
    case "point":
      writePoints(writer, ofKind(records, kind), texts);
      return;
    case "define":
      writeDefines(writer, ofKind(records, kind), texts);
      return;
    case "delete": {
      const items = ofKind(records, kind);
      writeIndices(writer, items);
      writeTimes(writer, items, texts);
      return;
    }
    case "event": {
      const items = ofKind(records, kind);
      writeTimes(writer, items, texts);
      for (const { event } of items) writer.whole(texts.refer(JSON.stringify(event) ?? "null"));
      return;
    }
    case "line":
      for (const { text } of ofKind(records, kind)) writer.whole(texts.refer(text));
      return;
    case "correction":
    case "cover":
    case "base":
      for (const record of records) {
        const body = "body" in record ? record.body : null;
        writer.whole(texts.refer(JSON.stringify(body) ?? "null"));
      }
  }
}

function writeIndices(writer: ByteWriter, items: readonly { readonly index: number }[]): void {
  let before = 0;
  for (const { index } of items) {
    writer.signed(index - before);
    before = index;
  }
}

function writeTimes(
  writer: ByteWriter,
  items: readonly (PointRecord | DeleteRecord | EventRecord)[],
  texts: TextTable,
): void {
  writeStamps(
    writer,
    items.map((item) => item.time),
    texts,
  );
  for (const { source } of items) writer.whole(texts.refer(source));
}

function writePoints(writer: ByteWriter, items: readonly PointRecord[], texts: TextTable): void {
  writeIndices(writer, items);
  writeTimes(writer, items, texts);
  for (const { quality, reason } of items) {
    writer.whole(qualityCode(quality, texts.refer(reason)));
  }
  writeValues(writer, items, texts);
}

function writeDefines(writer: ByteWriter, items: readonly DefineRecord[], texts: TextTable): void {
  writeIndices(writer, items);
  for (const item of items) {
    for (const word of [item.scope, item.key, item.type, item.unit, item.profile]) {
      writer.whole(texts.refer(word));
    }
  }
}

/**
 * The records of a body, which must cover `span` exactly and in order.
 * @param recordsMax the most records it may hold.
 * @throws PlantError BATCH_MALFORMED, BATCH_TOO_LARGE.
 */
export function decodeBatch(body: Uint8Array, span: Span, recordsMax: number): BatchRecord[] {
  const reader = new ByteReader(body);
  const records: BatchRecord[] = [];
  let next = span.first;
  while (!reader.isAtEnd) {
    const kind = kinds.get(reader.byte());
    if (kind === undefined) throw malformed("a section has a kind that does not exist");
    const count = reader.whole();
    if (count === 0) throw malformed("a section is empty");
    const content = new ByteReader(reader.bytes(reader.whole()));
    const held = kind === "cover" ? 1 : count;
    if (held > content.left) throw malformed("a section has more records than bytes");
    if (records.length + held > recordsMax)
      throw new PlantError("BATCH_TOO_LARGE", { size: records.length + held, max: recordsMax });
    const last = next + count - 1;
    if (last > span.last) throw malformed("it holds more sequences than it says");
    for (const record of readSection(content, kind, { first: next, last })) records.push(record);
    if (!content.isAtEnd) throw malformed("a section has bytes behind its records");
    next = last + 1;
  }
  if (next !== span.last + 1) throw malformed("it holds fewer sequences than it says");
  return records;
}

type TextOf = (reference: number) => string | undefined;

function readSection(reader: ByteReader, kind: Kind, span: Span): BatchRecord[] {
  const { first, last } = span;
  const count = last - first + 1;
  const textOf = readTexts(reader);
  const sequences = (position: number) => first + position;
  switch (kind) {
    case "point":
      return readPoints(reader, { first, count, textOf });
    case "define":
      return readDefines(reader, { first, count, textOf });
    case "delete": {
      const indices = readIndices(reader, count);
      const times = readTimes(reader, count, textOf);
      return times.map((time, at) => ({
        sequence: sequences(at),
        kind,
        index: indices[at] ?? 0,
        ...time,
      }));
    }
    case "event": {
      const times = readTimes(reader, count, textOf);
      return times.map((time, at) => ({
        sequence: sequences(at),
        kind,
        event: parseJson(required(textOf, reader.whole())),
        ...time,
      }));
    }
    case "line":
      return each(count, (at) => ({
        sequence: sequences(at),
        kind,
        text: required(textOf, reader.whole()),
      }));
    case "cover": {
      const body = parseJson(required(textOf, reader.whole()));
      return [{ sequence: first, kind, to: last, body }];
    }
    case "correction":
    case "base":
      return each(count, (at) => ({
        sequence: sequences(at),
        kind,
        body: parseJson(required(textOf, reader.whole())),
      }));
  }
}

interface Columns {
  readonly first: number;
  readonly count: number;
  readonly textOf: TextOf;
}

function unread(): never {
  throw malformed("a column is shorter than the others");
}

function each<T>(count: number, make: (at: number) => T): T[] {
  const made: T[] = [];
  for (let at = 0; at < count; at += 1) made.push(make(at));
  return made;
}

function required(textOf: TextOf, reference: number): string {
  const text = textOf(reference);
  if (text === undefined) throw malformed("a text is missing");
  return text;
}

function readIndices(reader: ByteReader, count: number): number[] {
  let index = 0;
  return each(count, () => {
    index += reader.signed();
    if (index < 0 || !Number.isSafeInteger(index)) throw malformed("an index is out of range");
    return index;
  });
}

function readTimes(
  reader: ByteReader,
  count: number,
  textOf: TextOf,
): { time: PointRecord["time"]; source?: string }[] {
  const stamps = readStamps(reader, count, textOf);
  return stamps.map((time) => {
    const source = textOf(reader.whole());
    return source === undefined ? { time } : { time, source };
  });
}

function readPoints(reader: ByteReader, columns: Columns): PointRecord[] {
  const { first, count, textOf } = columns;
  const indices = readIndices(reader, count);
  const times = readTimes(reader, count, textOf);
  const qualities = each(count, () => {
    const { quality, reason } = qualityOf(reader.whole());
    const text = textOf(reason);
    return text === undefined ? { quality } : { quality, reason: text };
  });
  const values = readValues(reader, indices, textOf);
  return each(count, (at) => ({
    sequence: first + at,
    kind: "point",
    index: indices[at] ?? 0,
    value: values[at],
    ...(qualities[at] ?? { quality: "bad" }),
    ...(times[at] ?? unread()),
  }));
}

function readDefines(reader: ByteReader, columns: Columns): DefineRecord[] {
  const { first, count, textOf } = columns;
  const indices = readIndices(reader, count);
  return each(count, (at) => {
    const scope = required(textOf, reader.whole());
    const key = required(textOf, reader.whole());
    const type = textOf(reader.whole());
    const unit = textOf(reader.whole());
    const profile = textOf(reader.whole());
    return {
      sequence: first + at,
      kind: "define",
      index: indices[at] ?? 0,
      scope,
      key,
      ...(type === undefined ? {} : { type }),
      ...(unit === undefined ? {} : { unit }),
      ...(profile === undefined ? {} : { profile }),
    };
  });
}
