// The views, in the order of the navigation. `show(body, gateway, query)` fills `body` and returns what ends it.

import { showAlerts } from "./alerts.js";
import { showCharts } from "./charts.js";
import { showOverview } from "./overview.js";
import { showRejects } from "./rejects.js";
import { showRules } from "./rules.js";
import { showSystem } from "./system.js";
import { showUplink } from "./uplink.js";

export const VIEWS = [
    { name: "overview", title: "Overview", show: showOverview },
    { name: "charts", title: "Charts", show: showCharts },
    { name: "alerts", title: "Alerts", show: showAlerts },
    { name: "uplink", title: "Uplink", show: showUplink },
    { name: "rejects", title: "Rejects", show: showRejects },
    { name: "rules", title: "Rules", show: showRules },
    { name: "system", title: "System", show: showSystem },
];
