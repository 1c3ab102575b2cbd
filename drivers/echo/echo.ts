// The smallest worker: answers what it was asked. Copy it to begin one of your own.
// It must not know the broker, the store or any device.
import { startWorker, type Worker, type WorkerDeps } from "../../src/worker/worker.ts";

export interface EchoConfig {
  /** Address of the broker. */
  readonly endpoint: string;
  /** Name of the service; `org.plantd.module.Echo` when absent. */
  readonly service?: string;
}

/** Starts the echo service: `echo` returns its arguments. */
export function start(deps: WorkerDeps, config: EchoConfig): Promise<Worker> {
  const { endpoint, service = "org.plantd.module.Echo" } = config;
  return startWorker(
    deps,
    { endpoint, service, concurrency: 64 },
    { echo: (request) => request.args },
  );
}
