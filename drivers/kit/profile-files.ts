// Profiles as files: those kept beside the configuration stand before those that come with a
// driver. It must not know what a profile says.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { PlantError } from "../../src/util/errors.ts";

const ending = ".yaml";

/** Names of the profiles in some folders, each once, in order; a folder need not exist. */
export function listProfiles(folders: readonly string[]): string[] {
  const names = folders
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder))
    .filter((file) => file.endsWith(ending))
    .map((file) => file.slice(0, -ending.length));
  return [...new Set(names)].sort();
}

/**
 * The text of a profile from the first folder that has it.
 * @throws PlantError PROFILE_UNKNOWN
 */
export function readProfile(folders: readonly string[], id: string): string {
  const folder = folders.find((candidate) => listProfiles([candidate]).includes(id));
  if (folder === undefined) throw new PlantError("PROFILE_UNKNOWN", { profile: id });
  return readFileSync(join(folder, `${id}${ending}`), "utf8");
}
