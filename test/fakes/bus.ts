// A bus in memory: services of operations, asked by clients, with the errors of the real one.
// It must not know sockets.
import type { CallOptions, Client } from "../../src/client/client.ts";
import { asPlantError, PlantError } from "../../src/util/errors.ts";
import { endlessRoom, type Operation, type WorkerRequest } from "../../src/worker/worker.ts";

export interface FakeBus {
  /** Offers a service; returns what withdraws it. */
  serve(service: string, operations: Readonly<Record<string, Operation>>): () => void;
  /** A client; values pass through JSON as they would over the wire. */
  client(): Client;
  /** What the broker answers about itself, by service; tests change it. */
  readonly internal: Record<string, unknown>;
  /** Every call so far, oldest first. */
  readonly calls: { service: string; operation: string; args: unknown }[];
}

export function fakeBus(): FakeBus {
  const services = new Map<string, Readonly<Record<string, Operation>>>();
  const calls: FakeBus["calls"] = [];
  const internal: FakeBus["internal"] = {};

  async function ask(
    service: string,
    operation: string,
    args: unknown,
    options: CallOptions | undefined,
    partial: (data: unknown) => Promise<void>,
  ): Promise<unknown> {
    const plain = args === undefined ? undefined : JSON.parse(JSON.stringify(args));
    calls.push({ service, operation, args: plain });
    const operations = services.get(service);
    if (operations === undefined) throw new PlantError("NO_SERVICE", { service });
    const run = operations[operation];
    if (run === undefined) throw new PlantError("OPERATION_UNKNOWN", { service, operation });
    const request: WorkerRequest = {
      operation,
      args: plain,
      body: [Buffer.from(operation), Buffer.from(JSON.stringify(plain ?? null))],
      trace: options?.trace ?? "0".repeat(32),
      signal: options?.signal ?? new AbortController().signal,
      remainingMs: () => options?.deadlineMs ?? 5000,
      partial,
      room: endlessRoom,
    };
    try {
      const data = await run(request);
      return data === undefined ? undefined : JSON.parse(JSON.stringify(data));
    } catch (error) {
      throw PlantError.fromWire(JSON.parse(JSON.stringify(asPlantError(error).toWire())));
    }
  }

  return {
    calls,
    internal,
    serve(service, operations) {
      services.set(service, operations);
      return () => services.delete(service);
    },
    client: () => ({
      ended: new Promise(() => {}),
      async [Symbol.asyncDispose]() {},
      async request(service, body, options) {
        const [first = Buffer.alloc(0), second] = body;
        if (body.length === 0) throw new PlantError("REQUEST_MALFORMED", { reason: "no body" });
        if (service === "mmi.services")
          return [...services.keys()].map((name) => Buffer.from(name));
        if (service === "mmi.service") {
          return [Buffer.from(services.has(Buffer.from(first).toString()) ? "200" : "404")];
        }
        if (service in internal) return [Buffer.from(JSON.stringify(internal[service]))];
        const args = second === undefined ? undefined : JSON.parse(Buffer.from(second).toString());
        const operation = Buffer.from(first).toString();
        const data = await ask(service, operation, args, options, async () => {});
        return [Buffer.from(JSON.stringify({ success: true, data }))];
      },
      // biome-ignore lint/correctness/useYield: it fails before it could
      async *streamRaw() {
        throw new PlantError("INTERNAL", { message: "raw streams: no" });
      },
      call: (service, operation, args, options) =>
        ask(service, operation, args, options, async () => {}),
      async *stream(service, operation, args, options) {
        const parts: unknown[] = [];
        let wake = () => {};
        let over: { data: unknown } | { error: unknown } | undefined;
        void ask(service, operation, args, options, async (data) => {
          parts.push(JSON.parse(JSON.stringify(data)));
          wake();
        }).then(
          (data) => {
            over = { data };
            wake();
          },
          (error: unknown) => {
            over = { error };
            wake();
          },
        );
        for (;;) {
          while (parts.length > 0) yield parts.shift();
          if (over !== undefined) break;
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
        if ("error" in over) throw over.error;
        return over.data;
      },
    }),
  };
}
