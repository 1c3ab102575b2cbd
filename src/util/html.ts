// HTML with every value escaped unless it is markup already, and what a page of it may load.
// It must not know any page.
import { createHash } from "node:crypto";

/** Text that is HTML already. */
export interface Markup {
  readonly markup: string;
}

type Piece = string | number | null | undefined | false | Markup | readonly Piece[];

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escapeText(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? "");
}

/** A template whose values are escaped; null, undefined and false leave nothing. */
export function html(strings: TemplateStringsArray, ...values: readonly Piece[]): Markup {
  let markup = strings[0] ?? "";
  values.forEach((value, at) => {
    markup += textOf(value) + (strings[at + 1] ?? "");
  });
  return { markup };
}

function textOf(value: Piece): string {
  if (value === null || value === undefined || value === false) return "";
  if (typeof value === "string") return escapeText(value);
  if (typeof value === "number") return String(value);
  if ("markup" in value) return value.markup;
  return value.map(textOf).join("");
}

/** Text that is HTML, as such. */
export function raw(markup: string): Markup {
  return { markup };
}

/**
 * What a page may do: its own style and script, its own server, nothing else.
 * @see W3C Content Security Policy Level 3
 */
export function policyOf(style: string, script: string): string {
  return [
    "default-src 'none'",
    `style-src ${hashOf(style)}`,
    `script-src ${hashOf(script)}`,
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
}

function hashOf(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}
