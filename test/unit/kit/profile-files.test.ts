// Profiles as files: which folder wins, and names that are none.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { listProfiles, readProfile } from "../../../drivers/kit/kit.ts";
import { PlantError } from "../../../src/util/errors.ts";

test("a profile beside the configuration stands before one of the driver", () => {
  const folder = mkdtempSync(join(tmpdir(), "pl-pf-"));
  try {
    const [mine, own, none] = [join(folder, "mine"), join(folder, "own"), join(folder, "none")];
    for (const path of [mine, own]) mkdirSync(path);
    writeFileSync(join(mine, "meter.yaml"), "mine");
    writeFileSync(join(own, "meter.yaml"), "own");
    writeFileSync(join(own, "pump.yaml"), "pump");
    writeFileSync(join(own, "notes.txt"), "no profile");
    assert.deepEqual(listProfiles([mine, own]), ["meter", "pump"]);
    assert.deepEqual(listProfiles([none, own]), ["meter", "pump"]);
    assert.equal(readProfile([mine, own], "meter"), "mine");
    assert.equal(readProfile([none, own], "meter"), "own");
    for (const id of ["valve", "../own/pump", "notes", ""]) {
      assert.throws(
        () => readProfile([mine, own], id),
        (error) => error instanceof PlantError && error.code === "PROFILE_UNKNOWN",
        id,
      );
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
