// The body of a batch: an ordered cover of a span of sequences by typed sections in columns.
// It must not know headers, signatures or compression.
import { PlantError } from "../util/errors.ts";
import { ByteReader, ByteWriter, malformed } from "./bytes.ts";
import {
  type Run,
  readIndices,
  readReferences,
  readStamps,
  StampReader,
  Texts,
  TextTable,
  writeIndices,
  writeSources,
  writeStamps,
} from "./columns.ts";
import {
  joinSections,
  type PointColumns,
  type PointSection,
  pushPoints,
  readPointSection,
  writePoints,
} from "./point-columns.ts";
import type {
  BatchRecord,
  DefineRecord,
  DeleteRecord,
  EventRecord,
  LineRecord,
  PointRecord,
} from "./records.ts";
import { parseJson } from "./values.ts";

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
 * @param first sequence of the first one; then their own are not looked at.
 * @throws PlantError BATCH_MALFORMED when they do not.
 */
export function encodeBatch(records: readonly BatchRecord[], first?: number): Uint8Array {
  const writers = { body: new ByteWriter(), columns: new ByteWriter(), texts: new ByteWriter() };
  let next = first ?? records[0]?.sequence ?? 0;
  for (let from = 0; from < records.length; ) {
    const start = next;
    const kind = records[from]?.kind;
    let to = from;
    for (let record = records[to]; record?.kind === kind; record = records[to]) {
      if (record === undefined) break;
      if (first === undefined && record.sequence !== next) {
        throw malformed(`sequence ${record.sequence} follows ${next - 1}`);
      }
      next = (record.kind === "cover" ? record.to : next) + 1;
      to += 1;
      if (kind === "cover") break;
    }
    writeSection(writers, { items: records, from, to }, next - start);
    from = to;
  }
  return writers.body.taken();
}

interface Writers {
  readonly body: ByteWriter;
  readonly columns: ByteWriter;
  readonly texts: ByteWriter;
}

function writeSection(writers: Writers, run: Run<BatchRecord>, sequences: number): void {
  const { body, columns, texts } = writers;
  const kind = run.items[run.from]?.kind ?? "line";
  const table = new TextTable();
  columns.clear();
  writeColumns(columns, run, table);
  texts.clear();
  table.write(texts);
  body.byte(sectionIds[kind]);
  body.whole(sequences);
  body.whole(texts.size + columns.size);
  body.bytes(texts.written);
  body.bytes(columns.written);
}

/** All items of a run are of the kind of its first one. */
function writeColumns(writer: ByteWriter, run: Run<BatchRecord>, texts: TextTable): void {
  const { items, from, to } = run;
  const kind = items[from]?.kind ?? "line";
  switch (kind) {
    case "point":
      writePoints(writer, run as Run<PointRecord>, texts);
      return;
    case "define":
      writeDefines(writer, run as Run<DefineRecord>, texts);
      return;
    case "delete":
      writeIndices(writer, run as Run<DeleteRecord>);
      writeStamps(writer, run as Run<DeleteRecord>, texts);
      writeSources(writer, run as Run<DeleteRecord>, texts);
      return;
    case "event":
      writeStamps(writer, run as Run<EventRecord>, texts);
      writeSources(writer, run as Run<EventRecord>, texts);
      for (let at = from; at < to; at += 1) {
        const { event } = items[at] as EventRecord;
        writer.whole(texts.refer(JSON.stringify(event) ?? "null"));
      }
      return;
    case "line":
      for (let at = from; at < to; at += 1) {
        writer.whole(texts.refer((items[at] as LineRecord).text));
      }
      return;
    case "correction":
    case "cover":
    case "base":
      for (let at = from; at < to; at += 1) {
        const { body } = items[at] as { readonly body?: unknown };
        writer.whole(texts.refer(JSON.stringify(body ?? null)));
      }
  }
}

function writeDefines(writer: ByteWriter, run: Run<DefineRecord>, texts: TextTable): void {
  writeIndices(writer, run);
  for (const item of run.items.slice(run.from, run.to)) {
    writer.whole(texts.refer(item.scope));
    writer.whole(texts.refer(item.key));
    writer.whole(texts.refer(item.type));
    writer.whole(texts.refer(item.unit));
    writer.whole(texts.refer(item.profile));
  }
}

/** One section as it stands in a body. */
interface Section extends Span {
  readonly kind: Kind;
  readonly content: ByteReader;
  /** Records in it. */
  readonly held: number;
}

/**
 * The records of a body, which must cover `span` exactly and in order.
 * @param recordsMax the most records it may hold.
 * @throws PlantError BATCH_MALFORMED, BATCH_TOO_LARGE.
 */
