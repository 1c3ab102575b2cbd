// How numbers, times and errors read to people, on the page and in the terminal alike.
// It must not know where they are shown.
import { type CatalogueEntry, catalogue } from "../util/catalogue.ts";
import { isCode, type PlantError, type WireError } from "../util/errors.ts";

export { describeUnit, describeValue } from "../util/readings.ts";

/** The largest whole unit and the one below: `3 d 4 h`, `12 min`, `8 s`. */
export function describeDuration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return hours < 10 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  const days = Math.floor(hours / 24);
  return days < 10 ? `${days} d ${hours % 24} h` : `${days} d`;
}

/** A count with thin groups of three: `18 402`. */
export function describeCount(count: number): string {
  return String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** A size in bytes: `148 MB`, `1.2 GB`. Decimal units, as disks are sold. */
export function describeBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let size = bytes;
  let at = 0;
  while (size >= 999.5 && at < units.length - 1) {
    size /= 1000;
    at += 1;
  }
  return `${size < 10 && at > 0 ? size.toFixed(1) : Math.round(size)} ${units[at]}`;
}

/** Settings of a line in words: text as it is, an object as its values. */
export function describeSettings(settings: unknown): string | null {
  if (typeof settings === "string") return settings;
  if (typeof settings !== "object" || settings === null) return null;
  const plain = Object.values(settings).filter((value) => typeof value !== "object");
  return plain.length === 0 ? null : plain.join(" ");
}

/** What the catalogue says of a code, when this version knows it. */
export function explain(code: string): CatalogueEntry | undefined {
  return isCode(code) ? catalogue[code] : undefined;
}

/** An error as `plant --json` prints it and the page's server answers it. */
export interface ErrorDocument {
  readonly schema: "plant.error/1";
  readonly code: string;
  readonly message: string;
  readonly causes: readonly string[];
  readonly next: string;
  readonly exit: number;
  readonly retryable: boolean;
  readonly detail: WireError["detail"];
}

/** An error in the form of `plant.error/1`. */
export function errorDocument(error: PlantError): ErrorDocument {
  const { causes } = catalogue[error.code];
  const { code, message, next, exit, isRetryable, detail } = error;
  return {
    schema: "plant.error/1",
    code,
    message,
    causes,
    next,
    exit,
    retryable: isRetryable,
    detail,
  };
}
