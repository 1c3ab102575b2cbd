// Asks a page of our own on loopback, bounded in time and size: the watchdog's proof that it
// answers, and the eyes of the demo. It must not know what the answer means.
import { request } from "node:http";

export interface Asking {
  readonly url: string;
  readonly signal: AbortSignal;
  /** POST this as JSON; GET when absent. */
  readonly body?: unknown;
  /** Sent as `Authorization: Bearer`. */
  readonly token?: string;
}

/** An answer: its status, and its body as text. */
export interface Answer {
  readonly status: number;
  readonly text: string;
}

const answerBytesMax = 4_194_304;

/** Asks once. Rejects when nobody answers, when the signal aborts, or above 4 MiB. */
export function askPage(asking: Asking): Promise<Answer> {
  const { url, signal, body, token } = asking;
  const text = body === undefined ? undefined : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      {
        method: text === undefined ? "GET" : "POST",
        agent: false,
        signal,
        headers: {
          ...(text === undefined ? {} : { "content-type": "application/json" }),
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
      },
      (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > answerBytesMax) response.destroy(new Error("the answer is too long"));
          else chunks.push(chunk);
        });
        response.once("error", reject);
        response.once("end", () => {
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() });
        });
      },
    );
    sent.once("error", reject);
    sent.end(text);
  });
}