export function decodeBatch(body: Uint8Array, span: Span, recordsMax: number): BatchRecord[] {
  const records: BatchRecord[] = [];
  for (const section of sectionsOf(body, span, recordsMax)) {
    pushRecords(records, section);
    endSection(section);
  }
  return records;
}

/** The records of a body that are no points; its points are passed over. @throws as `decodeBatch`. */
export function decodeOthers(body: Uint8Array, span: Span, recordsMax: number): BatchRecord[] {
  const records: BatchRecord[] = [];
  for (const section of sectionsOf(body, span, recordsMax)) {
    if (section.kind === "point") continue;
    pushRecords(records, section);
    endSection(section);
  }
  return records;
}

/**
 * Only the points of a body, in columns; undefined when it has none.
 * @throws as `decodeBatch`.
 */
export function decodePoints(
  body: Uint8Array,
  span: Span,
  recordsMax: number,
): PointColumns | undefined {
  const found: PointSection[] = [];
  for (const section of sectionsOf(body, span, recordsMax)) {
    if (section.kind !== "point") continue;
    found.push(readPointSection(section.content, section.first, section.held));
    endSection(section);
  }
  return joinSections(found, span.first);
}

function* sectionsOf(body: Uint8Array, span: Span, recordsMax: number): Iterable<Section> {
  const reader = new ByteReader(body);
  let records = 0;
  let first = span.first;
  while (!reader.isAtEnd) {
    const kind = kinds.get(reader.byte());
    if (kind === undefined) throw malformed("a section has a kind that does not exist");
    const count = reader.whole();
    if (count === 0) throw malformed("a section is empty");
    const content = new ByteReader(reader.bytes(reader.whole()));
    const held = kind === "cover" ? 1 : count;
    if (held > content.left) throw malformed("a section has more records than bytes");
    records += held;
    if (records > recordsMax) {
      throw new PlantError("BATCH_TOO_LARGE", { size: records, max: recordsMax });
    }
    const last = first + count - 1;
    if (last > span.last) throw malformed("it holds more sequences than it says");
    yield { kind, content, held, first, last };
    first = last + 1;
  }
  if (first !== span.last + 1) throw malformed("it holds fewer sequences than it says");
}

function endSection({ content }: Section): void {
  if (!content.isAtEnd) throw malformed("a section has bytes behind its records");
}

function pushRecords(records: BatchRecord[], section: Section): void {
  const { kind, content, held, first, last } = section;
  if (kind === "point") {
    pushPoints(records, readPointSection(content, first, held));
    return;
  }
  const texts = new Texts(content);
  if (kind === "define") pushDefines(records, section, texts);
  else if (kind === "delete" || kind === "event") pushTimed(records, section, texts);
  else if (kind === "cover") {
    const body = parseJson(texts.required(content.whole()));
    records.push({ sequence: first, kind, to: last, body });
  } else {
    for (let sequence = first; sequence <= last; sequence += 1) {
      const text = texts.required(content.whole());
      if (kind === "line") records.push({ sequence, kind, text });
      else records.push({ sequence, kind, body: parseJson(text) });
    }
  }
}

function pushTimed(records: BatchRecord[], section: Section, texts: Texts): void {
  const { kind, content, held, first } = section;
  const indices = kind === "delete" ? readIndices(content, held).all : undefined;
  const stamps = new StampReader(readStamps(content, held, texts));
  const sources = readReferences(content, held, texts);
  for (let at = 0; at < held; at += 1) {
    const sequence = first + at;
    const time = stamps.at(at);
    const source = texts.at(sources[at] ?? 0);
    const more = source === undefined ? { time } : { time, source };
    if (indices !== undefined) {
      records.push({ sequence, kind: "delete", index: indices[at] ?? 0, ...more });
    } else {
      const event = parseJson(texts.required(content.whole()));
      records.push({ sequence, kind: "event", event, ...more });
    }
  }
}

function pushDefines(records: BatchRecord[], section: Section, texts: Texts): void {
  const { content, held, first } = section;
  const { all } = readIndices(content, held);
  for (let at = 0; at < held; at += 1) {
    const scope = texts.required(content.whole());
    const key = texts.required(content.whole());
    const type = texts.at(content.whole());
    const unit = texts.at(content.whole());
    const profile = texts.at(content.whole());
    records.push({
      sequence: first + at,
      kind: "define",
      index: all[at] ?? 0,
      scope,
      key,
      ...(type === undefined ? {} : { type }),
      ...(unit === undefined ? {} : { unit }),
      ...(profile === undefined ? {} : { profile }),
    });
  }
}
