// Asking a web server: JSON there and back, bounded in time and size. The only importer of undici.
// It must not know whom we ask for what.
import { asPlantError, PlantError } from "../util/errors.ts";

export interface PostOptions {
  readonly timeoutMs: number;
  /** The most bytes an answer may have. */
  readonly maxBytes: number;
  /** PEM texts of the authorities to trust instead of the system's. */
  readonly ca?: string;
  /** Further request headers, e.g. `authorization`. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** An answer of a web server: its status and its JSON. */
export interface JsonAnswer {
  readonly status: number;
  readonly body: unknown;
}

/**
 * Posts JSON and returns the JSON of the answer, whatever its status; follows no redirect.
 * @throws PlantError FETCH_FAILED
 */
export async function postJson(
  url: string,
  body: unknown,
  options: PostOptions,
): Promise<JsonAnswer> {
  const target = checkUrl(url);
  const { timeoutMs, maxBytes, ca } = options;
  const { Agent, request } = await import("undici");
  const dispatcher = new Agent({
    connect: { timeout: timeoutMs, ...(ca === undefined ? {} : { ca }) },
    maxResponseSize: maxBytes,
  });
  try {
    const answer = await request(target, {
      method: "POST",
      dispatcher,
      headers: {
        ...options.headers,
        "content-type": "application/json",
        accept: "application/json",
      },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(timeoutMs),
    });
    const text = await answer.body.text();
    return { status: answer.statusCode, body: parse(url, text) };
  } catch (error) {
    if (error instanceof PlantError) throw error;
    const { code, message } = error as Error & { code?: unknown };
    const reason = typeof code === "string" ? code : message;
    throw new PlantError("FETCH_FAILED", { url, reason }, { cause: asPlantError(error) });
  } finally {
    await dispatcher.destroy();
  }
}

function checkUrl(url: string): URL {
  const target = URL.parse(url);
  if (target === null || !/^https?:$/.test(target.protocol)) {
    throw new PlantError("FETCH_FAILED", { url, reason: "it is no http or https address" });
  }
  return target;
}

function parse(url: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new PlantError("FETCH_FAILED", { url, reason: "the answer is not JSON" });
  }
}
