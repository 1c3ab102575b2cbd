// What a medium or a folder says that takes nothing or gives nothing, and its codes. It must not
// know what was asked of it.
import { PlantError } from "../util/errors.ts";

/** Whether an error is the medium's, or that of a folder which cannot be used. */
export function isOfMedium(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return typeof code === "string" && /^E(NOSPC|DQUOT|ROFS|ACCES|PERM|IO|NOTDIR|ISDIR)$/.test(code);
}

/** Its code: STORE_FULL or STORE_UNUSABLE. */
export function asMediumError(error: unknown, folder: string): PlantError {
  const { code = "" } = error as NodeJS.ErrnoException;
  const isFull = code === "ENOSPC" || code === "EDQUOT";
  const detail = { folder, reason: code };
  return new PlantError(isFull ? "STORE_FULL" : "STORE_UNUSABLE", detail, { cause: error });
}
