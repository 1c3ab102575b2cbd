#!/usr/bin/env node
// The command `plantd` of a checkout: set up, then run. It must not know what plantd does.
import { enter } from "./bootstrap.mjs";

enter("plantd", process.argv.slice(2));
