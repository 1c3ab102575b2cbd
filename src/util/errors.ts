// The one error class. Its words come from the catalogue; only code and detail cross a wire.
// It must not know who raises which code.
import { type Code, catalogue } from "./catalogue.ts";

/** Facts about one occurrence: names, numbers, addresses. Never a secret. */
export type Detail = Readonly<Record<string, unknown>>;

/** An error as it crosses the wire: `{code, message, detail, retryable}`. */
export interface WireError {
  readonly code: string;
  readonly message: string;
  readonly detail: Detail;
  readonly retryable: boolean;
}

/** An error somebody can act on. */
export class PlantError extends Error {
  readonly code: Code;
  readonly detail: Detail;

  constructor(code: Code, detail: Detail = {}, options?: ErrorOptions) {
    super(sentenceOf(code, detail), options);
    this.name = "PlantError";
    this.code = code;
    this.detail = detail;
  }

  /** Whether the same request may succeed later without a change. */
  get isRetryable(): boolean {
    return catalogue[this.code].retry;
  }

  /** The process exit code of `plant`. */
  get exit(): number {
    return catalogue[this.code].exit;
  }

  /** What to do next: the occurrence's own word, else the catalogue's with the facts filled in. */
  get next(): string {
    const { next } = this.detail;
    if (typeof next === "string") return next;
    return catalogue[this.code].next.replace(/\{(\w+)\}/g, (_, name: string) =>
      String(this.detail[name] ?? name.toUpperCase()),
    );
  }

  /** The form that crosses a wire. */
  toWire(): WireError {
    return wireErrorOf(this.code, this.detail);
  }

  /** As `fromWire`, from JSON; what is none becomes `REMOTE_FAILED`. */
  static fromBytes(frame: Uint8Array): PlantError {
    const text = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength).toString("utf8");
    try {
      return PlantError.fromWire((JSON.parse(text) ?? {}) as Partial<WireError>);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      return new PlantError("REMOTE_FAILED", { remoteCode: "none", message: text.slice(0, 200) });
    }
  }

  /** Rebuilds an error a peer sent; a code this version does not know becomes `REMOTE_FAILED`. */
  static fromWire(wire: Partial<Record<keyof WireError, unknown>>): PlantError {
    const isSaid = typeof wire.detail === "object" && wire.detail !== null;
    const detail = isSaid && isFlat(wire.detail, depthMax) ? (wire.detail as Detail) : {};
    if (isCode(wire.code)) return new PlantError(wire.code, detail);
    return new PlantError("REMOTE_FAILED", {
      ...detail,
      remoteCode: textOr(wire.code, "none").slice(0, 100),
      message: textOr(wire.message, "").slice(0, 500),
    });
  }
}

/** An error as it crosses the wire, where nobody throws it. */
export function wireErrorOf(code: Code, detail: Detail): WireError {
  return { code, message: sentenceOf(code, detail), detail, retryable: catalogue[code].retry };
}

/** Objects and lists within one another in a detail; a peer's that go deeper are left out. */
const depthMax = 16;

function isFlat(value: unknown, left: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  return left > 0 && Object.values(value).every((item) => isFlat(item, left - 1));
}

/** A text a peer sent; whatever else it sent there has no words. */
function textOr(value: unknown, none: string): string {
  return typeof value === "string" ? value : none;
}

/** Whether a string names an entry of the catalogue. */
export function isCode(value: unknown): value is Code {
  return typeof value === "string" && Object.hasOwn(catalogue, value);
}

/** Whether an error carries this code. */
export function hasCode(error: unknown, ...codes: readonly Code[]): error is PlantError {
  return error instanceof PlantError && codes.includes(error.code);
}

/** Any thrown thing as a PlantError; what is not one already becomes `INTERNAL` with its cause. */
export function asPlantError(thrown: unknown): PlantError {
  if (thrown instanceof PlantError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new PlantError("INTERNAL", { message }, { cause: thrown });
}

/** The sentence of a code with the facts of one occurrence filled in; missing facts read "?". */
function sentenceOf(code: Code, detail: Detail): string {
  return catalogue[code].sentence.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = detail[name];
    if (value === undefined || value === null) return "?";
    return typeof value === "object" ? JSON.stringify(value) : String(value);
  });
}
