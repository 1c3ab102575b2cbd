// Line templates: `S {status:S|D} {weight:number:10} {unit}` reads a line into fields and writes
// fields as a line, so driver and simulator share one table. It must not know ports or devices.

/** One piece of a template. */
type Part =
  | { readonly kind: "literal"; readonly text: string }
  | { readonly kind: "space" }
  | { readonly kind: "number"; readonly name: string; readonly width: number }
  | { readonly kind: "choice"; readonly name: string; readonly options: readonly string[] }
  | { readonly kind: "quoted"; readonly name: string }
  | { readonly kind: "word"; readonly name: string };

/** A template ready for use. */
export interface Template {
  readonly text: string;
  /** Names of its fields, in order. */
  readonly fields: readonly string[];
  readonly parts: readonly Part[];
  readonly pattern: RegExp;
}

/** Fields of a line, by name, as they stand in it. */
export type Fields = Readonly<Record<string, string>>;

const placeholder = /\{([a-z][A-Za-z0-9]*)(?::([^{}]*))?\}/y;

/**
 * Compiles a template. A space stands for one or more spaces; `{name}` for a word without spaces,
 * `{name:number}` for a decimal number, `{name:number:10}` for one written right-aligned in ten
 * columns, `{name:A|B}` for one of some words, `{name:quoted}` for a text in double quotes.
 * @returns the template, or in words what is wrong with it.
 */
export function compileTemplate(text: string): Template | string {
  const parts: Part[] = [];
  let at = 0;
  while (at < text.length) {
    placeholder.lastIndex = at;
    const found = placeholder.exec(text);
    if (found !== null) {
      const part = fieldOf(found[1] ?? "", found[2]);
      if (typeof part === "string") return part;
      parts.push(part);
      at += found[0].length;
      continue;
    }
    const letter = text[at] ?? "";
    if (letter === "{" || letter === "}") return `a template whose braces hold a field: ${text}`;
    if (letter < " " || letter > "~") return "a template of printable ASCII characters";
    addLetter(parts, letter);
    at += 1;
  }
  if (parts.length === 0) return "a template that is not empty";
  const fields = parts.flatMap((part) => ("name" in part ? [part.name] : []));
  if (new Set(fields).size < fields.length) return "a template that names each field once";
  const open = parts.some((part, index) => isOpen(part) && isOpen(parts[index + 1]));
  if (open) return "a template with something between two fields of free length";
  return { text, fields, parts, pattern: new RegExp(`^${parts.map(patternOf).join("")}$`) };
}

/** Whether a part's end is seen only by what follows it. */
function isOpen(part: Part | undefined): boolean {
  return part?.kind === "word" || part?.kind === "number";
}

function addLetter(parts: Part[], letter: string): void {
  const last = parts.at(-1);
  if (letter === " ") {
    if (last?.kind !== "space") parts.push({ kind: "space" });
  } else if (last?.kind === "literal") {
    parts[parts.length - 1] = { kind: "literal", text: last.text + letter };
  } else parts.push({ kind: "literal", text: letter });
}

function fieldOf(name: string, form: string | undefined): Part | string {
  if (form === undefined) return { kind: "word", name };
  if (form === "quoted") return { kind: "quoted", name };
  const number = /^number(?::(\d{1,2}))?$/.exec(form);
  if (number !== null) return { kind: "number", name, width: Number(number[1] ?? 0) };
  const options = form.split("|");
  if (options.some((option) => option === "" || /\s/.test(option))) {
    return `a form of {${name}}: number, number:<columns>, quoted, or words between |`;
  }
  return { kind: "choice", name, options };
}

function patternOf(part: Part): string {
  switch (part.kind) {
    case "literal":
      return literally(part.text);
    case "space":
      return " +";
    case "number":
      return String.raw`([+-]? {0,10}\d{1,20}(?:\.\d{0,20})?)`;
    case "choice":
      return `(${part.options.map(literally).join("|")})`;
    case "quoted":
      return '"([^"]*)"';
    case "word":
      return "([^ ]+)";
  }
}

function literally(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&");
}

/** The fields of a line, or nothing when the line has another form. */
export function matchLine(template: Template, line: string): Fields | undefined {
  const found = template.pattern.exec(line);
  if (found === null) return undefined;
  return Object.fromEntries(template.fields.map((name, index) => [name, found[index + 1] ?? ""]));
}

/** The number in a field of a line; a sign may stand apart from it. */
export function numberOf(field: string): number {
  return Number(field.replaceAll(" ", ""));
}

/** A line with these fields; a missing one is left empty. */
export function renderLine(template: Template, fields: Fields): string {
  return template.parts.map((part) => renderPart(part, fields)).join("");
}

function renderPart(part: Part, fields: Fields): string {
  switch (part.kind) {
    case "literal":
      return part.text;
    case "space":
      return " ";
    case "number":
      return (fields[part.name] ?? "").padStart(part.width);
    case "quoted":
      return `"${fields[part.name] ?? ""}"`;
    case "choice":
    case "word":
      return fields[part.name] ?? "";
  }
}
