// The npm packages of the tests, which live outside the checkout: tests/browser.sh says where.

import { createRequire } from "node:module";

const require = createRequire(`${process.env.BROWSER_MODULES}/`);

export const { chromium } = require("playwright-core");
export const axe = require("axe-core");
