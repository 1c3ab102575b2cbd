// Addresses of sockets: their shape, their folder, and files a dead process left behind.
// It must not know the library that listens.
import { chmodSync, existsSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { dirname } from "node:path";
import { PlantError } from "../util/errors.ts";
import { makeFolder } from "../util/folder.ts";

/** Longest path of a unix socket. @see unix(7), sun_path */
const pathBytesMax = 107;

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
    makeFolder(dirname(path), 0o750);
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
  if (path !== undefined && existsSync(path)) chmodSync(path, 0o660);
}

/** An address nobody can listen on or connect to, and why. */
export function unusable(endpoint: string, reason: string, cause?: unknown): PlantError {
  return new PlantError("ENDPOINT_UNUSABLE", { endpoint, reason }, { cause });
}

function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
  });
}
