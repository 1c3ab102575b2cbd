// One owner of a folder at a time, over all processes. It must not know what is in the folder.
import { statSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { PlantError } from "../util/errors.ts";

/** A name of the kernel's that belongs to the folder's inode and dies with the process. */
export function lockFolder(folder: string): Promise<Server> {
  const { dev, ino } = statSync(folder);
  const server = createServer((socket) => socket.destroy());
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EADDRINUSE") reject(error);
      else reject(new PlantError("STORE_LOCKED", { folder }, { cause: error }));
    });
    server.listen(`\0plantd-disk-${dev}-${ino}`, () => {
      server.unref();
      resolve(server);
    });
  });
}
