// Addresses of sockets: their shape, their folder, and files a dead process left behind.
// It must not know the library that listens.
import { chmodSync, existsSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { dirname } from "node:path";
import type { Clock } from "../util/clock.ts";
import { PlantError } from "../util/errors.ts";
import { makeFolder } from "../util/folder.ts";

/** Time between two looks whether an address is free. */
const probeMs = 2;
/** Longest path of a unix socket. @see unix(7), sun_path */
const pathBytesMax = 107;
/** Owner and group come in, nobody else does. */
const folderMode = 0o750;
const socketMode = 0o660;

/** The path of an `ipc://` endpoint; nothing for another kind. */
function pathOf(endpoint: string): string | undefined {
  return endpoint.startsWith("ipc://") ? endpoint.slice("ipc://".length) : undefined;
}

/** @throws PlantError ENDPOINT_UNUSABLE for a text that is no address. */
export function checkEndpoint(endpoint: string): void {
  const path = pathOf(endpoint);
  if (path === undefined) {
    if (!/^tcp:\/\/[^:/]+:\d{1,5}$/.test(endpoint) && !/^tcp:\/\/\[[^\]]+\]:\d+$/.test(endpoint)) {
      throw unusable(endpoint, "it is neither ipc:///path nor tcp://host:port");
    }
  } else if (path === "" || Buffer.byteLength(path) > pathBytesMax) {
    throw unusable(endpoint, `its path must have 1 to ${pathBytesMax} bytes`);
  }
}

/** Makes the folder of a socket and removes a socket file nobody listens on. */
export async function prepareEndpoint(endpoint: string): Promise<void> {
  checkEndpoint(endpoint);
  const path = pathOf(endpoint);
  if (path === undefined) return;
  try {
    makeFolder(dirname(path), folderMode);
  } catch (error) {
    throw unusable(endpoint, (error as NodeJS.ErrnoException).code ?? String(error), error);
  }
  if (!existsSync(path)) return;
  if (await isListening(path)) throw unusable(endpoint, "another process listens there");
  rmSync(path, { force: true });
}

/** Lets owner and group in by a socket that was just bound. */
export function openToGroup(endpoint: string): void {
  const path = pathOf(endpoint);
  if (path !== undefined && existsSync(path)) chmodSync(path, socketMode);
}

/** An address nobody can listen on or connect to, and why. */
export function unusable(endpoint: string, reason: string, cause?: unknown): PlantError {
  return new PlantError("ENDPOINT_UNUSABLE", { endpoint, reason }, { cause });
}

/** Waits, no longer than told, until nobody listens at an address. */
export async function untilFree(clock: Clock, endpoint: string, waitMaxMs: number): Promise<void> {
  const [, host = "", port = ""] = /^tcp:\/\/(.*):(\d+)$/.exec(endpoint) ?? [];
  const bare = host.replace(/^\[|\]$/g, "");
  const any: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };
  const where = pathOf(endpoint) ?? { host: any[bare] ?? bare, port: Number(port) };
  const endMs = clock.monotonicMs() + waitMaxMs;
  while ((await isListening(where)) && clock.monotonicMs() < endMs) await clock.sleep(probeMs);
}

function isListening(where: string | { host: string; port: number }): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = typeof where === "string" ? connect(where) : connect(where);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
  });
}
