// How many files and sockets this process may still open. It must not know what for.
import { readdirSync, readFileSync } from "node:fs";

/** Descriptors that may still be opened; without bound where the machine does not tell. */
export function descriptorsLeft(): number {
  try {
    const limits = readFileSync("/proc/self/limits", "latin1");
    const most = Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Number.POSITIVE_INFINITY);
    return most - readdirSync("/proc/self/fd").length;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return Number.POSITIVE_INFINITY;
  }
}
