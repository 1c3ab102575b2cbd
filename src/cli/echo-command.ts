// `plant echo`: a text around the bus and back, as often as wanted. It must not know any other
// service than one that sends back what it gets.
import { type Client, decodeReply, encodeCall, type Frames } from "../client/client.ts";
import { services } from "../status/status.ts";
import { hasCode, PlantError } from "../util/errors.ts";
import type { Invocation } from "./command.ts";
import { wholeOption } from "./numbers.ts";
import { measure } from "./round-trips.ts";

/** Bytes of a text that fits a message with all limits as they are by default. */
const sizeMax = 16_000_000;

/** Sends a text to an echo service and back, and compares. */
export async function runEcho(invocation: Invocation): Promise<number> {
  const { args, options, flags, signal } = invocation;
  const text = textOf(args[0] ?? "hello", options);
  const service = typeof options.service === "string" ? options.service : services.echo;
  if (!/^[!-~]{1,255}$/.test(service)) {
    const message = "--service is a name of 1 to 255 letters and signs, without spaces";
    throw new PlantError("USAGE", { message });
  }
  const body = encodeCall("echo", { text });
  const client = await invocation.client();
  await checkServed(client, service, flags.timeoutMs);
  const measuring = measure(invocation, {
    target: service,
    schema: "plant.echo",
    bytes: Buffer.byteLength(text),
    async ask() {
      const reply = await client.request(service, body, { deadlineMs: flags.timeoutMs, signal });
      if (!isEcho(reply, body, text)) throw new PlantError("ECHO_DIFFERS", { service });
    },
    isLoss: (error) =>
      error.isRetryable || hasCode(error, "WORKER_LOST", "BROKER_LOST", "ECHO_DIFFERS"),
  });
  return measuring.catch((error: unknown) => {
    if (!hasCode(error, "OPERATION_UNKNOWN")) throw error;
    const next = "another --service, one that has the operation echo";
    throw new PlantError(error.code, { ...error.detail, next });
  });
}

/** The text, repeated or cut to a size in bytes. */
function textOf(text: string, options: Readonly<Record<string, unknown>>): string {
  if (options.size === undefined) return text;
  const size = wholeOption(options, "size", { min: 0, max: sizeMax, preset: 0 });
  const seed = Buffer.from(/^[\x20-\x7e]+$/.test(text) ? text : "hello");
  return Buffer.alloc(size, seed).toString("latin1");
}

/** Who is not there is told at once: the broker would keep the request until its deadline. */
async function checkServed(client: Client, service: string, deadlineMs: number): Promise<void> {
  const [found] = await client.request("mmi.service", [Buffer.from(service)], { deadlineMs });
  if (found !== undefined && Buffer.from(found).toString() === "200") return;
  const next =
    service === services.echo
      ? "plantd run echo, with the same data folder"
      : "plant broker services";
  throw new PlantError("NO_SERVICE", { service, next });
}

/** Whether a reply is what was sent: as data of a reply of ours, or frame by frame. */
function isEcho(reply: Frames, body: Frames, text: string): boolean {
  const isSame = (frame: Uint8Array, at: number) =>
    body[at] !== undefined && Buffer.compare(frame, body[at]) === 0;
  if (reply.length === body.length && reply.every(isSame)) return true;
  return (decodeReply(reply) as { text?: unknown } | null | undefined)?.text === text;
}
