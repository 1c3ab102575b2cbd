#!/usr/bin/env node
// The command `plant` of a checkout: set up, then run. It must not know what plant does.
import { enter } from "./bootstrap.mjs";

enter("plant", process.argv.slice(2));
