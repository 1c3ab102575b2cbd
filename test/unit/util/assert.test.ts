// An invariant that is broken is told in words, and is no error that anybody handles.
// It must not know what is asserted anywhere.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assert as hold } from "../../../src/util/assert.ts";
import { PlantError } from "../../../src/util/errors.ts";

test("what holds passes, and what does not is told by name and without a code", () => {
  hold(true, "one is one");
  assert.throws(
    () => hold(false, "one is two"),
    (error) => {
      assert.ok(error instanceof Error && !(error instanceof PlantError));
      assert.equal(error.message, "broken invariant: one is two");
      return true;
    },
  );
});
