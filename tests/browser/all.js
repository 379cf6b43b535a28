// All tests in one process, one after the other: they share a browser and measure times.

import { after } from "node:test";

import { endBrowser } from "./support/page.js";
import "./live.test.js";
import "./alerts.test.js";
import "./charts.test.js";
import "./connection.test.js";
import "./uplink.test.js";
import "./rejects.test.js";
import "./rules.test.js";
import "./access.test.js";
import "./keyboard.test.js";
import "./looks.test.js";

after(endBrowser);
