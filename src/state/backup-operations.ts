// The operations on backups: create, list, restore. It must not know what the store holds.
import { check } from "../util/shape.ts";
import type { Operation, WorkerRequest } from "../worker/worker.ts";
import { createBackup, listBackups } from "./backup.ts";
import type { StateCore } from "./core.ts";
import { shapes } from "./requests.ts";

/** Operations on backups. */
export function backupOperations(core: StateCore): Record<string, Operation> {
  return {
    "backup-create": (request) => backupCreate(core, request),
    "backup-restore": ({ args }) => backupRestore(core, args),
    "backup-list": () => ({ backups: listBackups(core.config.backups) }),
  };
}

async function backupRestore(core: StateCore, args: unknown): Promise<unknown> {
  const { path, passphrase } = check(shapes.backupRestore, args);
  const epoch = await core.restore(path, passphrase);
  core.deps.log.warn("the store was replaced by a backup", { path, epoch });
  return { epoch };
}

async function backupCreate(core: StateCore, request: WorkerRequest): Promise<unknown> {
  const { passphrase } = check(shapes.backupCreate, request.args);
  core.refuseWhileRestoring();
  let told = 0;
  let telling: Promise<void> = Promise.resolve();
  const made = await createBackup(core.backupPlace, passphrase, (done, total) => {
    const percent = Math.floor((done / total) * 100);
    if (percent < told + 10) return;
    told = percent;
    telling = telling.then(() => request.partial({ done, total }));
  });
  await telling;
  core.deps.log.info("a backup was made", made);
  return made;
}
